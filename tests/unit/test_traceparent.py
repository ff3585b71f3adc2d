"""What is taken for a trace, as W3C Trace Context has it."""

from __future__ import annotations

import pytest

from botrix.traceparent import ids, read, write

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        (GOOD, GOOD),
        (f" {GOOD}\t", GOOD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", GOOD),  # of other flags nothing is known
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", GOOD),
    ],
)
def test_it_is_continued(said: str, read_as: str) -> None:
    assert read(said) == read_as


@pytest.mark.parametrize(
    "said",
    [
        None, "", "00", GOOD.upper(), f"{GOOD}-more", f"ff-{TRACE}-{SPAN}-01", f"{GOOD}\n",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-0g",
        f"cc-{TRACE}-{SPAN}-01.", f"cc-{TRACE}-{SPAN}-01-{'x' * 600}", f"{GOOD}\x00", "Ⅷ" * 55,
    ],
)  # fmt: skip
def test_what_is_none_is_left_out(said: str | None) -> None:
    assert read(said) is None


def test_what_is_written_is_read() -> None:
    for sampled in (True, False):
        assert ids(write(7, 9, sampled=sampled)) == (7, 9, sampled)
        assert read(write(7, 9, sampled=sampled)) == write(7, 9, sampled=sampled)
