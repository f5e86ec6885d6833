"""EtLT: from a dataset's contract to its files, flattened records, typed table and result tables."""
