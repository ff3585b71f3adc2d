"""`botrix directory add`: sealed secrets that are seen nowhere, and policies that are obeyed."""

from __future__ import annotations

import asyncio
import os
import pty
import sqlite3
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators.local import verify
from botrix.model import tag_of
from botrix.sealing import load_sealer
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until

_TABLES = ("directories", "jobs", "accounts", "sessions", "history", "bad_rows", "audit")


@pytest_asyncio.fixture
async def idp(tmp_path: Path):
    server = SimulatedDirectory(tmp_path)
    await server.begin()
    yield server
    await server.stop()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "processes.log"


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def logged(request: pytest.FixtureRequest, folder: Path, log: Path):
    """A system whose processes write what they say into a file."""
    url = None
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").database()
    made = System(folder, ledger_url=url, log=log)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


def _environ(system: System) -> dict[str, str]:
    named = {"BOTRIX_DATA": str(system.settings.data), "BOTRIX_LEDGER_URL": system.direct_url}
    return {**os.environ, **named, "REDIS_URL": system.settings.redis_url}


async def botrix(system: System, *command: str, typed: str = "") -> tuple[int, str]:
    """Its exit status and all it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, env=_environ(system), stdin=PIPE, stdout=PIPE,
        stderr=STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate(typed.encode())
    return process.returncode or 0, said.decode()


def _scim(name: str, url: str, *more: str) -> tuple[str, ...]:
    return ("directory", "add", name, "--kind", "scim", "--set", f"url={url}", *more)


def _text(log: Path) -> str:
    return log.read_text()


def _stored(system: System) -> str:
    return repr([system.rows(f"SELECT * FROM {table}") for table in _TABLES])


async def test_a_sealed_token_works_and_is_seen_nowhere(
    logged: System, idp: SimulatedDirectory, log: Path
) -> None:
    said = [await botrix(logged, *_scim("idp", idp.url, "--secret", "token"), typed=f"{TOKEN}\n")]
    said.append(await botrix(logged, "directory", "list"))
    said.append(await botrix(logged, "directory", "list", "--json"))
    said.append(await botrix(logged, "directory", "check", "idp"))
    assert {status for status, _ in said} == {0}, said
    await logged.worker()
    job = await logged.generate(3, directory="idp")
    assert (await logged.final(job))["created"] == 3
    paths = ("directories", f"jobs/{job}", f"jobs/{job}/history", f"jobs/{job}/accounts")
    answers = [await logged.get(f"/api/{path}") for path in paths]
    answers.append(await logged.get("/openapi.json"))
    ((kept,),) = logged.rows("SELECT secrets FROM directories WHERE name = 'idp'")
    outside = f"{said}{answers}{_text(log)}{await logged.redis.keys('*')}"
    assert TOKEN not in outside + _stored(logged)
    assert "session started" in outside
    assert kept.split('"')[3] not in outside  # not even sealed


async def test_a_token_that_is_refused_later_is_sealed_anew(
    system: System, idp: SimulatedDirectory
) -> None:
    add = _scim("idp", idp.url, "--secret", "token")
    assert (await botrix(system, *add, typed="an-0ld-t0ken\n"))[0] == 0
    status, said = await botrix(system, "directory", "check", "idp")
    assert (status, "an-0ld-t0ken" in said) == (1, False)
    again = await botrix(system, "directory", "secret", "idp", "token", typed=f"{TOKEN}\n")
    assert again[0] == 0, again
    assert (await botrix(system, "directory", "check", "idp"))[0] == 0


async def test_it_is_typed_unseen_at_a_terminal(system: System, idp: SimulatedDirectory) -> None:
    leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *_scim("idp", idp.url, "--secret", "token"),
        env=_environ(system), stdin=follower, stdout=follower, stderr=follower,
        start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    os.set_blocking(leader, False)
    shown = ""

    async def asked() -> bool:
        nonlocal shown
        shown += _read(leader)
        return "token:" in shown

    await until(asked, 20, "the token is asked for")
    os.write(leader, f"{TOKEN}\n".encode())
    assert await process.wait() == 0
    shown += _read(leader)
    os.close(leader)
    assert "was added" in shown
    assert TOKEN not in shown
    assert (await botrix(system, "directory", "check", "idp"))[0] == 0


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode()
    except OSError:
        return ""


async def test_a_sealed_secret_opens_in_its_own_place_alone(
    system: System, idp: SimulatedDirectory
) -> None:
    """Copied to a directory at another address, it would be sent there."""
    for name in ("one", "two"):
        await botrix(system, *_scim(name, idp.url, "--secret", "token"), typed=f"{TOKEN}\n")
    assert (await botrix(system, "directory", "check", "two"))[0] == 0
    copied = "(SELECT secrets FROM directories WHERE name = 'one')"
    system.rows(f"UPDATE directories SET secrets = {copied} WHERE name = 'two' RETURNING name")
    for spoilt in (None, '{"token": "AQ=="}', '{"token": "no base64!"}'):
        if spoilt:
            system.rows("UPDATE directories SET secrets = ? WHERE name = 'two' RETURNING 1", spoilt)
        status, said = await botrix(system, "directory", "check", "two")
        assert status == 1
        assert said.startswith("Error: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--set", "token=s3cret"), "--secret token"),
        (("--secret", "token=s3cret"), "the name of a secret alone"),
        (("--secret", "colour"), "may be sealed: token"),
        (("--secret", "token", "--set", "token_env=HOME"), "once"),
        (("--secret", "token", "--policy", "length=9"), "set length=22"),
        (("--secret", "token", "--policy", "must_change=true"), "no standard way"),
    ],
)
async def test_what_is_not_added(folder: Path, given: tuple[str, ...], told: str) -> None:
    system = System(folder)  # it is never started, so that nothing can have been written
    status, said = await botrix(system, *_scim("idp", "https://x", *given), typed="s3cret\n")
    await system.redis.aclose()
    assert status == 1
    assert told in said
    assert "s3cret" not in said


async def _unsealed(system: System, job: str) -> list[str]:
    rows = system.rows("SELECT idx, sealed FROM accounts WHERE job_id = ? ORDER BY idx", job)
    sealer = load_sealer(system.settings.sealing_key_file)
    return [sealer.unseal(bytes(sealed), "default", tag_of(job, idx)) for idx, sealed in rows]


async def test_a_policy_is_obeyed(system: System) -> None:
    add = ("directory", "add", "lab", "--kind", "simulated")
    rules = ("--policy", "length=40", "--policy", "signs=!", "--policy", "must_change=true")
    assert (await botrix(system, *add, *rules))[0] == 0
    await system.worker()
    job = await system.generate(20, directory="lab")
    assert (await system.final(job))["created"] == 20
    await _all_obey(system, job, 20)
    raw = '{"id": "raw-1", "count": 2, "directory": "lab"}'
    await system.redis.rpush("botrix:jobs:queue", raw)

    async def known() -> bool:
        return bool(system.rows("SELECT 1 FROM jobs WHERE id = 'raw-1'"))

    await until(known, 15, "the raw job is in the ledger")
    await system.final("raw-1")
    await _all_obey(system, "raw-1", 2)
    other = await system.final(await system.generate(1))
    assert {len(one) for one in await _unsealed(system, other["id"])} == {24}


async def _all_obey(system: System, job: str, count: int) -> None:
    passwords = await _unsealed(system, job)
    assert len(passwords) == count
    for one in passwords:
        assert len(one) == 40
        assert "!" in one
        assert not set("-_") & set(one)


async def test_a_roster_is_held_to_the_policy(system: System) -> None:
    add = ("directory", "add", "lab", "--kind", "simulated")
    assert (await botrix(system, *add, "--policy", "length=22", "--policy", "signs=-_"))[0] == 0
    good = "Abcdefghijklmnop-123456"
    roster = f"username,password\nann,Sh0rt-pass\nbob,{good}\neve,\nzoe,{good[:-1]}!\n"
    headers = {"Content-Type": "text/csv"}
    async with system.http.post(
        "/api/accounts/import?directory=lab", data=roster, headers=headers
    ) as answer:
        job = await answer.json()
    reasons = {row["row"]: row["reason"] for row in job["rows"]}
    assert set(reasons) == {2, 5}
    assert "shorter than 22" in reasons[2]
    assert "none of -_" in reasons[5]
    kept, made = await _unsealed(system, job["id"])
    assert (kept, len(made)) == (good, 22)


async def test_a_local_directory_demands_a_change(system: System, tmp_path: Path) -> None:
    """Also in a file that an earlier release made, of which the table knows no such thing."""
    path = tmp_path / "entries.sqlite"
    _as_before(path)
    add = ("directory", "add", "lab", "--kind", "local", "--set", f"path={path}")
    assert (await botrix(system, *add, "--policy", "must_change=true"))[0] == 0
    await system.worker()
    job = await system.final(await system.generate(2, directory="lab", template="new{n}"))
    assert job["created"] == 2
    with closing(sqlite3.connect(path)) as db:
        rows = dict(db.execute("SELECT username, must_change FROM entries"))
    assert rows == {"old": 0, "new1": 1, "new2": 1}
    assert verify(path, "new1", (await _unsealed(system, job["id"]))[0])


def _as_before(path: Path) -> None:
    columns: Any = ["entry_id", "username_key", "username", "tag", "email", "given_name"]
    columns += ["family_name", "display_name", "password_hash"]
    text = ", ".join(f"{name} TEXT NOT NULL" for name in columns)
    unique = text.replace("username_key TEXT NOT NULL", "username_key TEXT NOT NULL UNIQUE")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            f"CREATE TABLE entries ({unique}, active INTEGER NOT NULL DEFAULT 1,"
            " created_at REAL NOT NULL) STRICT"
        )
        marks = ", ".join("?" * 9)
        db.execute(f"INSERT INTO entries VALUES ({marks}, 1, 0)", ["x", "old", "old", *["t"] * 6])
