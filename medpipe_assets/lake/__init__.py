"""The lake: table contracts, the Iceberg catalog and its commits, the ledger, leases and quarantine."""
