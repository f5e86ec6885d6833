"""The Dagster objects of medpipe, one folder a line, and the resources they run on."""
