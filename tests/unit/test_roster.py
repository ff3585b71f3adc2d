"""Rosters as they arrive: whole or in pieces, in order or not."""

from __future__ import annotations

import json
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL, FORMULA
from botrix.model import ATTRIBUTES, Person
from botrix.roster import MAX_ROW, BadRow, RosterReader, Row

CSV = "text/csv"
NDJSON = "application/x-ndjson"
DEMO = Path(__file__).parents[2] / "demo" / "people.csv"


def read(data: str | bytes, kind: str = CSV, size: int | None = None) -> list[Row | BadRow]:
    raw = data.encode() if isinstance(data, str) else data
    reader = RosterReader(kind)
    rows: list[Row | BadRow] = []
    for start in range(0, len(raw), size or len(raw) or 1):
        rows += reader.feed(raw[start : start + (size or len(raw))])
    return rows + reader.finish()


def usernames(rows: list[Row | BadRow]) -> list[str]:
    return [row.person.username for row in rows if isinstance(row, Row)]


def reason(data: str | bytes, kind: str = CSV) -> str:
    """Of the only row, which is bad."""
    (row,) = read(data, kind)
    assert isinstance(row, BadRow)
    assert row.reason.isprintable()
    return row.reason


def test_a_row_with_everything() -> None:
    text = (
        "username,email,given_name,family_name,display_name,password\n"
        "jm,j@x.example,Jürgen,Müller,Herr Müller, =s3cret \n"
    )
    person = Person("jm", "j@x.example", "Jürgen", "Müller", "Herr Müller")
    (row,) = read(text)
    assert row == Row(2, person, " =s3cret ")
    assert "s3cret" not in repr(row)


@pytest.mark.parametrize("header", ["username", "User", " LOGIN ", "user name", '"username"'])
def test_synonyms_of_username(header: str) -> None:
    assert usernames(read(f"{header},x\nada,1\n")) == ["ada"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("E-Mail", "email"),
        ("mail", "email"),
        ("First Name", "given_name"),
        ("firstname", "given_name"),
        ("given name", "given_name"),
        ("Surname", "family_name"),
        ("last_name", "family_name"),
        ("Full Name", "display_name"),
        ("Name", "display_name"),
    ],
)
def test_synonyms(header: str, name: str) -> None:
    (row,) = read(f"{header}\na@b.example\n")
    assert isinstance(row, Row)
    assert getattr(row.person, name) == "a@b.example"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    text = delimiter.join(["username", '"name"']) + "\n" + delimiter.join(["ada", '"A, B; C | D"'])
    (row,) = read(text)
    assert isinstance(row, Row)
    assert row.person.display_name == "A, B; C | D"


def test_the_delimiter_is_the_one_that_makes_sense() -> None:
    assert usernames(read("username;email;a,b,c,d\nada;a@b.example;1,2\n")) == ["ada"]


def test_bom_crlf_blank_lines_and_no_last_newline() -> None:
    rows = read(b"\xef\xbb\xbf\r\nusername,name\r\nada,Ada\r\n\r\n , \r\n  \r\nbob,Bob")
    assert [(row.number, row.person.username) for row in rows if isinstance(row, Row)] == [
        (3, "ada"),
        (7, "bob"),
    ]
    assert len(rows) == 2


def test_quotes() -> None:
    rows = read('username,name\nada,"Ada ""A"" L"\nbob,5" Bob\n"eve",Eve\n')
    assert usernames(rows) == ["ada", "bob", "eve"]
    assert isinstance(rows[0], Row)
    assert rows[0].person.display_name == 'Ada "A" L'


def test_a_line_break_in_a_cell_is_one_bad_row() -> None:
    rows = read('username,name\nada,"A\nB"\nbob,Bob\n')
    assert rows[0] == BadRow(
        2, "display_name contains a line break; remove it, or close the quote before it"
    )
    assert (rows[1].number, usernames(rows)) == (3, ["bob"])


