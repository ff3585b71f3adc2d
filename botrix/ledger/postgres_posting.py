"""What workers ask of a ledger on PostgreSQL to send the events of webhooks; see posting.py."""

from __future__ import annotations

from collections.abc import Sequence

from botrix.ledger.postgres_rows import NOW, Db
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

_STABLE_NOW = "extract(epoch FROM now())::float8"  # the other could bound no index
TAKE = f"""
WITH live AS MATERIALIZED (
  SELECT w.id, greatest(0, CASE WHEN w.failing_since IS NULL THEN $2 ELSE 1 END
                           - coalesce((SELECT u.busy FROM unnest($4::text[], $5::int[]) u (id, busy)
                                       WHERE u.id = w.id), 0)) AS room
  FROM webhooks w WHERE w.disabled_at IS NULL AND coalesce(w.quiet_until, 0) <= {_STABLE_NOW}
), due AS MATERIALIZED (
  SELECT d.n, d.next_at FROM live w, LATERAL (
    SELECT n, next_at FROM deliveries d
    WHERE d.webhook_id = w.id AND d.status = 'waiting' AND d.next_at <= {_STABLE_NOW}
    ORDER BY d.next_at, d.n LIMIT w.room FOR UPDATE SKIP LOCKED) d
  ORDER BY random() LIMIT $1
)
UPDATE deliveries d SET next_at = {NOW} + $3::float8, tries = d.tries + 1
FROM due, webhooks w
WHERE d.n = due.n AND d.status || '' = 'waiting' AND d.next_at = due.next_at AND w.id = d.webhook_id
RETURNING d.n, d.tries, d.tenant_id, d.webhook_id, d.job_id, d.event, d.body, d.at, w.url, w.secret,
  w.config, {NOW}
"""
SETTLE = f"""
UPDATE deliveries d SET status = u.status, problem = u.problem, next_at = {NOW} + u.delay,
  tries = d.tries - u.uncounted, sent_at = CASE u.status WHEN 'sent' THEN {NOW} END
FROM (SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::float8[], $6::int[])
      u (n, tries, status, problem, delay, uncounted) ORDER BY n) u
WHERE d.n = u.n AND d.status || '' = 'waiting' AND (d.tries = u.tries OR u.status = 'sent')
"""
_WELL = """
UPDATE webhooks SET failing_since = NULL, quiet_until = NULL
WHERE id = $1 AND (failing_since IS NOT NULL OR quiet_until IS NOT NULL)
"""
_FAILED = f"""
UPDATE webhooks SET failing_since = coalesce(failing_since, {NOW}),
  quiet_until = CASE WHEN $2::float8 = 0 THEN quiet_until
                     ELSE greatest(quiet_until, {NOW} + $2::float8) END,
  disabled_at = CASE WHEN {{over}} THEN {NOW} END,
  disabled_reason = CASE WHEN {{over}} THEN $4 END
WHERE id = $1 AND disabled_at IS NULL RETURNING disabled_at IS NOT NULL
""".format(over=f"($3::bool OR failing_since <= {NOW} - {PATIENCE})")
FORGET = f"""
DELETE FROM deliveries WHERE n IN (
  SELECT n FROM deliveries WHERE status = $1 AND status <> 'waiting'
    AND at < {_STABLE_NOW} - $2::float8 ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED)
"""
GIVE_UP = """
UPDATE deliveries SET status = 'dead', problem = $1 WHERE n IN (
  SELECT d.n FROM webhooks w, LATERAL (
    SELECT n FROM deliveries d WHERE d.webhook_id = w.id AND d.status = 'waiting'
    LIMIT $2 FOR UPDATE SKIP LOCKED) d
  WHERE w.disabled_at IS NOT NULL LIMIT $2)
"""


async def take(db: Db, wanted: Wanted) -> list[Delivery]:
    busy = (list(wanted.busy), list(wanted.busy.values()))
    rows = await db.fetch(TAKE, wanted.most, wanted.each, wanted.lease, *busy)
    return sorted((Delivery(*row) for row in rows), key=lambda one: one.n)


async def settle(db: Db, receipts: Sequence[Receipt]) -> list[str]:
    """Rows of webhooks are locked in one order, after those of deliveries."""
    await db.execute(
        SETTLE,
        [one.n for one in receipts],
        [one.tries for one in receipts],
        [one.status for one in receipts],
        [one.problem for one in receipts],
        [one.delay for one in receipts],
        [0 if one.counted else 1 for one in receipts],
    )
    news = sorted(by_webhook(receipts).items())
    return [webhook for webhook, one in news if await _judged(db, webhook, one)]


async def _judged(db: Db, webhook: str, news: Receipt) -> bool:
    """Whether it was disabled."""
    if news.status is DeliveryStatus.SENT:
        await db.execute(_WELL, webhook)
        return False
    reason = GONE if news.gone else still(news.problem)
    return bool(await db.fetchval(_FAILED, webhook, news.quiet, news.gone, reason))


async def forget(db: Db, limit: int) -> int:
    kept = ((DeliveryStatus.SENT, SENT_FOR), (DeliveryStatus.DEAD, DEAD_FOR))
    done = [await db.execute(FORGET, word, age, limit) for word, age in kept]
    done.append(await db.execute(GIVE_UP, DISABLED, limit))
    return sum(int(said.rsplit(" ", 1)[1]) for said in done)
