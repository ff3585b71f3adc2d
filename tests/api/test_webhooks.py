"""Webhooks as an administrator sees to them: by the API, and at a console."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from botrix.roles import Role
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.receiver import Answer, Receiver
from tests.servers.system import System, until
from tests.webhooks.conftest import receiver

__all__ = ["receiver"]
_URL = "https://hooks.example/botrix?token=hush"


async def _console(system: System, *words: str, status: int = 0) -> Any:
    """What `botrix webhook … --json` says; in JSON, or as text where it failed."""
    env = {
        **os.environ,
        "BOTRIX_DATA": str(system.settings.data),
        "BOTRIX_LEDGER_URL": system.settings.ledger_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", "webhook", *words, "--json", env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, failed = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, failed
    return json.loads(said) if said else failed.decode()


async def test_a_secret_is_shown_once(system: System) -> None:
    made = await system.post("/api/webhooks", {"url": _URL, "events": ["job.failed"]}, 201)
    assert made["secret"].startswith("whsec_")
    assert (made["url"], made["events"], made["networks"]) == (_URL, ["job.failed"], [])
    (listed,) = (await system.get("/api/webhooks"))["items"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert await system.get(f"/api/webhooks/{made['id']}") == listed
    rotated = await system.post(f"/api/webhooks/{made['id']}/rotate", {}, 200)
    assert rotated["secret"] not in (None, made["secret"])
    kept = system.rows("SELECT secret FROM webhooks")[0][0]
    assert made["secret"] not in kept
    assert rotated["secret"] not in kept


async def test_a_key_adds_one_and_shows_no_secret_again(system: System) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await system.post("/api/webhooks", {"url": _URL}, 201, **headers)
    again = await system.post("/api/webhooks", {"url": _URL}, 201, **headers)
    assert (again["id"], again["secret"]) == (first["id"], None)
    await system.post("/api/webhooks", {"url": _URL + "2"}, 422, **headers)
    assert len((await system.get("/api/webhooks"))["items"]) == 1
    path = f"/api/webhooks/{first['id']}/rotate"
    secrets = [(await system.post(path, {}, 200, **{"Idempotency-Key": "r"}))["secret"]
               for _ in range(2)]  # fmt: skip
    assert [secret is None for secret in secrets] == [False, True]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"url": "http://hooks.example/"}, "use https"),
        ({"url": "https://10.0.0.1/"}, "list its network"),
        ({"url": "https://169.254.169.254/", "networks": ["169.254.0.0/16"]}, "metadata"),
        ({"url": _URL, "networks": ["10.0.0.0"]}, ""),
        ({"url": _URL, "networks": ["0.0.0.0/0"]}, "too wide"),
        ({"url": _URL, "events": ["job.exploded"]}, "there is no event 'job.exploded'"),
        ({"url": _URL, "events": []}, "events"),
        ({"url": _URL, "secret": "whsec_mine"}, "secret"),
        ({"url": "https://u:hunter2@hooks.example/"}, "without a user"),
    ],
)
async def test_what_cannot_be_added(system: System, body: dict[str, Any], says: str) -> None:
    if body.get("networks") == ["10.0.0.0"]:
        await system.post("/api/webhooks", body, 201)  # one address
        return
    said = await system.post("/api/webhooks", body, 422)
    assert says in said["detail"]
    assert "hunter2" not in json.dumps(said)
    assert system.rows("SELECT id FROM webhooks") == []


async def test_a_tenant_has_twenty_at_most(system: System) -> None:
    for _ in range(20):
        await system.post("/api/webhooks", {"url": _URL}, 201)
    await system.post("/api/webhooks", {"url": _URL}, 422)


async def test_other_tenants_reach_the_public_alone(system: System) -> None:
    make_tenant(system, "other")
    await make_key(system)
    async with bearing(system, await make_key(system, Role.ADMIN, "other")) as http:
        for body, status in (
            ({"url": _URL}, 201),
            ({"url": "http://localhost:6379/"}, 403),
            ({"url": "https://10.0.0.1/", "networks": ["10.0.0.0/24"]}, 403),
            ({"url": "http://hooks.example/", "allow_http": True}, 403),
        ):
            async with http.post("/api/webhooks", json=body) as answer:
                assert answer.status == status, body
        made = await _console(system, "add", "http://localhost:9/", "--tenant", "other")
        async with http.get("/api/webhooks") as answer:
            assert made["id"] in await answer.text()


async def test_all_that_is_done_is_in_the_record(system: System) -> None:
    made = await system.post("/api/webhooks", {"url": _URL}, 201)
    path = f"/api/webhooks/{made['id']}"
    await system.post(f"{path}/rotate", {}, 200)
    test = await system.post(f"{path}/test", {}, 202)
    await system.post(f"{path}/enable", {}, 200)
    await system.post(f"/api/webhooks/deliveries/{test['n']}/replay", {}, 202)
    await system.post(f"{path}/replay", {}, 202)
    async with system.http.delete(path) as answer:
        assert answer.status == 204
    async with system.http.delete(path) as answer:
        assert answer.status == 404
    lines = (await system.get("/api/audit"))["items"]
    verbs = ("add", "rotate", "test", "enable", "replay", "replay", "remove")
    assert [line["what"] for line in lines] == [f"webhook.{verb}" for verb in verbs]
    assert {line["object"] for line in lines} == {made["id"]}
    assert "hush" not in json.dumps(lines)
    assert "whsec" not in json.dumps(lines)
    assert [line["detail"] for line in lines[:1]] == ["hooks.example"]


async def test_what_a_console_does(system: System, receiver: Receiver) -> None:
    made = await _console(system, "add", receiver.url, "--event", "job.completed")
    receiver.secrets.append(made["secret"])
    assert [one["id"] for one in await _console(system, "list")] == [made["id"]]
    await system.worker()
    tested = await _console(system, "test", made["id"])
    assert tested["status"] == "sent"
    receiver.answers = [Answer(500)]
    tested = await _console(system, "test", made["id"], status=1)
    assert (tested["status"], tested["problem"]) == ("dead", "HTTP 500")
    (dead,) = await _console(system, "deliveries")
    assert dead["n"] == tested["n"]
    assert await _console(system, "replay", "--all", made["id"]) == {"replayed": 1}

    async def replayed() -> bool:
        return len(receiver.got) == 3

    await until(replayed, 20, "the dead one came")
    assert len({one.id for one in receiver.got}) == 2
    assert all(one.good == (True,) for one in receiver.got)
    rotated = await _console(system, "rotate", made["id"])
    receiver.secrets.append(rotated["secret"])
    await system.generate(1)

    async def told() -> bool:
        return len(receiver.got) == 4

    await until(told, 20, "the job's end came")
    assert (receiver.got[-1].type, receiver.got[-1].good) == ("job.completed", (True, True))
    assert "give the number" in await _console(system, "replay", status=2)
    assert await _console(system, "enable", made["id"])
    await _console(system, "remove", made["id"])
    assert await _console(system, "list") == []
    said = await _console(system, "add", "http://10.0.0.1/", status=1)
    assert said.startswith("Error: ")
    assert "Traceback" not in said
