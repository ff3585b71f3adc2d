"""Neither logs, in either form, nor spans show a secret; spans name nobody."""

from __future__ import annotations

import json
import re
import secrets as made_up
from pathlib import Path

import pytest

from botrix import key_ring
from botrix.keys import new_key
from tests.servers.collector import Collector
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import FAST, System

pytestmark = pytest.mark.suite("Valkey")
_RULES = [
    {"do": "400", "on": "create", "match": "carol", "echo": True},
    {"do": "500", "on": "create", "times": 3, "echo": True},
    {"do": "junk", "on": "create", "times": 1, "done": True},
]


@pytest.mark.parametrize("form", ["json", "text"])
async def test_what_people_see_holds_no_secret(
    folder: Path,
    collector: Collector,
    directory: SimulatedDirectory,
    token_file: str,
    form: str,
) -> None:
    """A job of which much goes wrong, and a directory that repeats the passwords it was sent."""
    key = new_key().text
    environ = {**FAST, **collector.environ, "BOTRIX_LOG_LEVEL": "DEBUG", "LOG_FORMAT": form}
    log = folder / "log"
    system = System(folder, {**environ, "BOTRIX_API_KEY": key}, log=log)
    system.key = key
    try:
        await system.start()
        for name, bulk in (("idp", False), ("bulk", True)):
            system.add_directory(
                name, kind="scim", url=directory.url, token_file=token_file, bulk=bulk
            )
        await directory.misbehave(rules=_RULES, bulk={"most": 50})
        await system.worker()
        people = {f"{name}{n}": f"S3cret-{name}-{n}!" for name in ("alice", "carol") for n in "12"}
        trace, known = made_up.token_hex(16), [key, TOKEN]
        for name in ("idp", "bulk"):
            rows = [f"{u}{name},{u}{name}@corp.example,{p}" for u, p in people.items()]
            known += [row.split(",")[2] for row in rows]
            roster = "\n".join(["username,email,password", *rows])
            said = {"Content-Type": "text/csv", "traceparent": f"00-{trace}-{'1' * 16}-01"}
            path = f"/api/accounts/import?directory={name}"
            async with system.http.post(path, data=roster, headers=said) as answer:
                job = (await answer.json())["id"]
            await system.final(job, 60)
            revealed = await system.post(f"/api/accounts/{job}:0/reveal", {}, 200)
            known.append(revealed["password"])
        for path in ("/api/accounts?username=alice1idp", "/api/jobs/alice@corp.example"):
            await system.get(path)
        known += [one.line for one in key_ring.read(system.settings.sealing_key_file).keys]
        await collector.has(trace, "record", 2)
        assert await system.terminate("worker-1") == 0
    finally:
        await system.stop()
    told, spans = log.read_text(), b"".join(collector.bodies)
    assert "job failed" in told
    assert re.search(r'"trace_id": "' if form == "json" else r"  trace_id=", told)
    for secret in filter(None, known):
        assert secret not in told, f"the log shows {secret!r}"
        assert secret.encode() not in spans, f"a span shows {secret!r}"
    for person in ("alice", "carol", "corp.example"):
        assert person.encode() not in spans, f"a span names {person!r}"
    if form == "json":
        assert all(json.loads(line)["event"] for line in told.splitlines())
    else:
        assert not any(line.startswith("{") for line in told.splitlines())
