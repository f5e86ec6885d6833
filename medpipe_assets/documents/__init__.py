"""The document line without Dagster: intake of sources, stages with their work lists and chunks, and the worker pool."""
