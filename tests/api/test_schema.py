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
        for asked in ({"count": 3}, {"count": 1, "directory": "sim"}):
            await system.final(await system.generate(**asked))
        await system.terminate("worker-1")
        await system.generate()  # stays open
        yield system
    finally:
        await system.stop()


@pytest.mark.timeout(300)  # of a machine with much else to do
def test_every_answer_is_as_described(api: System, folder: Path) -> None:
    rng = random.Random(_SEED)
    ids = [row[0] for row in api.rows("SELECT id FROM jobs ORDER BY created_at")]
    answered: Counter[str] = Counter()
    with requests.Session() as session:
        description = session.get(f"{api.url}/openapi.json", timeout=10).json()
        schema = schemathesis.openapi.from_dict(description)
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode, more in _MODES.items():
                for case in _drawn(operation, mode):
                    _name_what_is_there(case, ids, rng)
                    if mode is GenerationMode.POSITIVE:
                        _ask_for_what_can_be_had(case, rng)
                    answer = case.call(base_url=api.url, session=session, timeout=30)
                    case.validate_response(answer, checks=_CHECKS + more)
                    answered[f"{operation.label} {answer.status_code}"] += 1
    assert sum(answered.values()) >= _LEAST
    unseen = [name for name in _operations(description) if not _well(answered, name)]
    assert unseen == ["POST /api/sign-in", "POST /api/keys/{key_id}/revoke"]  # there is no key
    assert '"level": "error"' not in (folder / "log").read_text()


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


def _name_what_is_there(case: Any, ids: list[str], rng: random.Random) -> None:
    if not case.path_parameters or rng.random() < 0.5:
        return
    job = rng.choice(ids)
    known = {"job_id": job, "account_id": f"{job}:{rng.randrange(4)}", "name": "sim"}
    for name in case.path_parameters:
        case.path_parameters[name] = known.get(name, job)


def _ask_for_what_can_be_had(case: Any, rng: random.Random) -> None:
    """Where the description cannot tell: which directories there are, what a roster is."""
    if rng.random() < 0.3:
        return
    if isinstance(case.body, dict) and "directory" in case.body:
        case.body["directory"] = "sim"
    if case.path.endswith("/import"):
        case.query = {**(case.query or {}), "directory": "sim"}
        case.media_type, case.body = "text/csv", b"username,email\nann,\n=1,x\n"


def _operations(description: dict[str, Any]) -> list[str]:
    paths = description["paths"].items()
    return [f"{method.upper()} {path}" for path, methods in paths for method in methods]


def _well(answered: Counter[str], operation: str) -> bool:
    return any(answered[f"{operation} {status}"] for status in (200, 202, 204))
