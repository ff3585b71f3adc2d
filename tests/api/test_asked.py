"""What a body and a query may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from yarl import URL

from botrix.api.body import read_as, strict_json
from botrix.api.problems import Problem
from botrix.api.schemas import GenerateRequest
from botrix.api.sign_in import SignIn
from botrix.model import MAX_ACCOUNTS
from tests.servers.system import System


def _nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[1]" + b"}" * (depth - 1)


def test_json_may_be_32_deep() -> None:
    for body in (_nested(32), b"[[]," + _nested(31) + b"]"):
        assert json.loads(body) == strict_json(body)
    wide = b"[" + b",".join([b"[[]]"] * 1000) + b"]"
    assert len(json.loads(wide)) == len(strict_json(wide))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        _nested(33), _nested(5_000), b"[" * 1_000_000, b'{"a":' * 200_000,
        b'{"a": 1, "a": 1}', b'[{"b": {"a": 1, "\\u0061": 2}}]',
        b"NaN", b'{"a": [Infinity]}', b'{"a": -Infinity}', b"[1e999]", b"[-1e999]",
        b"1" * 5_000, b'"\xff"', b"", b" ", b"{}{}", b"{'a': 1}", b'{"a": 1,}', b'"\n"',
    ],
)  # fmt: skip
def test_other_json_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as raised:
        strict_json(body)
    assert (raised.value.status, len(raised.value.detail) < 400) == (400, True)


@pytest.mark.parametrize(
    "asked",
    [
        {"count": 0}, {"count": -1}, {"count": MAX_ACCOUNTS + 1}, {"count": 2**63},
        {"count": 10**300}, {"count": 1.0}, {"count": 1.5}, {"count": True}, {"count": "1"},
        {"count": None}, {"count": [1]}, {}, {"count": 1, "counts": 2}, {"count": 1, "": 2},
        {"count": 1, "priority": "HIGH"}, {"count": 1, "priority": 1},
        {"count": 1, "directory": "a/b"}, {"count": 1, "directory": "a\n"},
        {"count": 1, "directory": "a" * 65}, {"count": 1, "directory": ""},
        {"count": 1, "template": "a" * 257}, {"count": 1, "template": 1},
        {"count": 1, "template": "\ud800"},
    ],
)  # fmt: skip
def test_what_is_no_request_for_accounts(asked: dict[str, Any]) -> None:
    with pytest.raises(RequestValidationError) as raised:
        read_as(GenerateRequest, json.dumps(asked).encode())
    assert raised.value.errors()[0]["loc"][0] == "body"


@pytest.mark.parametrize("asked", [{}, {"key": 1}, {"key": "a" * 201}, {"key": "a", "more": 1}])
def test_what_is_no_sign_in(asked: dict[str, Any]) -> None:
    with pytest.raises(RequestValidationError):
        read_as(SignIn, json.dumps(asked).encode())


_QUERIES: list[tuple[str, str]] = [
    ("/api/jobs?stauts=failed", "'stauts'; there are: created_after, created_before, cursor, "),
    ("/api/jobs?limit=1&limit=2", "'limit' is given twice"),
    ("/api/jobs?", ""),
    ("/api/jobs?limit=0", "limit"),
    ("/api/jobs?limit=1001", "limit"),
    ("/api/jobs?limit=-1", "limit"),
    ("/api/jobs?limit=1e2", "limit"),
    ("/api/jobs?limit=NaN", "limit"),
    ("/api/jobs?limit=99999999999999999999", "limit"),
    ("/api/jobs?limit=" + "9" * 5000, "limit"),
    ("/api/jobs?limit=", "limit"),
    ("/api/jobs?status=done", "status"),
    ("/api/jobs?cursor=x", "cursor"),
    ("/api/jobs?cursor=", "cursor"),
    ("/api/jobs?cursor=nan~x", "cursor"),
    ("/api/jobs?cursor=inf~x", "cursor"),
    ("/api/jobs/{job}?limit=1", "'limit'; there are: none"),
    ("/api/jobs/{job}/accounts?limit=1001", "limit"),
    ("/api/jobs/{job}/accounts?cursor=-2", "cursor"),
    ("/api/jobs/{job}/rows?limit=1001", "limit"),
    ("/api/jobs/{job}/history?limit=1001", "limit"),
    ("/api/accounts?limit=1001", "limit"),
    ("/api/accounts?cursor=x", "cursor"),
    ("/api/accounts?cursor=", "cursor"),
    ("/api/accounts?cursor=x:9999999999", "cursor"),
    ("/api/accounts?job=x", "'job'"),
    ("/api/accounts/{job}:0/history?limit=1001", "limit"),
    ("/api/audit?limit=1001", "limit"),
    ("/api/audit?cursor=-1", "cursor"),
    ("/api/audit?%C3%A9%0A=1", r"'\xe9\n'"),
    ("/live?probe=1", ""),
    ("/metrics?x=1&x=2", ""),
]


async def test_queries_mean_one_thing_or_are_refused(system: System) -> None:
    job = await system.generate()
    for path, told in _QUERIES:
        url = URL(path.format(job=job), encoded=True)
        async with system.http.get(url) as answer:
            said = await answer.text()
            assert answer.status == (422 if told else 200), (path, said)
            assert not told or told in json.loads(said)["detail"], (path, said)
    async with system.http.post("/api/accounts/generate?count=5", json={"count": 1}) as answer:
        assert answer.status == 422
    assert system.rows("SELECT count(*) FROM jobs") == [(1,)]
