"""Requests made by schemathesis from the API's own description, good and bad ones, and tamed: what
would be accepted is for a few accounts of a directory that forgets, and changes no job of others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

_LARGEST = 1_000_000
_FEW = 3
_ENDLESS = "text/event-stream"
"""Answers of this kind end with their reader; a line of theirs is enough."""


@dataclass(frozen=True)
class Sent:
    """What was sent and what came back."""

    path: str
    body: Any
    at: float
    status: int
    text: str
    is_problem: bool
    shown: str


class Described:
    """own: jobs that may be changed; others: jobs that may be read. Of one running API."""

    def __init__(self, url: str) -> None:
        self.own: list[str] = []
        self.others: list[str] = []
        self._url = url
        self._session = requests.Session()
        description = self._session.get(f"{url}/openapi.json", timeout=10).json()
        lost = sorted(_dangling(description, description))
        assert not lost, f"the description refers to what is not in it: {lost}"
        schema = schemathesis.openapi.from_dict(description)
        operations = [result.ok() for result in schema.get_all_operations()]
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        made = [operation.as_strategy(generation_mode=m) for operation in operations for m in modes]
        self._strategies = [one for one in made if _is_possible(one)]

    def send(self, n: int, seed: int) -> Iterator[Sent]:
        rng = random.Random(seed)
        for case in _drawn(strategies.one_of(self._strategies), n, seed):
            self._tame(case, rng)
            yield self._sent(case, rng)

    def _tame(self, case: Any, rng: random.Random) -> None:
        body = case.body
        if isinstance(body, dict) and _is_accepted(body.get("count")):
            body["count"] = body["count"] % _FEW + 1
            if not isinstance(body.get("directory"), str) or rng.random() < 0.7:
                body["directory"] = "void"
        if case.path.endswith("/import") and rng.random() < 0.7:
            case.query = {**(case.query or {}), "directory": "void"}
            case.body = _roster(rng) if rng.random() < 0.7 else case.body
        jobs = self.own if case.method.upper() != "GET" else self.own + self.others
        if case.path_parameters and jobs and rng.random() < 0.6:
            job = rng.choice(jobs)
            known = {"job_id": job, "account_id": f"{job}:{rng.randrange(_FEW)}"}
            for name in case.path_parameters:
                case.path_parameters[name] = known.get(name, job)

    def _sent(self, case: Any, rng: random.Random) -> Sent:
        headers = {"Idempotency-Key": _key(rng)} if rng.random() < 0.2 else {}
        at = time.time()
        options = case.as_transport_kwargs(base_url=self._url, headers=headers)
        with self._session.request(
            **options, timeout=30, allow_redirects=False, stream=True
        ) as answer:
            kind = answer.headers.get("Content-Type", "")
            text = next(answer.iter_lines()).decode() if kind.startswith(_ENDLESS) else answer.text
        return Sent(
            case.path, case.body if isinstance(case.body, dict) else None, at, answer.status_code,
            text, kind.startswith("application/problem+json"), repr(options),
        )  # fmt: skip


def _roster(rng: random.Random) -> bytes:
    """Of which some rows can be used, and others not."""
    heads = (
        "username",
        "username,email",
        "user_name;mail",
        "username,username",
        "email",
        "\ufeffusername",
    )
    cells = (
        "",
        '"',
        "a,b",
        "=1+1",
        "\x00",
        "\ud800",
        "x" * 500,
        "\u202e",
        "a\tb",
        "ü@x",
        "-",
        "a'--",
    )
    names = (f"fuzz-{rng.getrandbits(40):x}" for _ in range(_FEW))
    rows = [rng.choice((name, rng.choice(cells), f"{name},{rng.choice(cells)}")) for name in names]
    return "\n".join([rng.choice(heads), *rows]).encode("utf-8", "surrogatepass")


def _key(rng: random.Random) -> str:
    return rng.choice(("", "a b", "k" * 256, "\xff", f"described-{rng.getrandbits(60):x}"))


def _is_accepted(count: Any) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _LARGEST


def _is_possible(strategy: Any) -> bool:
    """Some have no bad request: where nothing is asked for, nothing can be wrong."""
    try:
        return bool(_drawn(strategy, 1, 0))
    except Unsatisfiable:
        return False


def _drawn(strategy: Any, n: int, seed: int) -> list[Any]:
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=n, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def draw(case: Any) -> None:
        found.append(case)

    draw()
    return found


def _dangling(part: Any, whole: Any) -> set[str]:
    """References that lead nowhere."""
    if isinstance(part, list):
        return {one for item in part for one in _dangling(item, whole)}
    if not isinstance(part, dict):
        return set()
    lost = {one for item in part.values() for one in _dangling(item, whole)}
    reference = part.get("$ref")
    if isinstance(reference, str):
        found = whole
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        lost |= {reference} if found is None else set()
    return lost
