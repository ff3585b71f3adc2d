"""Rotating the sealing keys while real workers and an API go on; killed half way; interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from botrix import key_ring
from botrix.creators.local import verify
from botrix.key_ring import Key, Ring
from botrix.model import tag_of
from botrix.sealing import Sealer, id_of
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Valkey")
_SEALED = "SELECT job_id, idx, sealed FROM accounts WHERE sealed IS NOT NULL"


async def test_keys_are_rotated_while_two_workers_create(system: System) -> None:
    system.add_directory("sim", delay=0.05, batch=20, concurrency=2)
    for name in ("one", "two"):
        await system.worker(name, BOTRIX_CAPACITY="400")
    big = [await system.generate(1000, directory="sim") for _ in range(3)]
    local = await system.generate(100)

    async def under_way() -> bool:
        return system.rows("SELECT count(*) FROM accounts WHERE status = 'created'")[0][0] > 200

    await until(under_way, 30, "both workers create")
    before = _ring(system).active.id
    assert system.rows("SELECT count(*) FROM accounts WHERE status = 'leased'") != [(0,)]
    done = await _botrix(system, "key-ring", "rotate", "--json")
    assert done["active"] != before
    assert done["resealed"] > 200
    for job in (*big, local):
        ended = await system.final(job, 60)
        assert (ended["status"], ended["created"]) == ("completed", ended["count"])
    assert system.rows("SELECT count(*) FROM accounts WHERE attempt > 1 OR tries > 1") == [(0,)]
    assert await _botrix(system, "key-ring", "prune", "--json") == {"dropped": [before]}
    await system.restart_api()  # which knows the one key that is left
    assert [key.id for key in _ring(system).keys] == [done["active"]]
    rows = system.rows(_SEALED)
    assert len(rows) == 3100
    sealer = Sealer.of(_ring(system))
    for job, index, sealed in rows:
        assert len(sealer.unseal(sealed, "default", tag_of(job, index))) >= 12
    directory = system.settings.local_directory_file
    for index in range(100):
        revealed = await system.post(f"/api/accounts/{local}:{index}/reveal", {}, 200)
        assert await asyncio.to_thread(
            verify, directory, revealed["username"], revealed["password"]
        )


async def test_a_raw_key_of_an_earlier_release_becomes_a_ring(folder: Path) -> None:
    """Whose texts of version 1 stay readable, and are then sealed anew."""
    (folder / "sealing.key").touch(mode=0o600)
    (folder / "sealing.key").write_bytes(b"o" * 32)
    system = System(folder)
    try:
        await system.start()
        system.add_directory("sim")
        await system.worker()
        first = await system.generate(20, directory="sim")
        await system.final(first)
        assert {sealed[:1] for _, _, sealed in system.rows(_SEALED)} == {b"\x01"}
        added = (await _botrix(system, "key-ring", "add", "--json"))["added"]
        await system.post(f"/api/accounts/{first}:0/reveal", {}, 200)
        done = await _botrix(system, "key-ring", "rotate", "--json")
        assert done == {"active": added, "resealed": 19, "rotated": True}
        second = await system.generate(20, directory="sim")
        await system.final(second)
        assert {id_of(sealed) for _, _, sealed in system.rows(_SEALED)} == {added}
        assert await _botrix(system, "key-ring", "prune", "--json") == {
            "dropped": [Key(b"o" * 32).id]
        }
        for job in (first, second):
            await system.post(f"/api/accounts/{job}:1/reveal", {}, 200)
    finally:
        await system.stop()


async def test_a_rotation_that_was_killed_is_finished_by_the_next(system: System) -> None:
    job, before = await _many(system), _ring(system).active.id
    process = await _start(system, "key-ring", "rotate", "--json")
    await until(lambda: _is_mixed(system, before), 30, "some are under the new key")
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    for index in (0, 9999):  # under the new key, and under the old one
        await system.post(f"/api/accounts/{job}:{index}/reveal", {}, 200)
    by_key = [id_of(sealed) for _, _, sealed in system.rows(_SEALED)]
    assert set(by_key) == {before, _ring(system).active.id}, "it was killed too late to be of use"
    refused = await _start(system, "key-ring", "prune")
    _, said = await refused.communicate()
    assert refused.returncode == 1
    assert f"{by_key.count(before)} secrets are still sealed".encode() in said
    _age(system)
    done = await _botrix(system, "key-ring", "rotate", "--json")
    assert done["resealed"] == by_key.count(before)
    assert not done["rotated"]
    assert len(_ring(system).keys) == 2, "no third key"
    assert {id_of(sealed) for _, _, sealed in system.rows(_SEALED)} == {done["active"]}
    assert list(system.settings.data.glob("sealing.key.*")) == []


async def test_ctrl_c_is_clean_and_says_how_to_go_on(folder: Path) -> None:
    system = System(folder)
    try:
        await system.start()
        await _many(system)
        before = _ring(system).active.id
        process = await _start(system, "key-ring", "rotate")
        await until(lambda: _is_mixed(system, before), 30, "some are under the new key")
        process.send_signal(signal.SIGINT)
        said, failed = await process.communicate()
        assert process.returncode == 1
        assert failed.decode().strip().endswith("sealed anew by: botrix key-ring rotate --finish")
        assert b"Traceback" not in said + failed
        _age(system)
        assert (await _botrix(system, "key-ring", "rotate", "--finish", "--json"))["resealed"] > 0
    finally:
        await system.stop()


async def test_two_rotations_at_a_time_agree(system: System) -> None:
    await _many(system, 3000)
    both = [await _start(system, "key-ring", "rotate", "--json") for _ in range(2)]
    ended = [await process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    active = _ring(system).active.id
    assert {id_of(sealed) for _, _, sealed in system.rows(_SEALED)} == {active}


async def _many(system: System, count: int = 10_000) -> str:
    """A job with so many accounts, all created; no worker runs any more."""
    system.add_directory("sim", forget=True)
    await system.worker()
    job = await system.generate(count, directory="sim")
    await system.final(job, 60)
    await system.terminate("worker-1")
    return job


async def _is_mixed(system: System, before: str) -> bool:
    old = bytes.fromhex(f"02{before}")
    sql = "SELECT count(*) FROM accounts WHERE substr(sealed, 1, 5) <> ?"
    return bool(system.rows(sql, old)[0][0] > 0)


def _age(system: System) -> None:
    """The ring was changed long ago, so that nobody writes under the key of before any more."""
    os.utime(system.settings.sealing_key_file, (0, 0))


def _ring(system: System) -> Ring:
    return key_ring.read(system.settings.sealing_key_file)


async def _botrix(system: System, *arguments: str) -> Any:
    """What it says as JSON."""
    process = await _start(system, *arguments)
    said, failed = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, failed
    return json.loads(said)


async def _start(system: System, *arguments: str, **environ: str) -> Process:
    env = {
        **os.environ,
        "BOTRIX_DATA": str(system.settings.data),
        "BOTRIX_LEDGER_URL": system.settings.ledger_url,
        **environ,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *arguments, env=env, stdout=PIPE, stderr=PIPE
    )
