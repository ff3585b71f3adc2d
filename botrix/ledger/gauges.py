"""What `/metrics` asks of the ledger at each scrape. Each question reads an index, and little of
it: what cannot be counted cheaply is counted up to MOST."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.ledger.engine import begin, now
from botrix.ledger.governing import PRESENT, Governed, Standing, Use, User, used
from botrix.ledger.ranges import Range
from botrix.ledger.tables import (
    deliveries,
    directories,
    jobs,
    sessions,
    throttle_users,
    throttles,
    webhooks,
)
from botrix.model import Lane
from botrix.states import DeliveryStatus, SessionStatus

MOST = 10_000
"""Messages to webhooks that are counted; there may be more."""


@dataclass(frozen=True, slots=True)
class Running:
    """Of all tenants. waited: by lane, seconds since anything happened to the job that is first in
    it; beats: of each live session; versions: how many of each; lost: sessions, ever."""

    waited: dict[str, float]
    beats: dict[str, int]
    versions: dict[str, int]
    lost: int


@dataclass(frozen=True, slots=True)
class Posted:
    """Of a tenant. messages: by state, those on their way and those that were given up; waited:
    seconds since the oldest that waits was noted. receivers: webhooks, by whether they are used."""

    messages: dict[str, int] = field(default_factory=dict)
    waited: float = 0.0
    receivers: dict[str, int] = field(default_factory=dict)


async def running(engine: AsyncEngine) -> Running:
    """All that everybody is told."""
    async with begin(engine, reading=True) as db:
        rows = [(await db.execute(_first(lane))).first() for lane in Lane]
        live = (await db.execute(_LIVE)).all()
        lost = (await db.execute(_LOST)).scalar_one()
    versions: dict[str, int] = {}
    for row in live:
        versions[row.version] = versions.get(row.version, 0) + 1
    waited = {
        lane.value: max(0.0, row.waited) if row else 0.0
        for lane, row in zip(Lane, rows, strict=True)
    }
    return Running(waited, {row.id: row.beat for row in live}, versions, lost)


async def used_directories(engine: AsyncEngine, tenant: str) -> dict[str, Use]:
    """How each is used, as `botrix directory show` tells it."""
    async with begin(engine, reading=True) as db:
        rows = (await db.execute(_directories(tenant))).all()
        users = (await db.execute(_users(tenant))).all()
    at = rows[0].at if rows else 0.0
    by: dict[str, dict[str, User]] = {}
    for user in users:
        if at - user.seen_at < PRESENT:
            by.setdefault(user.name, {})[user.session_id] = User(*user[2:])
    return {row.name: used(_standing(row.state, at, by.get(row.name, {}))) for row in rows}


def _standing(state: str | None, at: float, users: dict[str, User]) -> Standing | None:
    if state is None:
        return None
    return Standing(msgspec.json.decode(state, type=Governed), at, users)


async def posted(engine: AsyncEngine, tenant: str) -> Posted:
    """What waits for webhooks, and whether these are used."""
    async with begin(engine, reading=True) as db:
        kept = {status: _kept(tenant, status) for status in _TOLD}
        messages = {status.value: await _counted(db, kept[status]) for status in kept}
        oldest = kept[DeliveryStatus.WAITING].select(
            [now() - deliveries.c.at], 1, db.dialect.name
        )  # fmt: skip
        waited = (await db.execute(oldest)).scalar()
        states = await _receivers(db, tenant)
    return Posted(messages, max(0.0, waited or 0.0), states)


async def _receivers(db: AsyncConnection, tenant: str) -> dict[str, int]:
    whether = webhooks.c.disabled_at.is_not(None)
    query = sa.select(whether, sa.func.count()).where(webhooks.c.tenant_id == tenant)
    found = {bool(off): n for off, n in (await db.execute(query.group_by(whether))).all()}
    return {"enabled": found.get(False, 0), "disabled": found.get(True, 0)}


def _first(lane: Lane) -> sa.Select[Any]:
    query = sa.select((now() - jobs.c.updated_at).label("waited"))
    query = query.where(jobs.c.lane == lane.value, jobs.c.place.is_not(None))
    query = query.with_hint(jobs, "INDEXED BY ix_jobs_line", "sqlite")
    return query.order_by(jobs.c.lane, jobs.c.place).limit(1)


def _of_status(status: SessionStatus) -> sa.ColumnElement[bool]:
    return sessions.c.status == status.value


_LIVE = sa.select(sessions.c.id, sessions.c.beat, sessions.c.version).where(
    _of_status(SessionStatus.LIVE)
)
_LOST = sa.select(sa.func.count()).select_from(sessions).where(_of_status(SessionStatus.LOST))


def _directories(tenant: str) -> sa.Select[Any]:
    same = sa.and_(
        throttles.c.tenant_id == directories.c.tenant_id, throttles.c.name == directories.c.name
    )
    query = sa.select(directories.c.name, throttles.c.state, now().label("at"))
    query = query.select_from(directories.outerjoin(throttles, same))
    return query.where(directories.c.tenant_id == tenant)


def _users(tenant: str) -> sa.Select[Any]:
    kept = throttle_users.c
    query = sa.select(kept.name, kept.session_id, kept.demand, kept.share, kept.seen_at)
    query = query.join(sessions, sessions.c.id == kept.session_id)
    return query.where(kept.tenant_id == tenant, _of_status(SessionStatus.LIVE))


_TOLD = (DeliveryStatus.WAITING, DeliveryStatus.DEAD)


def _kept(tenant: str, status: DeliveryStatus) -> Range:
    """The oldest first."""
    columns = tuple(deliveries.c[name] for name in ("tenant_id", "status", "n"))
    return Range("ix_deliveries_tenant", deliveries, columns, (tenant, status.value), (-1,))


async def _counted(db: AsyncConnection, rows: Range) -> int:
    few = rows.select([deliveries.c.n], MOST, db.dialect.name).subquery()
    counted = await db.execute(sa.select(sa.func.count()).select_from(few))
    return int(counted.scalar_one())
