"""`botrix purge` on a running system: what was erased is nowhere any more; killed, it goes on."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from botrix.model import tag_of
from botrix.sealing import load_sealer
from tests.servers.system import System, until
from tests.test_key_ring import _botrix, _many, _start

pytestmark = pytest.mark.suite("Valkey")
_LONG_AGO = 1_600_000_000.0


async def test_what_was_erased_is_in_no_file_and_no_dump(system: System) -> None:
    """Workers and API go on, and so do jobs, whose pages lie between."""
    system.add_directory("sim")
    await system.worker()
    jobs = [await system.generate(n % 30 + 1, directory="sim") for n in range(80)]
    for job in jobs:
        await system.final(job)
    doomed = jobs[::2]
    rows = system.rows("SELECT job_id, idx, sealed FROM accounts")
    secrets = {job: [bytes(sealed) for name, _, sealed in rows if name == job] for job in jobs}
    sealer = load_sealer(system.settings.sealing_key_file)
    plain = [sealer.unseal(sealed, "default", tag_of(job, n)) for job, n, sealed in rows]
    for job in doomed:
        _age(system, job)
    gone = [sealed for job in doomed for sealed in secrets[job]]
    kept = [sealed for job in jobs[1::2] for sealed in secrets[job]]
    assert _found(await _everything(system), [*gone, *kept]) == len(rows)
    done = await _botrix(system, "purge", "--json")
    assert (done["erased_jobs"], done["erased_passwords"]) == (len(doomed), len(gone))
    left = await _everything(system)
    assert _found(left, gone) == 0
    assert _found(left, kept) == len(kept)
    assert not any(password.encode() in left for password in plain)
    answer = await system.post(f"/api/accounts/{doomed[0]}:0/reveal", {}, 410)
    assert "was erased" in answer["detail"]
    await system.post(f"/api/accounts/{jobs[1]}:0/reveal", {}, 200)
    assert (await system.final(await system.generate(3, directory="sim")))["created"] == 3


async def test_a_purge_that_was_killed_goes_on(system: System) -> None:
    job = await _many(system)
    kept = await system.generate(1, directory="sim")
    _age(system, job)
    process = await _start(system, "purge", BOTRIX_RETENTION_DAYS="30")

    async def begun() -> bool:
        return system.rows("SELECT count(*) FROM accounts")[0][0] < 10_000

    await until(begun, 30, "some accounts are deleted")
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    left = system.rows("SELECT count(*) FROM accounts")[0][0]
    assert 0 < left < 10_000, "it was killed too late to be of use"
    await system.post(f"/api/jobs/{job}/retry", {}, 404)
    assert [one["id"] for one in (await system.get("/api/jobs"))["items"]] == [kept]
    process = await _start(system, "purge", "--json", BOTRIX_RETENTION_DAYS="30")
    said, failed = await process.communicate()
    assert process.returncode == 0, failed
    assert f'"purged_jobs": 1, "purged_accounts": {left}'.encode() in said
    assert system.rows("SELECT id FROM jobs") == [(kept,)]
    assert system.rows("SELECT count(*) FROM accounts") == [(0,)]
    assert system.rows("SELECT count(*) FROM history WHERE job_id = ?", job) == [(0,)]


async def test_a_worker_erases_by_itself(system: System) -> None:
    job = await _many(system, 50)
    _age(system, job)
    await system.worker("keeper")

    async def erased() -> bool:
        return system.rows("SELECT count(*) FROM jobs WHERE erased_at IS NULL") == [(0,)]

    await until(erased, 20, "the worker has erased the passwords")
    assert system.rows("SELECT count(*) FROM accounts WHERE sealed IS NOT NULL") == [(0,)]


def _age(system: System, job: str) -> None:
    at = (_LONG_AGO, job)
    system.rows("UPDATE accounts SET updated_at = ? WHERE job_id = ? RETURNING idx", *at)
    for name in ("finished_at", "created_at"):
        system.rows(f"UPDATE jobs SET {name} = ? WHERE id = ? RETURNING id", *at)


async def _everything(system: System) -> bytes:
    """All that the ledger has on the disk; of a server, all that a dump of it has."""
    url = system.settings.ledger_url
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    program = shutil.which("pg_dump")
    if program is not None:
        dump = await asyncio.create_subprocess_exec(
            program, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, _ = await dump.communicate()
        if dump.returncode == 0:  # it refuses a server that is newer than itself
            return said
    names = system.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return repr([system.rows(f"SELECT t::text FROM {name} t") for (name,) in names]).encode()


def _found(where: bytes, secrets: list[bytes]) -> int:
    """As bytes or, in a dump, as hexadecimal digits; the id of the key is no secret."""
    return sum(one[17:] in where or one.hex().encode() in where for one in secrets)
