"""What workers ask of a ledger on SQLite to send the events of webhooks; see posting.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from botrix.ledger.posting import (
    DEAD_FOR,
    DISABLED,
    GONE,
    PATIENCE,
    SENT_FOR,
    Delivery,
    Receipt,
    Wanted,
    by_webhook,
    still,
)
from botrix.states import DeliveryStatus

_LIVE = (
    "SELECT w.id, w.failing_since IS NOT NULL FROM webhooks w WHERE w.disabled_at IS NULL"
    " AND coalesce(w.quiet_until, 0) <= ?1 AND EXISTS (SELECT 1 FROM deliveries d"
    " WHERE d.webhook_id = w.id AND d.status = 'waiting' AND d.next_at <= ?1) ORDER BY random()"
)
_DUE = (
    "SELECT n, next_at FROM deliveries WHERE webhook_id = ? AND status = 'waiting'"
    " AND next_at <= ? ORDER BY next_at, n LIMIT ?"
)
_TAKE = (
    "UPDATE deliveries SET next_at = ?, tries = tries + 1"
    " WHERE n = ? AND status = 'waiting' AND next_at = ?"
)
_TAKEN = (
    "SELECT d.n, d.tries, d.tenant_id, d.webhook_id, d.job_id, d.event, d.body, d.at, w.url,"
    " w.secret, w.config, ? FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.n = ?"
)
_SETTLE = (
    "UPDATE deliveries SET status = ?1, problem = ?2, next_at = ?3, tries = tries - ?4,"
    " sent_at = CASE ?1 WHEN 'sent' THEN ?5 END"
    " WHERE n = ?6 AND status = 'waiting' AND (tries = ?7 OR ?1 = 'sent')"
)
_WELL = (
    "UPDATE webhooks SET failing_since = NULL, quiet_until = NULL"
    " WHERE id = ? AND (failing_since IS NOT NULL OR quiet_until IS NOT NULL)"
)
_FAILED = (
    "UPDATE webhooks SET failing_since = coalesce(failing_since, ?1),"
    " quiet_until = max(coalesce(quiet_until, 0), ?2) WHERE id = ?3"
)
_DISABLE = (
    "UPDATE webhooks SET disabled_at = ?1, disabled_reason = ?2 WHERE id = ?3"
    " AND disabled_at IS NULL AND (?4 OR failing_since <= ?5)"
)
_FORGET = (
    "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE status = ?"
    " AND status <> 'waiting' AND at < ? ORDER BY at LIMIT ?)"
)
_GIVE_UP = (
    "UPDATE deliveries SET status = 'dead', problem = ? WHERE n IN (SELECT d.n FROM webhooks w"
    " CROSS JOIN deliveries d WHERE w.disabled_at IS NOT NULL AND d.webhook_id = w.id"
    " AND d.status = 'waiting' LIMIT ?)"
)

Candidate = tuple[int, float]


def due(db: sqlite3.Connection, wanted: Wanted, now: float) -> list[Candidate]:
    """Read beforehand, since a look needs no turn at writing. No webhook is always the first."""
    live = db.execute(_LIVE, (now,)).fetchall()
    found: list[Candidate] = []
    for webhook, failing in live:
        room = min(wanted.room(webhook, failing=bool(failing)), wanted.most - len(found))
        found += [(n, at) for n, at in db.execute(_DUE, (webhook, now, room))]
    return found


def take(
    db: sqlite3.Connection, candidates: Sequence[Candidate], lease: float, now: float
) -> list[Delivery]:
    """Those that nobody else took meanwhile."""
    mine = [n for n, at in candidates if db.execute(_TAKE, (now + lease, n, at)).rowcount]
    rows = (db.execute(_TAKEN, (now, n)).fetchone() for n in sorted(mine))
    return [Delivery(*row) for row in rows]


def settle(db: sqlite3.Connection, receipts: Sequence[Receipt], now: float) -> list[str]:
    for one in receipts:
        values = (one.status, one.problem, now + one.delay, 0 if one.counted else 1, now)
        db.execute(_SETTLE, (*values, one.n, one.tries))
    return [one for one, news in by_webhook(receipts).items() if _judged(db, one, news, now)]


def _judged(db: sqlite3.Connection, webhook: str, news: Receipt, now: float) -> bool:
    """Whether it was disabled."""
    if news.status is DeliveryStatus.SENT:
        db.execute(_WELL, (webhook,))
        return False
    db.execute(_FAILED, (now, now + news.quiet if news.quiet else 0.0, webhook))
    reason = GONE if news.gone else still(news.problem)
    return bool(db.execute(_DISABLE, (now, reason, webhook, news.gone, now - PATIENCE)).rowcount)


def forget(db: sqlite3.Connection, limit: int, now: float) -> int:
    kept = ((DeliveryStatus.SENT, SENT_FOR), (DeliveryStatus.DEAD, DEAD_FOR))
    done = sum(db.execute(_FORGET, (word, now - age, limit)).rowcount for word, age in kept)
    return done + db.execute(_GIVE_UP, (DISABLED, limit)).rowcount
