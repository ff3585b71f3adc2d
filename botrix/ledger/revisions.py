"""Which revision of the schema a ledger has, and which one this program needs.

Revisions are numbers of four digits, in order. So a program can tell a ledger that is not migrated
yet from one that a newer release migrated, without knowing that release, and without Alembic.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from botrix.errors import LedgerDown

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


@cache
def newest() -> str:
    """The revision that this program needs."""
    return max(path.name[:4] for path in _VERSIONS.glob("[0-9]*.py"))


def check(revision: str | None) -> None:
    """None: there is none. Raises LedgerDown where the ledger is older than this program needs; a
    newer one is as good (see docs/decisions/0017-upgrades.md)."""
    if revision is None:
        raise LedgerDown("the ledger has no tables yet; run: botrix migrate")
    if revision < newest():
        raise LedgerDown(
            f"the ledger is at revision {revision}, and this program needs {newest()}; "
            "run: botrix migrate"
        )