def test_ignored_columns() -> None:
    reader = RosterReader("text/csv; charset=UTF-8")
    rows = reader.feed(b"username, Room ,,class\x1b\nada,+49 30 1,=x,\n")
    assert usernames(rows) == ["ada"]
    assert reader.ignored_columns == ("Room", "", "class?")


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("username,name\nada,A".encode("utf-16"), "save it as 'CSV UTF-8'"),
        ("username,name\nada,A".encode("utf-16-le"), "save it as 'CSV UTF-8'"),
        ("username,name\nada,A".encode("utf-32"), "save it as 'CSV UTF-8'"),
        (b"PK\x03\x04\x14\x00\x06", "workbook"),
        ("prénom,name\n".encode("latin-1"), "not UTF-8"),
        (b"username,name\rada,Ada\rbob,Bob", "carriage returns alone"),
        (b"", "empty"),
        (b"\xef\xbb\xbf\n\n", "empty"),
        (b"a,b\n1,2\n", "no usable column"),
        (b"password\nhunter2\n", "no usable column"),
        (b"username,e-mail,Mail\na,b,c\n", "email more than once"),
        (b'username,"name\nada,Ada\n', "never closed"),
        (b"username," + b"x" * MAX_ROW + b"\n", "longer than 64 KiB"),
    ],
)
def test_files_that_cannot_be_read(data: bytes, advice: str) -> None:
    for size in (None, 1):
        with pytest.raises(InvalidInput, match=advice) as caught:
            read(data, size=size)
        assert str(caught.value).isprintable()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ["", "text/plain", "text/csv; charset=latin1", "a\nb"])
def test_content_types_that_are_refused(kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RosterReader(kind)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        ("ada", "has 1 cells where the header has 5"),
        ("ada,a@b.example,Ada,L,s3cret,x", "has 6 cells"),
        ("a\0da,a@b.example,Ada,L,s3cret", "username contains the control character U+0000"),
        ("ada,a@b.example,A\x1bda,L,s3cret", "given_name contains the control character U+001B"),
        ("ada,a@b.example,A\u202eda,L,s3cret", "given_name contains the control character U+202E"),
        ("ada,a@b.example,Ada,L,s3cret\x07", "password contains the control character U+0007"),
        ("ada,a@b.example,Ada,L," + "s3cret" * 200, "password is longer than 1024"),
        ("ada,a@b.example," + "A" * 1025 + ",L,s3cret", "given_name is longer than 1024"),
        ('=1+1,a@b.example,"Ada",L,s3cret', "username begins like a formula"),
        ("ada,a@b.example, @Ada,L,s3cret", "given_name begins like a formula"),
        ("ada,a@b.example,+Ada,L,s3cret", "given_name begins like a formula"),
        ("ada,a@b.example,Ada,-L,s3cret", "family_name begins like a formula"),
        ("ada,ab.example,Ada,L,s3cret", "email is not an address"),
        ("ada,a@b@c.example,Ada,L,s3cret", "email is not an address"),
        ("ada,a b@c.example,Ada,L,s3cret", "email is not an address"),
        ("ada,a@,Ada,L,s3cret", "email is not an address"),
        ("ada,a@b..example,Ada,L,s3cret", "email is not an address"),
        ("ada,a@b.example,,L,s3cret", "given_name is empty"),
        ("ada,a@b.example,Ada, ,s3cret", "family_name is empty"),
        (",,,,s3cret", "names nobody"),
        ('ada,a@b.example,"Ada"x,L,s3cret', "a quote or a carriage return is out of place"),
        ("ada,a@b.example,A\rda,L,s3cret", "a quote or a carriage return is out of place"),
        ('ada,a@b.example,"Ada,L,s3cret\n\n', "never closed"),
        ("ada,a@b.example,Ada,L," + "s3cret" * 20_000, "longer than 64 KiB"),
    ],
)
def test_bad_rows(cells: str, advice: str) -> None:
    found = reason(f"username,email,first name,surname,password\n{cells}")
    assert advice in found
    assert "s3cret" not in found


def test_a_row_that_is_not_utf_8() -> None:
    rows = read(b"username,name\nada,J\xfcrgen\nbob,Bob\n")
    assert isinstance(rows[0], BadRow)
    assert "not UTF-8" in rows[0].reason
    assert usernames(rows) == ["bob"]


