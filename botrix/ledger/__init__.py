"""The ledger: the truth about every job, account, session and outcome."""
