"""The chain of the audit record is hashed alike in every release."""

from __future__ import annotations

import hashlib
import json

import pytest

from botrix.audit import Act, Actor, Chain


@pytest.mark.parametrize("at", [0.0, 1e-05, 1764161234.123456, 1764161234.5, 2e16, 1e22])
def test_what_is_hashed_is_json_as_python_writes_it(at: float) -> None:
    odd = 'a\tb\x00\x1f"\\/\x7f\u2028é\U0001f600'
    row = Chain(6, "before").add(Act("job.submit", odd, odd, "t"), Actor("key:1", "::1"), at)
    told = ["before", "t", 7, round(at, 6), "key:1", "::1", "job.submit", odd, odd]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    assert row == (*told[1:], hashlib.sha256(text.encode()).hexdigest())