def test_a_display_name_makes_up_for_an_empty_name() -> None:
    (row,) = read("given_name,family_name,name\nSukarno,,Sukarno\n")
    assert isinstance(row, Row)


def test_names_are_composed() -> None:
    (row,) = read("name\nJu\u0308rgen\n")
    assert isinstance(row, Row)
    assert row.person.display_name == "Jürgen"


@pytest.mark.parametrize("size", [None, 1, 7, 4096, MAX_ROW])
@pytest.mark.parametrize("row", ["x" * (3 * MAX_ROW), '"' + "x\n" * MAX_ROW + '"'])
def test_an_oversize_row_is_skipped_to_its_end(row: str, size: int | None) -> None:
    rows = read(f"username,name\nada,A\neve,{row}\nbob,B\n", size=size)
    assert [row.number for row in rows] == [2, 3, 4]
    assert usernames(rows) == ["ada", "bob"]


def test_the_size_of_a_row_is_its_own() -> None:
    for excess, good in ((0, False), (1, True)):
        data = b"username,x\nada," + b"x" * (MAX_ROW - 4 - excess + 1) + b"\nbob,\n"
        rows = read(data)
        assert usernames(rows) == (["ada", "bob"] if good else ["bob"])


def test_an_open_quote_is_reported_where_it_opened() -> None:
    for lines in (3, 100_000):
        rows = read('username,name\nada,A\neve,"E\n' + "bob,B\n" * lines, size=5000)
        assert isinstance(rows[-1], BadRow)
        assert rows[-1].number == 3
        assert "never closed" in rows[-1].reason
        assert len(rows) == 2


def test_memory_stays_small() -> None:
    reader = RosterReader(CSV)
    reader.feed(b'username,name\nada,"')
    for _ in range(100):
        reader.feed(b"x" * 100_000)
        assert len(reader._records._buffer) <= MAX_ROW


def test_ndjson() -> None:
    text = '{"username": "ada", "password": "=x"}\n\n{"email": "b@x.example", "username": null}\n'
    assert read(text, NDJSON) == [
        Row(1, Person("ada", "", "", "", ""), "=x"),
        Row(3, Person("", "b@x.example", "", "", "")),
    ]


def test_ndjson_with_a_bom_and_crlf() -> None:
    assert usernames(read(b'\xef\xbb\xbf{"username": "a\\""}\r\n{"username": "b"}', NDJSON)) == [
        'a"',
        "b",
    ]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('{"username": "ada", "room": "1"}', "unknown field `room`"),
        ('{"username": "ada", "groups": ["s3cret\\u0007"]}', "control character U+0007"),
        ('{"username": "ada", "groups": ["staff", " "]}', "groups has a name that is empty"),
        ('{"username": "ada", "groups": [7]}', "at `$.groups[0]`"),
        ('{"groups": ["staff"], "title": "Dr"}', "names nobody"),
        ('{"a\\n\\u202eb": 1}', "unknown field"),
        ('{"username": 7}', "Expected `str | null`, got `int`"),
        ('{"username": "ada", "password": ["s3cret"]}', "$.password"),
        ("[]", "Expected `object`"),
        ("[" * 60_000, "Expected `object`"),
        ('{"username": ' + "[" * 60_000, "Expected `str | null`"),
        ("{", "truncated"),
        ("s3cret", "malformed"),
        ("{}", "names nobody"),
        ('{"username": "\\u0000"}', "control character U+0000"),
        ('{"username": "\\ud800 and more"}', "surrogate"),
        ('{"name": "=x"}', "unknown field"),
        ('{"display_name": "=x"}', "begins like a formula"),
        ('{"given_name": "", "family_name": "x"}', "given_name is empty"),
        ('{"username": "' + "s3cret" * 20_000 + '"}', "longer than 64 KiB"),
    ],
)
def test_bad_lines_of_ndjson(line: str, advice: str) -> None:
    found = reason(line, NDJSON)
    assert advice in found
    assert "s3cret" not in found


def test_ndjson_that_is_not_utf_8() -> None:
    assert "not UTF-8" in reason(b'{"username": "\xfc"}', NDJSON)


