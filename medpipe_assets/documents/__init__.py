"""The document line without Dagster: intake, stages with work lists and chunks, the worker pool."""
