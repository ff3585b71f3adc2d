"""The one definition of every table. Migrations are compared with it by a test."""

from botrix.ledger.tables.accounts import ROSTER_NAME, accounts
from botrix.ledger.tables.base import folded, metadata
from botrix.ledger.tables.jobs import (
    bad_rows,
    counters,
    history,
    jobs,
    place_sequence,
    roster_chunks,
    tallies,
    tally_sequence,
    templates,
)
from botrix.ledger.tables.running import directories, sessions, throttle_users, throttles
from botrix.ledger.tables.webhooks import deliveries, webhooks
from botrix.ledger.tables.who import audit, idempotency_keys, keys, sign_ins, tenants

__all__ = [
    "ROSTER_NAME",
    "accounts",
    "audit",
    "bad_rows",
    "counters",
    "deliveries",
    "directories",
    "folded",
    "history",
    "idempotency_keys",
    "jobs",
    "keys",
    "metadata",
    "place_sequence",
    "roster_chunks",
    "sessions",
    "sign_ins",
    "tallies",
    "tally_sequence",
    "templates",
    "tenants",
    "throttle_users",
    "throttles",
    "webhooks",
]
