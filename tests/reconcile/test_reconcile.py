"""The whole system before a local directory, scim2-server and OpenLDAP: what was removed, changed
and added behind its back is found, and mended."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.behind import Behind, behind
from tests.servers.keys import make_tenant
from tests.servers.system import System, until

KINDS = pytest.mark.parametrize(
    "kind",
    [
        "local",
        pytest.param("scim", marks=pytest.mark.suite("scim2-server")),
        pytest.param("ldap", marks=pytest.mark.suite("slapd")),
    ],
)


def environ(system: System) -> dict[str, str]:
    return {
        **system.environ, "BOTRIX_DATA": str(system.settings.data),
        "BOTRIX_LEDGER_URL": system.settings.ledger_url, "REDIS_URL": system.settings.redis_url,
        "BOTRIX_LOG_LEVEL": "ERROR",
    }  # fmt: skip


async def reconcile(system: System, *words: str, status: int = 0) -> str:
    """What the command says; where it fails, behind that its errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "botrix",
        "reconcile",
        *words,
        env=environ(system),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, (out.decode(), err.decode())
    return out.decode() + (err.decode() if "--json" not in words else "")


async def found(system: System, *words: str, status: int = 1) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await reconcile(system, *words, "--json", status=status))
    said["told"] = {
        (row["account"].rpartition(":")[2], row["what"], row["reason"]) for row in said["rows"]
    }
    return said


async def made(system: System, count: int) -> tuple[str, list[str]]:
    """A job in `place`, and the names of its accounts."""
    await system.worker()
    job = await system.generate(count, directory="place")
    done = await system.final(job, 60)
    assert (done["status"], done["created"]) == ("completed", count), done
    rows = system.rows("SELECT username FROM accounts WHERE job_id = ? ORDER BY idx", job)
    return job, [row[0] for row in rows]


async def disturb(system: System, place: Behind, job: str, names: list[str]) -> None:
    """0 is removed, 1 changed, 2 gives way to somebody else, 3 is renamed; 4 failed and 5 was
    cancelled by the ledger; an entry comes of an account that is none, and of jobs that are not
    known or another tenant's."""
    await place.remove(names[0])
    await place.change(names[1], "married@x.example")
    await place.remove(names[2])
    await place.add(names[2], "by hand")
    await place.rename(names[3], "renamed")
    for index, state in ((4, "failed"), (5, "cancelled")):
        system.rows(
            f"UPDATE accounts SET status = '{state}', reason = 'x' WHERE job_id = ? AND idx = ?"
            " RETURNING idx", job, index,
        )  # fmt: skip
    system.rows(
        "UPDATE jobs SET status = 'failed', created = created - 2, failed = 1, cancelled = 1"
        " WHERE id = ? RETURNING id", job,
    )  # fmt: skip
    await place.add("nobody", f"botrix:{job}:99")
    await place.add("never", "botrix:never:0")
    await place.add("broken", "botrix:broken")
    make_tenant(system, "acme")
    system.rows(
        "INSERT INTO jobs (id, tenant_id, source, directory, count, created_at, updated_at)"
        " VALUES ('theirs', 'acme', 'generate', 'local', 1, 0, 0) RETURNING id"
    )
    await place.add("theirs", "botrix:theirs:0")


