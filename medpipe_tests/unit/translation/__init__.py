"""Tests of the translation stage."""
