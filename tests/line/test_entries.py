"""Entries come from anybody: reading one never raises, and what is read is within bounds."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.line.entries import Entry, decode, encode

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_FIELDS = st.sampled_from(["id", "count", "place", "directory", "template", "other"])


def _sound(entry: Entry | str) -> None:
    if isinstance(entry, str):
        assert entry
        assert "\n" not in entry
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", entry.id)
    assert entry.place is not None or entry.count is not None
    assert entry.count is None or 1 <= entry.count <= 1_000_000


@given(st.binary(max_size=300))
def test_any_bytes_are_an_entry_or_a_reason(raw: bytes) -> None:
    _sound(decode(raw))


@given(st.dictionaries(_FIELDS, _JSON))
def test_any_object_is_an_entry_or_a_reason(value: dict[str, object]) -> None:
    _sound(decode(json.dumps(value).encode()))


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), st.integers(1, 2**62 - 1))
def test_what_is_encoded_is_decoded(job_id: str, place: int) -> None:
    assert decode(encode(job_id, place)) == Entry(job_id, place)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":"a","count":true}',
        b'{"id":"a","count":"5"}',
        b'{"id":"a","count":NaN}',
        b'{"id":"a","count":' + b"9" * 5000 + b"}",
        b'{"id":"a","count":0}',
        b'{"id":"a","count":1000001}',
        b'{"id":"a\\n","count":1}',
        b'{"id":"a","count":1,"sudo":1}',
        b'{"id":"a","count":1,"template":"\xff"}',
        b"[" * 60_000,
        b'{"id":"a"}',
        b"\x80\x04\x95",
    ],
)
def test_hostile_entries_get_a_reason(raw: bytes) -> None:
    assert isinstance(decode(raw), str)
