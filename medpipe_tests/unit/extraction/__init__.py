"""Tests of the extraction stage; documents are made by `make.py`."""
