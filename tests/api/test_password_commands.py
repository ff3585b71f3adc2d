"""Passwords at the command line."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from botrix.creators.local import verify
from tests.api.test_passwords import created, table
from tests.servers.system import System
from tests.unit.test_cards import Page


@pytest_asyncio.fixture
async def working(system: System) -> System:
    system.add_directory("sim")
    await system.worker()
    return system


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def _run(system: System, *command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, "--url", system.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_reveals_and_resets(system: System) -> None:
    await system.worker()
    account = f"{await created(system, directory='local')}:0"
    directory = system.settings.local_directory_file
    code, out, _ = await _run(system, "reveal", account)
    assert code == 0
    assert verify(directory, *out.split())
    code, out, err = await _run(system, "reveal", account)
    assert (code, out) == (1, "")
    assert "/reset" in err
    code, out, _ = await _run(system, "reset", account)
    assert (code, out.strip().endswith(f"botrix reveal {account}")) == (0, True)
    code, out, _ = await _run(system, "reveal", account, "--json")
    said = json.loads(out)
    assert verify(directory, said["username"], said["password"])
    assert (await _run(system, "reset", "none:0"))[0] == 1


async def test_the_command_line_exports_in_parts(working: System, tmp_path: Path) -> None:
    job = await created(working, 5)
    out = tmp_path / "seats.csv"
    out.write_text("mine")
    code, _, err = await _run(working, "export", job, "--out", str(out))
    assert (code, "cannot be made" in err) == (1, True)
    assert out.read_text() == "mine"
    out.unlink()
    code, said, err = await _run(working, "export", job, "--out", str(out), "--limit", "2")
    assert (code, said.count("passwords"), err.count("in the clear")) == (0, 3, 3)
    parts = [out, tmp_path / "seats-2.csv", tmp_path / "seats-3.csv"]
    assert [_mode(path) for path in parts] == [0o600] * 3
    assert [len(table(path.read_bytes())) for path in parts] == [2, 2, 1]
    code, _, err = await _run(working, "export", job, "--out", str(tmp_path / "more.csv"))
    assert (code, "no password of job" in err) == (1, True)
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in parts)


async def test_the_command_line_seals_an_export(working: System, tmp_path: Path) -> None:
    pyrage = pytest.importorskip("pyrage")
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    job, out = await created(working, 3), tmp_path / "seats.csv.age"
    command = ("export", job, "--out", str(out), "--recipient")
    code, _, err = await _run(working, *command, str(mine))
    assert (code, "no public key of age" in err, str(mine) in err) == (1, True, False)
    code, _, err = await _run(working, *command, str(mine.to_public()), "--limit", "2")
    assert (code, err) == (0, "")
    parts = [out, tmp_path / "seats-2.csv.age"]
    assert [len(table(pyrage.decrypt(path.read_bytes(), [mine]))) for path in parts] == [2, 1]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(out.read_bytes(), [other])


async def test_the_command_line_writes_cards(working: System, tmp_path: Path) -> None:
    job, out = await created(working, 12), tmp_path / "seats.html"
    command = ("export", job, "--out", str(out), "--title", "Lab <3>")
    code, _, err = await _run(working, *command)
    assert (code, "title and sign_in are for the format cards" in err) == (1, True)
    assert not out.exists()
    more = ("--format", "cards", "--sign-in", "https://lab.example", "--limit", "7")
    code, said, err = await _run(working, *command, *more)
    assert (code, said.count("passwords"), err.count("print it")) == (0, 2, 2)
    pages = [out, tmp_path / "seats-2.html"]
    assert [_mode(path) for path in pages] == [0o600] * 2
    found = [Page(path.read_bytes()) for path in pages]
    assert [page.tags.count("article") for page in found] == [7, 5]
    assert set(found[0].texts["title"]) == {"Lab <3>"}
    names = [name for page in found for name in page.texts["username"]]
    assert names == [row[0] for row in working.rows("SELECT username FROM accounts ORDER BY idx")]
    assert working.rows("SELECT count(sealed) FROM accounts") == [(0,)]
