"""Coding: entities become ranked, calibrated ICD-10-CM candidates, judged against a dated code set."""
