"""Thousands of requests made from the API's own description, good and bad ones: none is too much
for it, and no answer is other than described.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.servers.system import System

_SEED = 20_260_101
_EACH = 72
"""Good requests of each operation at most, and as many bad ones."""
_LEAST = 2000
_CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_WAITING = {
    "apply": ("plan", "plan"),
    "approve": ("create", "canary"),
    "release": ("create", "failures"),
}
"""Jobs named for the verb that lets them go on, which nothing else is asked of."""
_MODES = {
    GenerationMode.POSITIVE: [],
    GenerationMode.NEGATIVE: [checks.negative_data_rejection],
}


@pytest_asyncio.fixture
async def api(folder: Path) -> AsyncIterator[System]:
    """With jobs that came to an end, so that there is something to find."""
    system = System(folder / "data", log=folder / "log")
    try:
        await system.start()
        system.add_directory("sim", fail_first=4)
        await system.worker()
        roster, kind = b"username,password\nann,s3cret\n=x,y\n", {"Content-Type": "text/csv"}
        asked = system.http.post("/api/accounts/import", data=roster, headers=kind)
        async with asked as answer:
            await system.final((await answer.json())["id"])
        for one in ({"count": 3}, {"count": 1, "directory": "sim"}):
            await system.final(await system.generate(**one))
        await system.terminate("worker-1")
        await system.generate()  # stays open
        async with system.http.put("/api/templates/kept", json={"username": "x"}) as answer:
            assert answer.status == 200
        for verb, (stage, waits) in _WAITING.items():
            job = await system.generate()
            system.rows(
                "UPDATE jobs SET id = ?, stage = ?, waits = ?, paused = ?, place = NULL"
                " WHERE id = ? RETURNING id",
                verb, stage, waits, True, job,
            )  # fmt: skip
        system.rows(
            "INSERT INTO sessions (id, worker_id, host, pid, version, started_at, wanted)"
            " VALUES ('s0', 'w', 'h', 1, '0', 0, 'work') RETURNING id"
        )
        for _ in range(5):  # the first stays; they get messages
            await system.post("/api/webhooks", {"url": "https://example.org/hook"}, 201)
        await system.generate()
        yield system
    finally:
        await system.stop()


@pytest.mark.timeout(300)  # of a machine with much else to do
def test_every_answer_is_as_described(api: System, folder: Path) -> None:
    rng = random.Random(_SEED)
    found_ids = api.rows("SELECT id FROM jobs WHERE NOT paused ORDER BY created_at")
    ids = [row[0] for row in found_ids]
    hooks = [row[0] for row in api.rows("SELECT id FROM webhooks ORDER BY created_at")]
    sent = api.rows("SELECT min(n) FROM deliveries WHERE webhook_id = ?", hooks[0])[0][0]
    answered: Counter[str] = Counter()
    with requests.Session() as session:
        description = session.get(f"{api.url}/openapi.json", timeout=10).json()
        schema = schemathesis.openapi.from_dict(description)
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.endswith("/events"):  # has no end; see test_events.py
                continue
            for mode, more in _MODES.items():
                for case in _drawn(operation, mode):
                    if mode is GenerationMode.NEGATIVE and _is_sent_as_a_good_one(case):
                        continue
                    gone = hooks[1:] if case.method == "DELETE" else hooks[:1]
                    _name_what_is_there(case, ids, {"webhook_id": rng.choice(gone), "n": sent}, rng)
                    if mode is GenerationMode.POSITIVE:
                        _ask_for_what_can_be_had(case, rng)
                    answer = case.call(base_url=api.url, session=session, timeout=30)
                    case.validate_response(answer, checks=_CHECKS + more)
                    answered[f"{operation.label} {answer.status_code}"] += 1
    assert sum(answered.values()) >= _LEAST
    unseen = [
        name for name in _operations(description)
        if not name.endswith("/events") and not _well(answered, name)
    ]  # fmt: skip
    assert unseen == ["POST /api/sign-in", "POST /api/keys/{key_id}/revoke"]  # there is no key
    assert '"level": "error"' not in (folder / "log").read_text()


def _is_sent_as_a_good_one(case: Any) -> bool:
    """A list of one value is wrong, and in a query it is that value."""
    return any(isinstance(one, list) and len(one) == 1 for one in (case.query or {}).values())


def _drawn(operation: Any, mode: GenerationMode) -> list[Any]:
    """None where nothing can be wrong, since nothing is asked for."""
    cases: list[Any] = []

    @hypothesis.seed(_SEED)
    @hypothesis.settings(
        max_examples=_EACH, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def draw(case: Any) -> None:
        cases.append(case)

    try:
        draw()
    except Unsatisfiable:
        return []
    return cases


def _name_what_is_there(
    case: Any, ids: list[str], more: dict[str, Any], rng: random.Random
) -> None:
    """more: other things than jobs and directories, by the name of their parameter."""
    if not case.path_parameters or rng.random() < 0.5:
        return
    verb = case.path.rpartition("/")[2]
    job = verb if verb in _WAITING else rng.choice(ids)
    known = {"job_id": job, "account_id": f"{job}:{rng.randrange(4)}", "name": "sim"}
    known |= {"worker_id": "w", "template": "kept", **more}
    for name in case.path_parameters:
        case.path_parameters[name] = known.get(name, job)


def _ask_for_what_can_be_had(case: Any, rng: random.Random) -> None:
    """Where the description cannot tell: which directories there are, what a roster is."""
    if rng.random() < 0.3:
        return
    if isinstance(case.body, dict) and "directory" in case.body:
        case.body["directory"] = "sim"
    if case.path.endswith("/undo") and isinstance(case.body, dict):
        case.body |= {"count": rng.choice((1, 3)), "max_deletes": 1000}
    if isinstance(case.body, dict) and "kind" in case.body:
        case.body = {**case.body, "kind": "simulated", "settings": {}, "secrets": {}, "policy": {}}
    if isinstance(case.body, dict) and "url" in case.body:
        case.body = {"url": "https://example.org/other"}
    if case.path.endswith("/import"):
        case.query = {**(case.query or {}), "directory": "sim"}
        case.media_type, case.body = "text/csv", b"username,email\nann,\n=1,x\n"


def _operations(description: dict[str, Any]) -> list[str]:
    paths = description["paths"].items()
    return [f"{method.upper()} {path}" for path, methods in paths for method in methods]


def _well(answered: Counter[str], operation: str) -> bool:
    return any(answered[f"{operation} {status}"] for status in (200, 201, 202, 204))
