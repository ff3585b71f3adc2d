"""`botrix key-ring`: the keys that passwords are sealed with; straight on file and ledger."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from botrix import __version__
from botrix import key_ring as rings
from botrix.cli.console import console
from botrix.cli.render import print_rows
from botrix.errors import BotrixError, Conflict, SettingsError
from botrix.key_ring import Ring
from botrix.sealing import Sealer
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.ledger.resealing import Pass

T = TypeVar("T")
_SETTLED = 12.0
"""Seconds after which nothing is written under the key of before: a process looks at the file once
a second, and a transaction takes ten at most."""
_AGAIN = 0.5
_for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("key-ring")
def key_ring() -> None:
    """List, add, rotate or prune the keys that passwords are sealed with."""


@key_ring.command("list")
@_for_programs
def list_(as_json: bool) -> None:
    """List the keys by their ids; the active one seals, any of them opens."""
    ring = _guarded(lambda: _ring(Settings.read()))
    rows = [{"id": key.id, "state": ring.state(key)} for key in ring.keys]
    print_rows(rows, ("id", "state"), as_json)


@key_ring.command("add")
@_for_programs
def add(as_json: bool) -> None:
    """Add a key that opens, but does not seal before `rotate`: hand the file to all hosts first."""
    settings = _guarded(Settings.read)
    _guarded(lambda: _refuse_environment(settings))
    _run(_refuse_older_workers(settings))
    ring = _changed(settings, lambda ring: ring.with_waiting(rings.fresh()))
    made = ring.keys[-1]
    _run(_noted(settings, "key-ring.add", made.id))
    _say(as_json, {"added": made.id},
         f"key {made.id} was added; give {settings.sealing_key_file} to all hosts, then run: "
         "botrix key-ring rotate")  # fmt: skip


@key_ring.command("rotate")
@click.option("--finish", is_flag=True, help="Make no other key active, only seal anew.")
@_for_programs
def rotate(finish: bool, as_json: bool) -> None:
    """Seal with the newest key that waits, or a fresh one, and seal anew what is under older ones.

    Workers and APIs go on meanwhile. Interrupted, it is finished by the next run.
    """
    settings = _guarded(Settings.read)
    try:
        done = _run(_rotate(settings, finish, as_json))
    except KeyboardInterrupt:
        raise click.ClickException(
            "interrupted; nothing is lost, and what is left is sealed anew by: "
            "botrix key-ring rotate --finish"
        ) from None
    _say(as_json, done, f"key {done['active']} seals; {done['resealed']} secrets were sealed anew")


@key_ring.command("prune")
@_for_programs
def prune(as_json: bool) -> None:
    """Drop the old keys, once nothing is under them any more."""
    settings = _guarded(Settings.read)
    dropped = _run(_prune(settings, as_json))
    said = f"dropped: {', '.join(dropped)}" if dropped else "there is no old key"
    _say(as_json, {"dropped": dropped}, said)


async def _rotate(settings: Settings, finish: bool, as_json: bool) -> dict[str, Any]:
    await _refuse_older_workers(settings)
    unfinished = finish or bool(settings.sealing_keys) or await _is_unfinished(settings, as_json)
    if not unfinished:
        changed = _changed(settings, lambda ring: ring.rotated(rings.fresh()))
        await _noted(settings, "key-ring.rotate", changed.active.id)
    resealed = await _sealed_anew(settings, as_json)
    active = _ring(settings).active.id
    return {"active": active, "resealed": resealed, "rotated": not unfinished}


async def _noted(settings: Settings, what: str, key_id: str) -> None:
    """After the file was changed: a record that cannot be written must not keep a key in use."""
    from botrix.audit import Act
    from botrix.ledger.audit import note_act
    from botrix.ledger.engine import begin, create_engine

    engine = create_engine(settings.ledger_url)
    try:
        async with begin(engine) as db:
            await note_act(db, Act(what, key_id), console())
    finally:
        await engine.dispose()


async def _is_unfinished(settings: Settings, as_json: bool) -> bool:
    """An earlier rotation was interrupted, and no newer key waits: then that is finished first."""
    ring = _ring(settings)
    if ring.raw or len(ring.keys) == 1 or ring.newest_waiting:
        return False
    left = (await _pass(settings, as_json, look_only=True)).left
    if left and not as_json:
        click.echo(f"{left} secrets are under an older key; they are sealed anew, no key is added")
    return bool(left)


async def _sealed_anew(settings: Settings, as_json: bool) -> int:
    """Until a pass that began late enough finds nothing; how many there were in all."""
    resealed = 0
    while True:
        early = _unsettled(settings) > 0
        found = await _pass(settings, as_json)
        resealed += found.resealed
        if found.left and found.left == found.unreadable:
            raise SettingsError(f"{found.left} secrets stay as they are: {found.why}")
        if not (found.old or early):
            return resealed
        if not found.old:
            await _settled(settings, as_json)
        elif found.left:
            await asyncio.sleep(_AGAIN)  # somebody held them


async def _prune(settings: Settings, as_json: bool) -> list[str]:
    _refuse_environment(settings)
    ring = _ring(settings)
    dropped = [key.id for key in ring.keys if ring.state(key) == "old"]
    if not dropped:
        return []
    await _settled(settings, as_json)
    left = (await _pass(settings, as_json, look_only=True)).left
    if left:
        raise Conflict(
            f"{left} secrets are still sealed with an older key; run: "
            "botrix key-ring rotate --finish"
        )

    def pruned(now: Ring) -> Ring:
        if now != ring:
            raise Conflict("the ring was changed meanwhile; run this again")
        return now.pruned()

    rings.change(settings.sealing_key_file, pruned)
    for key_id in dropped:
        await _noted(settings, "key-ring.prune", key_id)
    return dropped


async def _pass(settings: Settings, as_json: bool, *, look_only: bool = False) -> Pass:
    """With the ring as it is now: somebody else may rotate, too."""
    from botrix.ledger.engine import create_engine
    from botrix.ledger.resealing import Pass, Resealing

    engine, found = create_engine(settings.ledger_url), Pass()
    label = "looking" if look_only else "sealing anew"
    try:
        resealing = Resealing(engine, Sealer.of(_ring(settings)))
        length = max(1, await resealing.planned())
        with click.progressbar(length=length, label=label, show_pos=True, hidden=as_json) as bar:
            async for seen in resealing.run(found, look_only=look_only):
                bar.update(seen)
    finally:
        await engine.dispose()
    return found


async def _settled(settings: Settings, as_json: bool) -> None:
    if wait := _unsettled(settings):
        if not as_json:
            click.echo(f"waiting {wait:.0f} s for what is being written under the key of before")
        await asyncio.sleep(wait)


async def _refuse_older_workers(settings: Settings) -> None:
    """Programs of an earlier release know one raw key, and no other form."""
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries

    if settings.sealing_keys or not _ring(settings).raw:
        return
    queries = Queries(create_engine(settings.ledger_url))
    try:
        others = sorted(set(await queries.live_workers()) - {__version__})
    finally:
        await queries.close()
    if others:
        raise Conflict(
            f"workers of version {', '.join(others)} live, which could not read the new form; "
            "end the upgrade first"
        )


def _unsettled(settings: Settings) -> float:
    """Seconds until whoever writes under the key of before has ended; never long, whatever the
    clocks say."""
    found = None if settings.sealing_keys else rings.stamp(settings.sealing_key_file)
    age = time.time() - found[0] / 1e9 if found else _SETTLED
    return min(max(0.0, _SETTLED - age), _SETTLED)


def _ring(settings: Settings) -> Ring:
    if settings.sealing_keys:
        return rings.from_text(settings.sealing_keys, "BOTRIX_SEALING_KEYS")
    return rings.read(settings.sealing_key_file)


def _refuse_environment(settings: Settings) -> None:
    if settings.sealing_keys:
        raise Conflict(
            "the keys come from BOTRIX_SEALING_KEYS; change it where it is set, restart all, then "
            "run: botrix key-ring rotate"
        )


def _changed(settings: Settings, how: Callable[[Ring], Ring]) -> Ring:
    path: Path = settings.sealing_key_file
    return _guarded(lambda: rings.change(path, how))


def _say(as_json: bool, values: dict[str, Any], text: str) -> None:
    click.echo(json.dumps(values) if as_json else text)


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    return _guarded(lambda: asyncio.run(work))
