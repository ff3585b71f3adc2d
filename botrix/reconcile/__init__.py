"""Compares the ledger with a directory, and mends: looking.py walks both, comparing.py judges,
findings.py keeps what differs, mending.py changes what somebody chose."""
