"""The document line: assets, checks, sensors, jobs and partitions."""
