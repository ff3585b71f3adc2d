"""Templates: what they make of a row, what they refuse, and that nothing breaks them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.columns import MAX_CELL, RowError
from botrix.drafts import Form
from botrix.errors import InvalidInput
from botrix.filters import FILTERS, LONGEST
from botrix.language import MAX_TEXT, Text
from botrix.mappings import read_mapping
from botrix.roster import BadRow, RosterReader, Row
from botrix.templates import Template, read_template, written


def template(**body: Any) -> Template:
    return read_template(json.dumps(body))


def read(
    csv: str, made: Template | None, mapping: str | None = None, kind: str = "text/csv"
) -> list[Row | BadRow]:
    reader = RosterReader(kind, Form(read_mapping(mapping), made))
    return reader.feed(csv.encode()) + reader.finish()


def only(csv: str, made: Template) -> Row:
    (row,) = read(csv, made)
    assert isinstance(row, Row), row
    return row


def filled(source: str, **columns: str) -> str:
    return Text("username", source).fill(columns)


@pytest.mark.parametrize(
    ("source", "value", "made"),
    [
        ("{{ a | ascii }}", "Łódź Ærø 北京 Владимир Ελλάδα", "Lodz Aero BeiJing Vladimir Ellada"),
        ('{{ a | ascii: "de" }}', "Jürgen Groß Äöü", "Juergen Gross Aeoeue"),
        ('{{ a | ascii: "de" }}', "u\u0308", "ue"),
        ('{{ a | ascii: "nordic" }}', "Åse Ærøskøbing", "Aase Aeroeskoebing"),
        ("{{ a | slug }}", " De la Cruz-Peña & O'Neil ", "de-la-cruz-pena-oneil"),
        ('{{ a | slug: "" }}', "De la Cruz", "delacruz"),
        ("{{ a | lower }}{{ a | upcase }}", "aB", "abAB"),
        ("{{ a | first: 2 }}-{{ a | last: 3 }}-{{ a | first }}", "abcdef", "ab-def-a"),
        ("{{ a | initials }}", "Anna-Lena von O'Neil", "ALVO"),
        ('{{ a | default: "x" }}', "  ", "x"),
        ('{{ a | before: "@" }}.{{ a | after: "@" }}', "x@y", "x.y"),
        ('{{ a | replace: "b", "cc" | remove: "d" | append: 1 | prepend: "_" }}', "abd", "_acc1"),
        ("{{ a | capitalize | strip }}", "anna ", "Anna"),
        ("{% if a == 'x' %}1{% elsif a contains 'y' %}2{% else %}3{% endif %}", "zyz", "2"),
        ("{% unless a == '' %}1{% endunless %}", "", ""),
        ("{% case a %}{% when 'p', 'q' %}1{% else %}2{% endcase %}", "q", "1"),
        ("{% assign b = a | first: 1 %}{{ b }}{{ b }}", "xy", "xx"),
        ("<{{ a }}>", "<b>&amp;", "<<b>&amp;>"),
    ],
)
def test_what_a_text_makes(source: str, value: str, made: str) -> None:
    assert filled(source, a=value) == made


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ a", "cannot be read"),
        ("{% for c in a %}{{ c }}{% endfor %}", "unexpected tag 'for'"),
        ("{% include 'x' %}", "unexpected tag"),
        ("{% render 'x' %}", "unexpected tag"),
        ("{% capture x %}{% endcapture %}", "unexpected tag"),
        ("{% liquid\necho a %}", "unexpected tag"),
        ("{{ a | nothing }}", "unknown filter 'nothing'"),
        ("{{ a | date: '%Y' }}", "unknown filter 'date'"),
        ("{{ a | split: ',' }}", "unknown filter"),
        ("{{ a.size }}", "a part of a column"),
        ("{{ a.__class__ }}", "a part of a column"),
        ("{{ a['b'] }}", "a part of a column"),
        ("{{ [a] }}", "a part of a column"),
        ("{% if (1..1000000000) contains 'x' %}1{% endif %}", "no part of the language"),
        ("{{ (1..3) }}", "no part of the language"),
        ("{{ a | first: 1, 2 }}", "the filter 'first'"),
        ("{{ a | append }}", "the filter 'append'"),
        ("{{ a | first: n: 1 }}", "gives a name"),
        ("{{ a" + " | lower" * 25 + " }}", "more than 24 filters"),
        ("x" * (MAX_TEXT + 1), "longer than 1000"),
        ("{% if a %}" * 20, "cannot be read"),
        ("{% case (1..9) %}{% when 'x' %}1{% endcase %}", "no part of the language"),
        ("{% case a.b %}{% when 'x' %}1{% endcase %}", "a part of a column"),
        ("{% case a %}{% when b, a %}1{% endcase %}", "has a `when` that names other"),
        ("{% case a %}{% when 'x', 'y', 'x' %}1{% endcase %}", "one of them twice"),
    ],
)
def test_what_is_no_template(source: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        Text("username", source)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% if a > 5 %}1{% endif %}", "put quotes around the number"),
        ('{{ a | ascii: "fr" }}', "knows only 'de' and 'nordic'"),
        ('{{ a | first: "x" }}', "takes a number"),
        ("{{ a | first: 99999 }}", "takes a number"),
        ('{{ a | replace: "", "x" }}', "replace nothing"),
        ('{{ a | replace: "s", a | replace: "s", a }}', "more than 1024"),
        ("{{ a | append: a | append: a | append: a }}", "makes more than 1024"),
        ("{{ a }}" * 40, "becomes too long"),
        ("{% assign b = a | append: a %}" * 4 + "{{ b }}" * 30, "becomes too long"),
    ],
)
def test_what_cannot_be_filled_in_is_told_without_a_cell(source: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        filled(source, a="s3cret" * 50)
    assert "s3cret" not in str(caught.value)


def test_a_row_by_a_template() -> None:
    made = template(
        username='{{ given_name | slug: "" | first: 1 }}.{{ family_name | slug: "" }}',
        email="{{ username }}@{{ school | slug }}.example",
        display_name="{{ family_name }}, {{ given_name }}",
        attributes={"department": "{{ class }}", "employee_number": '{{ ["Roll No."] }}'},
        groups=["class-{{ class | lower }}", "{% if club != '' %}{{ club }}{% endif %}", "all"],
    )
    csv = (
        "First Name,Last Name,School,Class,Club,Roll No.,password\n"
        "Jürgen,Müller,Old Mill,7A,,017,s3cret!\n"
    )
    row = only(csv, made)
    person = row.person
    assert (person.username, person.email) == ("j.muller", "j.muller@old-mill.example")
    assert person.display_name == "Müller, Jürgen"
    assert person.attributes == {"department": "7A", "employee_number": "017"}
    assert person.groups == ("class-7a", "all")
    assert row.password == "s3cret!"


def test_columns_go_by_field_by_name_and_by_their_name_in_lower_case() -> None:
    csv = "Vorname,Größe in cm\nAnna,170\n"
    made = template(username='{{ Vorname | slug }}{{ größe_in_cm }}{{ ["Größe in cm"] }}')
    reader = RosterReader("text/csv", Form(template=made))
    (row,) = reader.feed(csv.encode()) + reader.finish()
    assert isinstance(row, Row)
    assert row.person.username == "anna170170"
    assert reader.ignored_columns == ()


@pytest.mark.parametrize(
    ("csv", "source", "reason"),
    [
        ("First Name,Last Name\nA,B\n", "{{ first }}", "'first', which the roster does not have"),
        ("username,x\na,b\n", "{{ x }}{{ y }}", "it has: username, x"),
        ("username,password\na,b\n", "{{ password }}", "the password"),
        ("username,Password\na,b\n", "{{ Password }}", "'Password', which the roster"),
        ("username,ssha_password\na,b\n", "{{ ssha_password }}", "which the roster does not"),
        ("username,x\na,b\n", "{{ now }}", "'now', which the roster does not have"),
    ],
)
def test_an_unknown_column_refuses_the_roster(csv: str, source: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read(csv, template(display_name=source))


def test_a_template_may_name_the_username_only_where_there_is_one() -> None:
    csv = "given_name,family_name\nA,B\n"
    assert only(csv, template(username="x", email="{{ username }}@b.example")).person.email
    with pytest.raises(InvalidInput, match="'username'"):
        read(csv, template(email="{{ username }}@b.example"))


def test_a_username_that_is_made_may_give_way_and_what_is_made_of_it_follows() -> None:
    made = template(username="{{ given_name | lower }}", email="{{ username }}@b.example")
    row = only("given_name,family_name\nAnna,B\n", made)
    assert row.naming is not None
    assert row.naming.named("anna2").email == "anna2@b.example"
    given = template(username="{{ username | lower }}")
    assert only("username\nAnna\n", given).naming is None
    assert only("given_name,family_name\nA,B\n", template(suffixes=False)).naming is None
    assert only("given_name,family_name\nA,B\n", template(max_length=8)).naming is not None


@pytest.mark.parametrize(
    ("source", "most", "made"),
    [
        ("anna.meierhofer", 8, "anna.mei"),
        ("anna.meier", 5, "anna"),
        ("anna.meier@b.example", 14, "anna@b.example"),
    ],
)
def test_it_is_cut(source: str, most: int, made: str) -> None:
    row = only("given_name,family_name\nA,B\n", template(username=source, max_length=most))
    assert row.person.username == made


def test_ndjson() -> None:
    made = template(username="{{ given_name | slug }}{{ title }}")
    line = '{"given_name": "Änne", "family_name": "B", "groups": ["a", "b"]}\n'
    (row,) = read(line, made, kind="application/x-ndjson")
    assert isinstance(row, Row)
    assert (row.person.username, row.person.groups) == ("anne", ("a", "b"))
    with pytest.raises(InvalidInput, match="'room'"):
        read(line, template(username="{{ room }}"), kind="application/x-ndjson")
    with pytest.raises(InvalidInput, match="a mapping is for CSV"):
        read(line, made, "moodle", kind="application/x-ndjson")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "cannot be used"),
        ("{", "cannot be used"),
        ('{"usernam": "x"}', "unknown field"),
        ('{"username": 1}', "username"),
        ('{"max_length": 3}', "max_length"),
        ('{"max_length": 65}', "max_length"),
        ('{"suffixes": "no"}', "suffixes"),
        ('{"attributes": {"password": "x"}}', "attribute 'password'"),
        ('{"attributes": {"shoe": "x"}}', "attribute 'shoe'; there are: title"),
        ('{"email": "{{ x"}', "the template's email cannot be read"),
        ('{"groups": ' + json.dumps(["x"] * 33) + "}", "more than 32 groups"),
        ('{"username": "' + "x" * 20_000 + '"}', "larger than 16 KiB"),
    ],
)
def test_bodies_that_cannot_be_used(body: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_template(body)


def test_the_same_template_is_written_the_same() -> None:
    one = template(username="a", groups=["x"], attributes={"title": "t", "phone": "p"})
    other = template(attributes={"phone": "p", "title": "t"}, groups=["x"], username="a")
    assert written(one) == written(other)
    assert written(read_template(written(one))) == written(one)


@pytest.mark.parametrize(
    "source",
    [
        "{{ a }}{{ b | lower }}{{ ['c'] }}",
        "{% case a %}{% when 'x' %}{{ b }}{% else %}{{ c }}{% endcase %}",
        "{% if a == b %}{% elsif c %}{% endif %}",
        "{% unless a and b or c %}{% endunless %}",
        "{% assign d = a | append: b | default: c %}{{ d }}",
    ],
)
def test_it_knows_which_columns_it_uses(source: str) -> None:
    assert Text("username", source).columns == {"a", "b", "c"}


# --- nothing breaks them

_WORDS = """{{ }} {% %} a b ["b"] | : , . .. ( ) 'x' "y" 1 -1 1e9 99999999999 == != <> < > <= and or
contains if elsif else endif unless endunless case when endcase assign = for in endfor raw endraw
comment endcomment liquid echo nil true false empty blank first last initials ascii slug lower upper
default replace remove append prepend before after date sort {{- -}} {%- -%}"""
_SOUP = st.lists(st.sampled_from([*_WORDS.split(), "\n"]), max_size=40).map(" ".join)


@settings(max_examples=600)
@given(_SOUP | st.text(max_size=60), st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_written_it_is_read_and_filled_in_or_refused(
    source: str, a: str, b: str
) -> None:
    try:
        text = Text("username", source)
        columns = {"a": a, "b": b}
        assert len(text.fill({name: columns.get(name, a) for name in text.columns})) <= 4 * LONGEST
    except InvalidInput as error:
        assert len(str(error)) < 500


_ARGUMENTS = st.lists(
    st.one_of(st.just("b"), st.integers(-5, 2000).map(str), st.sampled_from(["'de'", "''", "'-'"])),
    max_size=2,
)


@settings(max_examples=600)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(FILTERS)), _ARGUMENTS), min_size=1, max_size=20),
    st.text(max_size=MAX_CELL),
    st.text(max_size=50),
)
def test_filters_never_make_more_than_their_limit(
    used: list[tuple[str, list[str]]], a: str, b: str
) -> None:
    pipes = [f"{name}: {', '.join(given)}" if given else name for name, given in used]
    try:
        text = Text("username", "{{ a | " + " | ".join(pipes) + " }}")
        assert len(text.fill({"a": a, "b": b})) <= LONGEST
    except InvalidInput:
        pass


_CELL = st.text(st.characters(exclude_characters='\n\r"\0', exclude_categories=["Cs"]), max_size=80)
_NAMES = [
    "{{ g | slug }}.{{ f | slug }}",
    "{{ g }}{{ f }}",
    "{{ f | ascii | lower }}",
    "{{ g | first }}",
]


@settings(max_examples=300)
@given(
    st.sampled_from(_NAMES), st.sampled_from([*_NAMES, None]), st.integers(4, 64),
    st.lists(st.tuples(_CELL, _CELL), max_size=8),
)  # fmt: skip
def test_whatever_the_cells_are_a_row_is_good_and_within_limits_or_bad_with_a_reason(
    username: str, email: str | None, most: int, cells: list[tuple[str, str]]
) -> None:
    more = {} if email is None else {"email": email + "@b.example", "groups": [email]}
    made = template(username=username, max_length=most, attributes={"title": "{{ g }}"}, **more)
    rows = "".join(f'"{g}","{f}"\n' for g, f in cells)
    for row in read(f"g,f\n{rows}", made):
        if isinstance(row, BadRow):
            assert row.reason.isprintable()
        else:
            assert len(row.person.username) <= most
            assert all(len(text) <= MAX_CELL for text in row.person.attributes.values())
            assert row.naming is not None
            try:
                assert row.naming.named("x2").username == "x2"
            except InvalidInput as error:
                assert str(error)


def test_the_worst_template_takes_milliseconds_for_a_row() -> None:
    source = "{{ a" + ' | replace: "ß", "ß" | slug | ascii: "de"' * 8 + " }}"
    made = template(username=source, email=source, groups=[source] * 10, display_name=source)
    started = time.perf_counter()
    with pytest.raises(RowError):
        made.over({}, {"a": "ß" * (LONGEST + 1)})
    for _ in range(5):
        made.username({"a": "ß" * (LONGEST // 2)})
        made.over({}, {"a": "ß" * (LONGEST // 2)})
    assert time.perf_counter() - started < 2.5  # of a machine with much else to do