def person(text: str, kind: str = CSV) -> Person:
    """Of the only row, which is good."""
    (row,) = read(text, kind)
    assert isinstance(row, Row), row
    return row.person


@pytest.mark.parametrize(
    ("cell", "groups"),
    [
        ("staff", ("staff",)),
        (" class-7b ; staff;; ", ("class-7b", "staff")),
        ("staff;Staff;staff", ("staff", "Staff")),
        ('"CN=Staff,OU=Groups;/school/7b"', ("CN=Staff,OU=Groups", "/school/7b")),
        ("E\u0301te\u0301", ("Été",)),
        (" ;", ()),
        ("", ()),
    ],
)
def test_groups_stand_in_one_cell(cell: str, groups: tuple[str, ...]) -> None:
    assert person(f"username,Member-Of\nada,{cell}\n").groups == groups
    assert person(f'username;groups\nada;"{cell.strip(chr(34))}"\n').groups == groups
    text = json.dumps({"username": "ada", "groups": cell.strip('"')})
    assert person(text, NDJSON).groups == groups


def test_groups_of_ndjson_may_be_a_list() -> None:
    text = json.dumps({"username": "ada", "groups": ["a;b", " staff ", "a;b"]})
    assert person(text, NDJSON).groups == ("a;b", "staff")


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("a;s3cret\x07", "groups has a name that contains the control character U+0007"),
        ("a;s3cret\u202e", "control character U+202E"),
        ("a;=s3cret", "groups has a name that begins like a formula"),
        ("s3cret" * 43, "groups has a name that is longer than 256 characters"),
        (";".join(f"s3cret{n}" for n in range(33)), "groups has more than 32 names"),
    ],
)
def test_groups_that_are_refused(cell: str, advice: str) -> None:
    found = reason(f"username,groups\nada,{cell}\n")
    assert advice in found
    assert "s3cret" not in found


def test_as_many_and_as_long_groups_as_may_be() -> None:
    names = tuple(f"{n:0256}" for n in range(32))
    assert person(f"username,groups\nada,{';'.join(names)}\n").groups == names


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Job Title", "title"),
        ("Phone Number", "phone"),
        ("mobile", "phone"),
        ("Employee ID", "employee_number"),
        ("employee_number", "employee_number"),
        ("Personnel-Number", "employee_number"),
        ("Department", "department"),
        ("Company", "organization"),
        ("organisation", "organization"),
        ("division", "division"),
        ("Cost Centre", "cost_center"),
        ("Manager", "manager"),
    ],
)
def test_attributes(header: str, name: str) -> None:
    assert person(f"username,{header}\nada, x y \n").attributes == {name: "x y"}
    assert person(f"username,{header}\nada,\n").attributes == {}
    found = reason(f"username,{header}\nada,=s3cret\n")
    assert found == f"{name} begins like a formula (= + - @); remove that character"


def test_ndjson_has_each_attribute_by_its_name() -> None:
    said = {name: f"a {name}" for name in ATTRIBUTES}
    assert person(json.dumps({"username": "ada", **said}), NDJSON).attributes == said


@pytest.mark.parametrize("number", ["+49 30 1234-5", "+1 (555) 010/99.9", "030 12"])
def test_a_phone_number_is_no_formula(number: str) -> None:
    assert person(f"username,phone\nada,{number}\n").attributes == {"phone": number}


@pytest.mark.parametrize("number", ["+cmd|x", "+1+1", "=1", "-1", "+", "+1;A1"])
def test_what_only_begins_like_a_phone_number_is(number: str) -> None:
    assert "phone begins like a formula" in reason(f"username,phone\nada,{number}\n")


def test_of_two_columns_for_one_attribute_the_first_counts() -> None:
    reader = RosterReader(CSV)
    (row,) = reader.feed(b"username,phone,Mobile\nada,1,2\n")
    assert isinstance(row, Row)
    assert (row.person.attributes, reader.ignored_columns) == ({"phone": "1"}, ("Mobile",))


