"""A job through services that run already: BOTRIX_URL says where, BOTRIX_API_KEY_FILE names the
file of the key, if one is needed. No part of `make test`: it starts nothing; name the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from botrix.cli.client import Api

FINAL = ("completed", "failed", "cancelled")
COUNT = 25


@pytest.fixture
def api() -> Iterator[Api]:
    url = os.environ.get("BOTRIX_URL")
    if not url:
        pytest.skip("BOTRIX_URL is not set: no running services were asked")
    api = Api(url)
    yield api
    api._connection.close()


def _final(api: Api, job_id: str, within: float = 60.0) -> dict[str, Any]:
    """The job, once it is final; asked each 0.1 s."""
    deadline = time.monotonic() + within
    while True:
        job: dict[str, Any] = api.get(f"/api/jobs/{job_id}")
        if job["status"] in FINAL:
            return job
        assert time.monotonic() < deadline, f"not final within {within} s: {job}"
        time.sleep(0.1)


def test_a_job_ends_with_exact_totals(api: Api) -> None:
    asked = api.post("/api/accounts/generate", {"count": COUNT, "priority": "high"})
    job = _final(api, asked["id"])
    assert (job["status"], job["count"], job["created"]) == ("completed", COUNT, COUNT)
    accounts = api.get(f"/api/jobs/{job['id']}/accounts", limit=2 * COUNT)["items"]
    assert {one["id"] for one in accounts} == {f"{job['id']}:{index}" for index in range(COUNT)}
    assert {one["status"] for one in accounts} == {"created"}
    assert len({one["username"] for one in accounts}) == COUNT


def test_all_is_well(api: Api) -> None:
    health = api.get("/health")
    assert health["status"] == "ok", health
    assert api.get("/ready") == {"status": "ready"}
