"""Usernames, e-mails and passwords: from templates, and from what a roster row leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.errors import InvalidInput, SettingsError
from botrix.identity import (
    MAX_USERNAME,
    Planner,
    check_template,
    transliterated,
    username_problem,
)
from botrix.model import Person
from botrix.passwords import new_password


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner("school.example", Random(7))


def known(**fields: str) -> Person:
    names = ("username", "email", "given_name", "family_name", "display_name")
    return Person(**{**dict.fromkeys(names, ""), **fields})


def refusal(act: Callable[[], None]) -> str:
    """What it is refused with; "" where it is not."""
    try:
        act()
    except InvalidInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "template",
    [
        None,
        "seat{n}",
        "seat-{n:03}",
        "{random}",
        "{given}.{family}+{n}",
        "_x{n}",
        "{given}.{n}@lab.example",
    ],
)
def test_good_templates_pass(template: str | None) -> None:
    check_template(template, 1_000_000)


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        ("admin", "add {n} or {random}"),
        ("{given}.{family}", "add {n} or {random}"),
        ("{name}{n}", "unknown placeholder '{name}'; use {n}"),
        ("{n.__class__}", "unknown placeholder"),
        ("{n!r}", "unknown placeholder"),
        ("{n:3}", "unknown placeholder"),
        ("{n:99999999999}", "unknown placeholder"),
        ("{}{n}", "unknown placeholder"),
        ("{n", "brace without its partner"),
        ("n}", "brace without its partner"),
        ("{{n}}", "brace without its partner"),
        ("Seat{n}", "contains 'S'; use only a-z"),
        ("sëat{n}", "contains '\\xeb'"),
        ("a b{n}", "contains ' '"),
        ("a\n{n}", "contains '\\n'"),
        ("a%s{n}", "contains '%'"),
        ("-{n}", "neither a name nor an address"),
        ("+{n}", "neither a name nor an address"),
        ("a..{n}", "neither a name nor an address"),
        ("{n}.", "neither a name nor an address"),
        ("{n}@a@b", "neither a name nor an address"),
        ("@{n}", "neither a name nor an address"),
        ("x" * 61 + "{n}", "shorten it to 64"),
        ("x" * 300 + "{n}", "shorten it to 256 characters"),
        ("{given}" * 6 + "{n}", "shorten it to 64"),
    ],
)
def test_bad_templates_are_refused_with_advice(template: str, advice: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(advice)) as caught:
        check_template(template, 1000)
    assert "\n" not in str(caught.value)


def test_one_account_needs_no_number() -> None:
    check_template("admin", 1)


def test_the_length_is_that_of_the_last_number() -> None:
    check_template("x" * 62 + "{n}", 99)
    with pytest.raises(InvalidInput, match="65 characters"):
        check_template("x" * 62 + "{n}", 100)


def test_numbers_start_at_one_and_are_padded(planner: Planner) -> None:
    assert planner.plan_generated("seat{n}", 0)[0].username == "seat1"
    assert planner.plan_generated("seat{n:03}", 41)[0].username == "seat042"
    assert planner.plan_generated("seat{n:03}", 1233)[0].username == "seat1234"


def test_the_default_names_people(planner: Planner) -> None:
    person, _ = planner.plan_generated(None, 0)
    assert re.fullmatch(r"[a-z]+\.[a-z]+\.[a-z2-7]{10}", person.username)
    assert person.email == f"{person.username}@school.example"
    assert person.display_name == f"{person.given_name} {person.family_name}"


def test_a_username_that_is_an_address_is_the_email(planner: Planner) -> None:
    person, _ = planner.plan_generated("seat{n}@lab.example", 0)
    assert person.email == person.username == "seat1@lab.example"


def test_a_bad_template_is_refused_at_planning_too(planner: Planner) -> None:
    with pytest.raises(InvalidInput):
        planner.plan_generated("{oops}", 0)


def test_generated_usernames_do_not_repeat() -> None:
    planner = Planner("school.example")
    people = [planner.plan_generated(None, index)[0] for index in range(20_000)]
    assert len({person.username for person in people}) == 20_000
    assert len({person.given_name for person in people}) > 900
    assert len({person.family_name for person in people}) > 900


@settings(max_examples=300, deadline=None)
@given(
    template=st.text(st.sampled_from("ab.-_@+%") | st.sampled_from("{}n:03"), max_size=20)
    | st.lists(
        st.sampled_from(["{n}", "{n:05}", "{random}", "{given}", "{family}", "a", ".", "@", "-"])
    ).map("".join),
    index=st.integers(0, 999_999),
)
def test_what_the_check_lets_through_makes_a_username(template: str, index: int) -> None:
    planner = _PLANNER
    try:
        check_template(template, 1_000_000)
    except InvalidInput:
        return
    person, _ = planner.plan_generated(template, index)
    assert username_problem(person.username) is None
    assert len(person.username) <= MAX_USERNAME


_PLANNER = Planner("school.example")


@given(st.text())
def test_any_text_as_a_template_passes_or_is_refused(template: str) -> None:
    assert refusal(lambda: check_template(template, 5)).isprintable()


def test_passwords_are_strong_and_differ() -> None:
    passwords = [new_password() for _ in range(2000)]
    assert len(set(passwords)) == 2000
    for password in passwords:
        assert len(password) == 24
        for kind in ("[a-z]", "[A-Z]", "[0-9]", "[-_]", "^[A-Za-z0-9]"):
            assert re.search(kind, password)


def test_the_rng_does_not_decide_passwords() -> None:
    one, two = (Planner("x.example", Random(1)).plan_generated(None, 0) for _ in range(2))
    assert one[0] == two[0]
    assert one[1] != two[1]


@pytest.mark.parametrize("domain", ["", "no domain", "@x.example", "x..example", "a\n.example"])
def test_an_email_domain_must_be_one(domain: str) -> None:
    with pytest.raises(SettingsError):
        Planner(domain)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Jürgen", "jurgen"),
        ("Łukasz", "lukasz"),
        ("Søren", "soren"),
        ("Weiß", "weiss"),
        ("Ægir", "aegir"),
        ("Đorđe", "dorde"),
        ("Işık", "isik"),
        ("İnci", "inci"),
        ("Þór", "thor"),
        ("Ǽ", "ae"),
        ("山田", ""),
        ("Иван", ""),
    ],
)
def test_transliterated(name: str, plain: str) -> None:
    assert transliterated(name) == plain


@pytest.mark.parametrize(
    ("row", "username"),
    [
        ({"username": "Ada", "email": "x@y.example"}, "ada"),
        ({"email": "J.Müller@y.example", "given_name": "Z"}, "j.muller"),
        ({"email": "o'brien@y.example"}, "obrien"),
        ({"email": "山田@y.example", "given_name": "Taro"}, "taro"),
        ({"given_name": "Jürgen", "family_name": "Müller"}, "jurgen.muller"),
        ({"given_name": "Ann-Katrin", "family_name": "de la Peña"}, "ann-katrin.delapena"),
        ({"family_name": "Sukarno"}, "sukarno"),
        ({"display_name": "Łukasz Żak"}, "lukasz.zak"),
    ],
)
def test_the_username_of_a_row(planner: Planner, row: dict[str, str], username: str) -> None:
    assert planner.person_from_row(known(**row)).username == username


def test_a_row_is_filled_in(planner: Planner) -> None:
    row = known(given_name="Jürgen", family_name="Müller")
    assert planner.person_from_row(row) == Person(
        "jurgen.muller", "jurgen.muller@school.example", "Jürgen", "Müller", "Jürgen Müller"
    )


def test_a_full_row_stays_as_it_is(planner: Planner) -> None:
    row = Person("ada", "a@b.example", "Ada", "Lovelace", "Countess of Lovelace")
    assert planner.person_from_row(row) == row


def test_a_row_with_only_a_username(planner: Planner) -> None:
    row = planner.person_from_row(known(username="ada"))
    assert row == known(username="ada", email="ada@school.example", display_name="ada")


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ({"given_name": "山田", "family_name": "Taro"}, "give one in a username column"),
        ({}, "give one in a username column"),
        ({"username": "a b"}, "use only a-z"),
        ({"username": "山田"}, "use only a-z"),
        ({"username": "x" * 65}, "shorten it to 64"),
        ({"username": "=1"}, "use only a-z"),
        ({"given_name": "x" * 40, "family_name": "y" * 40}, "shorten it to 64"),
    ],
)
def test_a_row_without_a_usable_username(
    planner: Planner, row: dict[str, str], advice: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(advice)):
        planner.person_from_row(known(**row))


@given(st.builds(Person, st.text(), st.text(), st.text(), st.text(), st.text()))
def test_any_row_gives_a_usable_username_or_is_refused(row: Person) -> None:
    people: list[Person] = []
    found = refusal(lambda: people.append(_PLANNER.person_from_row(row)))
    assert found.isprintable()
    assert found or username_problem(people[0].username) is None