@KINDS
async def test_what_was_done_behind_its_back_is_found_and_mended(
    system: System, tmp_path: Path, kind: str
) -> None:
    async with behind(kind, tmp_path, system) as place:
        job, names = await made(system, 8)
        assert (await found(system, job, status=0))["compared"] == 8
        await disturb(system, place, job, names)
        before = await place.tags()

        said = await found(system, "--directory", "place")
        email = ("1", "changed", "email")
        assert said["told"] == {
            ("0", "missing", "nobody"), email, ("2", "missing", "name taken"),
            ("3", "changed", "name"), ("4", "unknown", "failed"), ("5", "unknown", "cancelled"),
            ("99", "unknown", "no such account"), ("0", "unknown", "no such job"),
        }  # fmt: skip
        assert (said["compared"], said["others"], said["left"]) == (6, 1, 8)
        missed = {("0", "missing", "nobody"), email, ("2", "missing", "name taken")}
        alone = (await found(system, job))["told"]
        assert alone == {*missed, ("3", "missing", "nobody")}
        assert await place.tags() == before
        refused = await reconcile(system, "--directory", "place", "--forget", status=1)
        assert "give --yes" in refused

        said = await found(system, job, "--accept", "--recreate", "--yes")
        assert {row["mended"] for row in said["rows"]} == {"taken over", "to be made anew", ""}
        done = await system.final(job, 60)
        assert (done["status"], done["created"], done["failed"]) == ("failed", 6, 1)
        now = await place.tags()
        assert now == {**before, names[0]: f"botrix:{job}:0"}
        account = await system.post(f"/api/accounts/{job}:0/reveal", {}, 200)
        assert account["username"] == names[0]

        mend = ("--adopt", "--forget", "--remove-unknown", "--yes")
        refused = await reconcile(
            system, "--directory", "place", *mend, "--max-deletes", "1", status=1
        )
        assert "more than --max-deletes 1" in refused
        assert await place.tags() == now
        said = await found(system, "--directory", "place", *mend)
        assert [row["reason"] for row in said["rows"] if not row["mended"]] == ["no such job"]
        done = await system.get(f"/api/jobs/{job}")
        assert (done["status"], done["created"], done["deleted"]) == ("completed", 6, 2)
        for gone in ("nobody", names[5]):
            del now[gone]
        assert await place.tags() == now

        also = ("--remove-unknown", "--also-of", "never", "--yes")
        await found(system, "--directory", "place", *also, status=0)
        del now["never"]
        assert await place.tags() == now
        last = await found(system, "--directory", "place", status=0)
        assert (last["compared"], last["rows"], last["others"]) == (6, [], 1)
        acts = system.rows("SELECT what, object FROM audit WHERE what = 'entry.remove' ORDER BY n")
        assert [row[1] for row in acts][-1] == "botrix:never:0"


async def test_those_of_the_directory_are_all_there_in_a_file(
    system: System, tmp_path: Path
) -> None:
    async with behind("local", tmp_path, system) as place:
        job, names = await made(system, 104)
        for name in names[:102]:
            await place.remove(name)
        await place.change(names[103], "=cmd()")
        out = tmp_path / "rows.csv"
        said = await reconcile(system, job, "--out", str(out), status=1)
        assert "first 100 of 103" in said
        assert "make them again with --recreate" in said
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert (len(rows), rows[0]["account"]) == (103, f"{job}:0")
        assert (out.stat().st_mode & 0o777) == 0o600
        assert all("'=" in row["detail"] or "nobody" in row["detail"] for row in rows)
        assert "cannot be made" in await reconcile(system, job, "--out", str(out), status=1)
        assert "nothing was mended" not in await reconcile(
            system, "--directory", "place", "--forget", "--yes", status=1
        )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name a JOB"),
        (("x", "--directory", "place"), "name a JOB"),
        (("x", "--adopt"), "--directory"),
        (("--directory", "x", "--also-of", "y"), "--remove-unknown"),
    ],
)
async def test_what_cannot_be_meant_is_wrong_usage(words: tuple[str, ...], told: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", "reconcile", *words, stdout=PIPE, stderr=PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert told in err.decode()


async def test_it_goes_on_beside_a_worker_that_makes_more(system: System, tmp_path: Path) -> None:
    """What is under way is none of it, whatever the directory shows already."""
    async with behind("local", tmp_path, system) as place:
        await made(system, 2)
        job = await system.generate(60, directory="place")

        async def some() -> bool:
            return len(await place.tags()) > 5

        await until(some, 30, "some entries")
        said = await found(system, "--directory", "place", status=0)
        assert said["rows"] == []
        done = await system.final(job, 60)
        assert done["created"] == 60
