"""Measurements of medpipe, each a module with a command line: `python -m benchmarks.<name> [--quick]`.

Nothing here is imported by medpipe_assets. How figures are printed is decided in reporting.py alone.
"""
