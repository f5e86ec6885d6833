"""Extraction: bytes become pages of words. `engine.py` is the interface; an engine is a file."""
