"""What failed of a roster is written so that it can be sent again as it is, whatever came in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botrix.columns import field_of
from botrix.drafts import Form
from botrix.errors import InvalidInput
from botrix.export import harmless
from botrix.mappings import read_mapping
from botrix.plain import plain
from botrix.roster import MAX_ROW, BadRow, RosterReader, Row
from botrix.upload import REASON, Layout, Record, given_back, packed, read_layout, unpacked
from tests.unit.test_mappings import CANVAS, ENTRA, GOOGLE, MOODLE

CSV, NDJSON = "text/csv", "application/x-ndjson"
_FAILED = 'conflict: the name is somebody else\'s; =1+1,\tas it "said"'


class Sent:
    """A roster that was read, kept in one chunk, and of which every row failed."""

    def __init__(self, data: bytes, kind: str = CSV, form: Form | None = None) -> None:
        reader = RosterReader(kind, form)
        self.kind = kind
        self.rows = [*reader.feed(data), *reader.finish()]
        self.layout = read_layout(reader.layout.text())
        self.ignored, self.mapping = reader.ignored_columns, reader.mapping
        self.chunk = packed(
            self.layout,
            [_record(row) for row in self.rows],
            {row.number for row in self.rows if isinstance(row, BadRow)},
        )

    @property
    def good(self) -> list[Row]:
        return [row for row in self.rows if isinstance(row, Row)]

    def file(self, only: Callable[[Row | BadRow], bool] = lambda _: True) -> bytes:
        """Of failed rows."""
        file = self.layout.top()
        for row, record in zip(self.rows, unpacked(self.chunk), strict=True):
            reason = row.reason if isinstance(row, BadRow) else _FAILED
            password = row.password if isinstance(row, Row) else None
            if only(row):
                said = harmless(plain(reason))
                file += given_back(self.layout, record, said, password)
        return file


def _record(row: Row | BadRow) -> Record:
    if isinstance(row, BadRow):
        return Record(row.number, row.record, cut=row.cut)
    return Record(row.number, row.record, bool(row.password))


def _what(row: Row | BadRow) -> object:
    return (row.person, row.password) if isinstance(row, Row) else "bad"


def _cells(file: bytes, delimiter: str = ",") -> list[list[str]]:
    text = io.StringIO(file.decode(), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def _as_a_spreadsheet_saves(file: bytes, delimiter: str) -> bytes:
    """Each row filled up with empty cells, to be as long as the longest one."""
    rows = _cells(file.removeprefix(b"\xef\xbb\xbf"), delimiter)
    width = max(map(len, rows))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([row + [""] * (width - len(row)) for row in rows])
    return text.getvalue().encode()


_ODD = st.text(st.characters(codec="utf-8"), max_size=6)
_CELL = (
    st.sampled_from(
        ["", "ada", "Ada Osei", "a@b.example", "=1+1", "s3cret", " x ", 'A "B" C', "A\nB", "A\r\nB",
         "a,b;c\td|e", "\0", "\u202e", "Zoë", "x" * 1100, "+49 30 1", "staff;7b"]
    )
    | _ODD
)  # fmt: skip
_HEADERS = st.lists(
    st.sampled_from(
        ["username", "E-Mail", "first name", "surname", "Name", "password", "groups", "phone",
         "Room", "", "Kennwort", "a, b; c", 'the "class"', "line\nbreak", REASON]
    ),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip


@st.composite
def _csv(draw: st.DrawFn) -> bytes:
    """Good rows and bad ones of every sort."""
    delimiter = draw(st.sampled_from(",;\t|"))
    names = draw(_HEADERS)
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [delimiter.join(_written(name, delimiter) for name in names).encode()]
    lines += [draw(_row(len(names), delimiter)) for _ in range(draw(st.integers(0, 6)))]
    lines[1:1] = [b""] * draw(st.integers(0, 1))
    last = draw(st.sampled_from([b"", newline.encode(), b'\n"never closed, ' + b"x\n" * 3]))
    signature = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return signature + newline.encode().join(lines) + last


@st.composite
def _row(draw: st.DrawFn, width: int, delimiter: str) -> bytes:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=20)).replace(b"\n", b"")
    if kind == 1:
        return b"x" * MAX_ROW + draw(st.sampled_from([b"", b"x", b"," * 9]))
    if kind == 2:
        return draw(st.sampled_from([b'"a"b,c', b"a\rb", b"\xfc,x", b'"', b"botrix row 1: x,,"]))
    cells = draw(st.lists(_CELL, min_size=width, max_size=width))
    if kind == 3:
        cells = cells[1:] or ["a", "b"]
    if kind == 4:
        cells.append(draw(_CELL))
    return delimiter.join(_written(cell, delimiter) for cell in cells).encode()


def _written(cell: str, delimiter: str) -> str:
    """Quoted where it must be, and also where it need not."""
    if any(sign in cell for sign in (delimiter, "\n", "\r")) or cell.startswith('"') or " " in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


@settings(max_examples=400)
@example(b"username\nbotrix row 1: x\n")
@given(_csv())
def test_what_failed_of_any_csv_is_read_again(data: bytes) -> None:
    try:
        sent = Sent(data)
    except InvalidInput:
        return
    file = sent.file()
    again = Sent(file)
    assert [*map(_what, again.rows)] == [*map(_what, sent.rows)]
    assert again.ignored == sent.ignored
    assert again.file().startswith(again.layout.top())
    third = Sent(again.file())
    assert [*map(_what, third.rows)] == [*map(_what, sent.rows)]
    assert third.layout.top() == again.layout.top() == sent.layout.top()
    assert [*map(len, _cells(third.file(), sent.layout.delimiter))] == [
        *map(len, _cells(file, sent.layout.delimiter))
    ], "it does not grow"


@settings(max_examples=400)
@given(_csv())
def test_a_spreadsheet_makes_no_bad_row_a_good_one(data: bytes) -> None:
    try:
        sent = Sent(data)
    except InvalidInput:
        return
    ill_shaped = [
        row for row in sent.rows
        if isinstance(row, BadRow) and ("cells where" in row.reason or "quote" in row.reason)
    ]  # fmt: skip
    file = sent.file(lambda row: row in ill_shaped)
    saved = _as_a_spreadsheet_saves(file, sent.layout.delimiter)
    for row in Sent(saved).rows:
        assert isinstance(row, BadRow), saved


@settings(max_examples=200)
@given(
    st.sampled_from(["", "version:v1.0\r\n", "\r\n\r\n"]),
    st.sampled_from([MOODLE, CANVAS, GOOGLE, ENTRA, MOODLE + ",phone1,phone2"]),
    st.lists(st.lists(_CELL, min_size=1, max_size=9), max_size=4),
)
def test_columns_of_other_systems_keep_their_meaning(
    before: str, header: str, rows: list[list[str]]
) -> None:
    width = header.count(",") + 1
    lines = [",".join(_written(cell, ",") for cell in row) for row in rows]
    lines = [line + "," * (width - len(row)) for line, row in zip(lines, rows, strict=True)]
    try:
        sent = Sent("\r\n".join([before + header, *lines, ""]).encode())
    except InvalidInput:  # a version line is Entra's
        return
    again = Sent(sent.file())
    assert [*map(_what, again.rows)] == [*map(_what, sent.rows)]
    assert (again.mapping, again.ignored) == (sent.mapping, sent.ignored)
    assert again.mapping is not None
    assert sent.file().startswith(
        before.lstrip().encode() + header.encode() + b",botrix_reason\r\n"
    )


def test_columns_that_somebody_named_keep_their_meaning() -> None:
    said = '{"Login": "username", "Key": "password", "Room": null}'
    form = Form(read_mapping(said), None)
    sent = Sent(b"Login;Key;Room\nada;s3cret;7\nbob;;8\n", form=form)
    assert b"s3cret" not in unpacked(sent.chunk)[0].data
    assert sent.layout.secret
    again = Sent(sent.file(), form=form)
    assert [*map(_what, again.rows)] == [*map(_what, sent.rows)]
    assert again.good[0].password == "s3cret"


_VALUE = _CELL | st.none() | st.integers() | st.lists(_CELL, max_size=2)
_KEYS = st.sampled_from(["username", "email", "display_name", "groups", "room", REASON, "password"])
_LINE = (
    st.dictionaries(_KEYS, _VALUE, min_size=1).map(json.dumps)
    | st.dictionaries(_KEYS, _CELL).map(lambda said: json.dumps(said, ensure_ascii=False))
    | st.sampled_from(["{", "[]", "s3cret", "7", '{"username": "\\ud800"}', "[" * 60_000, "{}",
                       '{ "username" : "ada" , "password":"a\\u0062\\"" }  ',
                       '{"username": "a", "username": "b"}'])
    | _ODD
)  # fmt: skip
_RAW_LINE = (
    _LINE.map(lambda line: line.replace("\n", "").encode())
    | st.binary(max_size=9).map(lambda line: line.replace(b"\n", b""))
    | st.just(b'{"username":"' + b"x" * MAX_ROW + b'"}')
)


@settings(max_examples=400)
@given(st.lists(_RAW_LINE, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_what_failed_of_any_ndjson_is_read_again(lines: list[bytes], newline: bytes) -> None:
    try:
        sent = Sent(newline.join(lines), NDJSON)
    except InvalidInput:
        return
    file = sent.file()
    again = Sent(file, NDJSON)
    assert [*map(_what, again.rows)] == [*map(_what, sent.rows)]
    for line in file.splitlines():
        assert isinstance(json.loads(line.removeprefix(b"\xef\xbb\xbf")), dict)
    third = Sent(again.file(), NDJSON)
    assert len(third.file()) == len(again.file()), "it does not grow"


@pytest.mark.parametrize(
    ("bad", "mended"),
    [
        (b"ada,a@b.example", b'ada,a@b.example,"Ada",s3,'),
        (b"ada,a@b.example,A, B,s3", b'ada,a@b.example,"A, B",s3,'),
        (b'ada,a@b.example,"A" B,s3', b"ada,a@b.example,A B,s3,"),
        (b"ada,ab.example,Ada,s3", b"ada,a@b.example,Ada,s3,"),
    ],
)
def test_a_row_that_was_mended_is_a_good_one(bad: bytes, mended: bytes) -> None:
    file = Sent(b"username,email,name,password\n" + bad).file()
    head, line = file.splitlines()
    (row,) = Sent(head + b"\n" + mended + b'"' + line.rpartition(b',"')[2]).good
    assert (row.person.username, row.password) == ("ada", "s3")
    assert Sent(head + b"\n" + mended).good == [row], "also without its reason"


def test_a_file_looks_as_it_did() -> None:
    sent = Sent(
        b'\xef\xbb\xbfUser;"Name";password;Room\r\nada;"Ada; L";s;007\r\nbob;Bob;" ""x;";\r\n'
        b"eve\r\n\r\nj\xfcrgen;J;;\r\n"
    )
    reasons = "botrix row 2: conflict", "botrix row 3: conflict", "botrix row 4: has 1 cells"
    lines = sent.file().split(b"\r\n")
    assert lines[0] == b'\xef\xbb\xbfUser;"Name";password;Room;botrix_reason'
    assert lines[1].startswith(f'ada;"Ada; L";s;007;"{reasons[0]}'.encode())
    assert lines[2].startswith(f'bob;Bob;" ""x;";;"{reasons[1]}'.encode())
    assert lines[3].startswith(f'eve;"{reasons[2]}'.encode())
    assert lines[4].startswith('"j�rgen;J;;";"botrix row 6: not UTF-8'.encode())


def test_good_rows_are_kept_without_their_passwords() -> None:
    for sent in (
        Sent(b"username,password\nada,s3cret-a\nbob\n"),
        Sent(b'{"password":"s3cret-a","username":"ada"}\n{"password":"s3cret-b"}', NDJSON),
    ):
        good, bad = unpacked(sent.chunk)
        assert b"s3cret-a" not in good.data
        assert (good.given, bad.given) == (True, False)
        assert b"s3cret-a" in sent.file()
        without = given_back(sent.layout, good, "failed", None)
        assert b"s3cret-a" not in without
        assert not Sent(sent.layout.top() + without, sent.kind).good[0].password
    assert b"s3cret-b" in sent.file(), "nobody else knows it"


@pytest.mark.parametrize(
    ("data", "kind", "secret"),
    [
        (b"username,Password\n", CSV, True),
        (b"username,Kennwort\n", CSV, True),
        (b"username,PIN\n", CSV, True),
        (b"username,room,spin\n", CSV, False),
        (b'{"username":"a"}\n{"username":"password"}', NDJSON, False),
        (b'{"username":"a"}\n{"username":"b","password":"x"}', NDJSON, True),
        (b'{"pwd":"a"}', NDJSON, True),
        (b'{"room":"a"}', NDJSON, False),
        (b"a line of whatever", NDJSON, True),
        (b'{"username":"' + b"x" * MAX_ROW + b'"}', NDJSON, True),
    ],
)
def test_where_a_row_may_hold_a_password(data: bytes, kind: str, secret: bool) -> None:
    assert Sent(data, kind).layout.secret is secret


def test_reasons_are_cut_and_execute_nothing() -> None:
    layout = Layout(kind="csv", header="username", delimiter=",", width=1)
    line = given_back(layout, Record(2, b"ada"), harmless(plain("x;=1\n" + "y" * 9999)), None)
    ((_, said),) = _cells(line)
    assert len(said) == 500
    assert said.startswith("botrix row 2: x;'=1·y")


def test_a_long_row_stays_a_good_one() -> None:
    row = b"ada," + b"x" * (MAX_ROW - 4)
    for size in (MAX_ROW, MAX_ROW - 100):
        (good,) = Sent(Sent(b"username,x\n" + row[:size]).file()).rows
        assert isinstance(good, Row)
    line = b'{"username":"ada","botrix_reason":"' + b"x" * (MAX_ROW - 37) + b'"}'
    assert len(line) == MAX_ROW
    (good,) = Sent(Sent(line, NDJSON).file(), NDJSON).rows
    assert isinstance(good, Row)


def test_only_a_known_name_is_no_column_of_its_own() -> None:
    assert field_of(REASON) is None
    assert replace(BadRow(1, "x"), record=b"y") == BadRow(1, "x")
