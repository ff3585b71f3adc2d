"""Webhooks in the whole system: real workers, a real receiver, both databases."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.servers.receiver import Answer, Receiver
from tests.servers.system import System, until

_QUICK = {"BOTRIX_WEBHOOK_TIMEOUT": "1"}


async def _added(system: System, receiver: Receiver, **more: Any) -> str:
    made = await system.post("/api/webhooks", {"url": receiver.url, **more}, 201)
    receiver.secrets.append(made["secret"])
    return str(made["id"])


async def _told(receiver: Receiver, job: str, last: str, within: float = 20.0) -> list[str]:
    async def told() -> bool:
        return last in receiver.of(job)

    await until(told, within, f"{last} of {job}")
    return receiver.of(job)


async def test_a_receiver_is_told_what_becomes_of_a_job(system: System, receiver: Receiver) -> None:
    await _added(system, receiver)
    await system.worker("worker-1", **_QUICK)
    job = await system.generate(3)
    told = await _told(receiver, job, "job.completed")
    assert told == ["job.accepted", "job.started", "job.completed"]
    last = receiver.got[-1]
    assert last.told["data"] == {
        "tenant": "default", "job_id": job, "status": "completed", "stage": "create",
        "waits": None, "directory": "local", "undoes": None,
        "counts": {"count": 3, "created": 3, "existing": 0, "failed": 0, "cancelled": 0,
                   "deleted": 0, "bad_rows": 0},
        "links": {"job": f"/api/jobs/{job}", "accounts": f"/api/jobs/{job}/accounts"},
    }  # fmt: skip
    assert last.told["timestamp"].endswith("Z")
    assert last.headers["content-type"] == "application/json"
    assert all(message.good == (True,) for message in receiver.got)
    assert len({message.id for message in receiver.got}) == 3
    await system.terminate("worker-1")


async def test_what_a_killed_worker_was_sending_is_sent_by_another(
    system: System, receiver: Receiver
) -> None:
    await _added(system, receiver)
    receiver.answer = Answer(hold=asyncio.Event())
    await system.worker("worker-1", **_QUICK)
    jobs = [await system.generate(1) for _ in range(20)]
    for job in jobs:
        await system.final(job)

    async def sending() -> bool:
        return receiver.at_once > 0

    await until(sending, 20, "something is on its way")
    await system.kill("worker-1")
    receiver.answer = Answer()
    await system.worker("worker-2", **_QUICK)
    for job in jobs:
        assert sorted(await _told(receiver, job, "job.completed", 40)) == sorted(
            ["job.accepted", "job.started", "job.completed"]
        )
    rows = system.rows("SELECT count(*) FROM deliveries WHERE status <> 'sent'")

    async def noted() -> bool:
        return system.rows("SELECT count(*) FROM deliveries WHERE status <> 'sent'") == [(0,)]

    await until(noted, 20, f"all is noted as sent, of which were left {rows}")
