"""Inboxes: what has arrived, where and in which version; listing and receipts, never processing."""
