"""SQL engines over the lake: one dialect (Athena), run by DuckDB on a laptop and by Athena on AWS."""
