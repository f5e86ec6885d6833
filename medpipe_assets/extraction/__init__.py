"""Extraction: bytes become pages of words. `engine.py` is the interface; each engine is a file named for its technology."""
