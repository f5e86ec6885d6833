"""The lexicon: clinical terms in six languages, compiled from the ICD-10-CM tables and our own term lists."""
