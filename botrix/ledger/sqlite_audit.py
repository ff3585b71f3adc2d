"""The audit record on SQLite: lines of acts, in the transaction of the acts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from botrix.audit import Act, Actor, Chain
from botrix.ledger.sqlite_rows import as_json, write

_ENDS = "SELECT t.id, t.audit_n, t.audit_hash FROM json_each(?) u JOIN tenants t ON t.id = u.value"
_LINES = "INSERT INTO audit (tenant_id, n, at, who, address, what, object, detail, hash) VALUES {}"
_LINE = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_END = "UPDATE tenants SET audit_n = ?, audit_hash = ? WHERE id = ?"


def note_acts(db: sqlite3.Connection, acts: Sequence[tuple[Act, Actor]], now: float) -> None:
    ids = as_json(sorted({act.tenant_id for act, _ in acts}))
    chains = {row[0]: Chain(row[1], row[2]) for row in db.execute(_ENDS, (ids,))}
    lines = [chains[act.tenant_id].add(act, who, now) for act, who in acts]
    write(db, _LINES, _LINE, lines)
    db.executemany(_END, [(chain.n, chain.hash, name) for name, chain in chains.items()])
