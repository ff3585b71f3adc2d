"""The whole system against a SCIM directory that loses answers, while workers are killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.servers.scim import TOKEN, RealScim, SimulatedDirectory
from tests.servers.system import System, until


def _settings(folder: Path, url: str) -> dict[str, str]:
    token = folder / "token"
    token.write_text(TOKEN)
    return {"url": url, "token_file": str(token)}


@pytest.mark.parametrize("quirk", ["", "ignore_filter", "duplicate_is_500", "bulk"])
async def test_exactly_n_accounts_though_answers_are_lost(
    system: System, tmp_path: Path, quirk: str
) -> None:
    rules = [
        {"do": "reset", "done": True, "share": 0.3},
        {"do": "500", "share": 0.05},
        {"do": "502", "done": True, "share": 0.05},
        {"do": "reset", "on": "bulk", "done": True, "share": 0.3},
        {"do": "500", "on": "bulk", "done": True, "share": 0.2},
        {"do": "502", "on": "bulk", "share": 0.2},
    ]
    directory = SimulatedDirectory(tmp_path)
    has: Any = {"most": 40, "forgets": 7} if quirk == "bulk" else True
    await directory.begin(rules=rules, seed=7, delay=0.005, **({quirk: has} if quirk else {}))
    try:
        system.add_directory("idp", kind="scim", **_settings(tmp_path, directory.url))
        await system.worker("worker-1")
        await system.worker("worker-2")
        job = await system.generate(500, directory="idp")

        async def under_way() -> bool:
            return len(directory.calls()) > 100

        await until(under_way, 60, "calls")
        await system.kill("worker-1")
        done = await system.final(job, 60)
        created = directory.created()
        entries = await directory.entries()
    finally:
        await directory.stop()
    assert (done["status"], done["created"]) == ("completed", 500)
    assert max(created.values()) == 1
    tags = {entry["externalId"] for entry in entries}
    assert tags == {f"botrix:{job}:{n}" for n in range(500)}
    assert len(entries) == 500


@pytest.mark.suite("scim2-server")
async def test_a_roster_goes_into_a_real_server(system: System, tmp_path: Path) -> None:
    real = RealScim()
    await real.begin()
    try:
        system.add_directory("idp", kind="scim", **_settings(tmp_path, real.url))
        await real.ask("POST", "/Users", {"userName": "user-3", "externalId": "by hand"})
        await system.worker()
        roster = "username\n" + "".join(f"user-{n}\n" for n in range(40))
        async with system.http.post(
            "/api/accounts/import?directory=idp",
            data=roster.encode(),
            headers={"Content-Type": "text/csv"},
        ) as answer:
            job = (await answer.json(content_type=None))["id"]
        done = await asyncio.wait_for(system.final(job, 60), 60)
        users = await real.users()
    finally:
        await real.stop()
    assert (done["status"], done["created"], done["failed"]) == ("failed", 39, 1)
    assert sorted(u["userName"] for u in users) == sorted(f"user-{n}" for n in range(40))
    assert [u["externalId"] for u in users if u["userName"] == "user-3"] == ["by hand"]
    (failed,) = (await system.get(f"/api/jobs/{job}/accounts?status=failed"))["items"]
    assert (failed["username"], failed["reason"]) == ("user-3", "name taken")


async def test_a_generated_name_that_is_taken_gives_way(system: System, tmp_path: Path) -> None:
    """Somebody takes a third of the names just before they are created."""
    directory = SimulatedDirectory(tmp_path)
    await directory.begin(steal=0.3, seed=3)
    try:
        system.add_directory("idp", kind="scim", **_settings(tmp_path, directory.url))
        await system.worker()
        done = await system.final(await system.generate(100, directory="idp"), 30)
        fixed = await system.generate(20, directory="idp", template="seat-{n:02}")
        failed = await system.final(fixed, 30)
        entries = await directory.entries()
    finally:
        await directory.stop()
    ours = {e["externalId"]: e["userName"] for e in entries if e["externalId"] != "stolen"}
    assert (done["status"], done["created"]) == ("completed", 100)
    names = dict(system.rows("SELECT 'botrix:' || job_id || ':' || idx, username FROM accounts"))
    assert {tag: names[tag] for tag in ours} == ours
    assert failed["status"] == "failed"
    assert failed["created"] + failed["failed"] == 20
    assert len(ours) == 100 + failed["created"]
    reasons = system.rows("SELECT DISTINCT reason FROM accounts WHERE status = 'failed'")
    assert reasons == [("name taken",)]