@pytest.mark.parametrize("header", ["group,groups,username", "username,memberOf,Group"])
def test_which_groups_must_be_clear(header: str) -> None:
    with pytest.raises(InvalidInput, match="groups more than once"):
        read(f"{header}\na,b,c\n")


@pytest.mark.parametrize("header", ["groups", "department,manager", "groups,password"])
def test_somebody_must_be_named(header: str) -> None:
    with pytest.raises(InvalidInput, match="no usable column"):
        read(f"{header}\n")


_NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["staff", "a b", "7b"])


@settings(max_examples=300, deadline=None)
@given(names=st.lists(_NAMES, max_size=40), kind=st.sampled_from([CSV, NDJSON]))
def test_any_groups_are_read_in_order_or_refused(names: list[str], kind: str) -> None:
    """And never anything in between: no name is cut, lost or made of two."""
    if kind == CSV:
        cell = ";".join(names).replace('"', '""')
        (row,) = read(f'username,groups\nada,"{cell}"\n')
        names = [part for name in names for part in name.split(";") if part.strip(BLANK)]
    else:
        (row,) = read(json.dumps({"username": "ada", "groups": names}), NDJSON)
    wanted = [unicodedata.normalize("NFC", name.strip(BLANK)) for name in names]
    if isinstance(row, Row):
        assert row.person.groups == tuple(dict.fromkeys(wanted))
        return
    assert row.reason.isprintable()
    assert (
        len(set(wanted)) > 32
        or not all(wanted)
        or any(name.startswith(FORMULA) or CONTROL.search(name) for name in wanted)
        or "carriage return is out of place" in row.reason
    )


CELL = st.text(st.sampled_from('ab,;|"\n\r\t =@é\0'), max_size=6)
SHAPED = st.lists(st.lists(CELL, max_size=6).map(",".join), max_size=8).map(
    lambda lines: ("username,name,password,groups,phone\n" + "\n".join(lines)).encode()
)
OBJECTS = st.dictionaries(
    st.sampled_from(["username", "email", "groups", "title", "x"]),
    CELL | st.none() | st.lists(CELL, max_size=3),
)
LINES = st.lists(OBJECTS.map(json.dumps), max_size=6).map(lambda lines: "\n".join(lines).encode())


def outcome(data: bytes, kind: str, cuts: list[int]) -> list[Row | BadRow] | str:
    """What comes of the data when cut at these places; InvalidInput is the only error."""
    reader = RosterReader(kind)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        rows: list[Row | BadRow] = []
        for start, end in pairwise(places):
            rows += reader.feed(data[start:end])
        return rows + reader.finish()
    except InvalidInput as error:
        return str(error)


@settings(max_examples=400, deadline=None)
@given(
    data=SHAPED | LINES | st.binary(),
    kind=st.sampled_from([CSV, NDJSON]),
    cuts=st.lists(st.integers(0, 10_000), max_size=20),
)
def test_pieces_of_any_size_give_the_same_rows(data: bytes, kind: str, cuts: list[int]) -> None:
    assert outcome(data, kind, cuts) == outcome(data, kind, [])
    assert outcome(data, kind, list(range(len(data)))) == outcome(data, kind, [])


@settings(max_examples=400, deadline=None)
@given(
    head=st.sampled_from(
        [b"", b"username,name,password\n", b"name|groups\n", b"\xef\xbb\xbfemail;phone;groups\n"]
    ),
    data=st.binary(max_size=300),
    kind=st.sampled_from([CSV, NDJSON]),
)
def test_any_bytes_give_rows_or_invalid_input(head: bytes, data: bytes, kind: str) -> None:
    found = outcome(head + data, kind, [])
    if isinstance(found, str):
        assert found.isprintable()
        return
    numbers = [row.number for row in found]
    assert numbers == sorted(set(numbers))
    assert all(row.reason.isprintable() for row in found if isinstance(row, BadRow))


def test_the_demo_roster() -> None:
    rows = read(DEMO.read_bytes())
    bad = [row for row in rows if isinstance(row, BadRow)]
    names = usernames(rows)
    assert len(rows) == 200
    assert [row.reason.split()[0] for row in bad] == ["email", "given_name"]
    assert len(names) - len(set(names)) == 5
