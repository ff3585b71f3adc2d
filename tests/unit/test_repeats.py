"""Usernames that come twice in a roster: who keeps it, who gets a number, and at what cost."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.errors import InvalidInput
from botrix.model import Person
from botrix.repeats import Naming, Repeats, RosterRow, is_numbered, shortened

Names = list[tuple[str, bool]]
"""Of each row, and whether it was made."""


class Kept:
    """What a ledger does: keeps the rows of earlier batches."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[int] = []

    async def look(self, names: Collection[str]) -> dict[str, int]:
        self.asked.append(len(names))
        return {name: self.rows[name] for name in names if name in self.rows}


def person(name: str) -> Person:
    return Person(name, f"{name}@b.example", "", "", "")


def row(number: int, name: str, made: bool, most: int = 64) -> RosterRow:
    return RosterRow(number, person(name), "", Naming(most, person) if made else None)


def settle(
    rows: Iterable[RosterRow], size: int = 500, kept: Kept | None = None
) -> tuple[dict[int, str], dict[int, str]]:
    """Names and reasons by row; in batches."""
    kept, repeats = kept or Kept(), Repeats()
    named: dict[int, str] = {}
    left_out: dict[int, str] = {}
    waiting = list(rows)

    async def all_of_them() -> None:
        for at in range(0, len(waiting), size):
            good, bad = await repeats.settle(waiting[at : at + size], kept.look)
            for one in good:
                assert one.person.username.lower() not in kept.rows
                kept.rows[one.person.username.lower()] = one.number
                named[one.number] = one.person.username
                assert one.person.email == f"{one.person.username}@b.example"
            left_out.update(bad)

    asyncio.run(all_of_them())
    return named, left_out


def names(given: Names, most: int = 64) -> list[RosterRow]:
    return [row(at, name, made, most) for at, (name, made) in enumerate(given, 2)]


def test_who_is_made_gets_a_number_and_who_is_given_is_told() -> None:
    given = [("ann", True), ("ann", True), ("bob", False), ("ann", True), ("BOB", False)]
    named, left_out = settle(names(given), size=2)
    assert list(named.values()) == ["ann", "ann2", "bob", "ann3"]
    assert left_out == {6: "repeats the user name of row 4"}


def test_a_number_that_was_given_before_is_passed_over_and_one_after_is_told() -> None:
    given = [("ann2", False), ("ann", True), ("ann", True), ("ann3", False), ("ann", True)]
    named, left_out = settle(names(given), size=1)
    assert list(named.values()) == ["ann2", "ann", "ann3", "ann4"]
    assert left_out == {5: "repeats the user name of row 4"}


@pytest.mark.parametrize(
    ("name", "most", "tail", "made"),
    [
        ("anna", 8, "2", "anna2"),
        ("annamaria", 8, "2", "annamar2"),
        ("anna.maria", 6, "2", "anna2"),
        ("a@b.example", 64, "12", "a12@b.example"),
        ("anna@b.example", 12, "2", "a2@b.example"),
        ("anna@b.example", 10, "", None),
        ("anna", 4, "2000", None),
    ],
)
def test_how_a_number_is_put_behind_it(name: str, most: int, tail: str, made: str | None) -> None:
    assert shortened(name, most, tail) == made


def test_where_there_is_no_room_for_a_number_the_row_is_bad() -> None:
    named, left_out = settle(names([("a@b.c", True), ("a@b.c", True)], most=5))
    assert list(named) == [2]
    assert "no room for a number" in left_out[3]


def test_who_cannot_be_under_another_name_is_bad_and_its_number_stays_unused() -> None:
    def only_short(name: str) -> Person:
        if name == "ann2":
            raise InvalidInput("the e-mail of ann2 is too long")
        return person(name)

    rows = [RosterRow(n, person("ann"), "", Naming(64, only_short)) for n in (2, 3, 4)]
    assert settle(rows) == ({2: "ann", 4: "ann3"}, {3: "the e-mail of ann2 is too long"})


_NAME = st.sampled_from(["a", "a2", "a3", "b", "b2", "ab", "a.b", "abcd", "abce", "a@x", "a2@x"])


@settings(max_examples=500)
@given(
    st.lists(st.tuples(_NAME, st.booleans()), max_size=60),
    st.integers(4, 8),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_names_are_unique_and_the_same_again_whatever_the_batches(
    given: Names, most: int, size: int, other: int
) -> None:
    named, left_out = settle(names(given, most), size)
    assert len({name.lower() for name in named.values()}) == len(named)
    assert named.keys() | left_out.keys() == set(range(2, len(given) + 2))
    assert not named.keys() & left_out.keys()
    for number, name in named.items():
        wanted, made = given[number - 2]
        assert len(name) <= max(most, len(wanted))
        assert made or name == wanted
    assert settle(names(given, most), size) == (named, left_out)
    if all(made for _, made in given):
        assert settle(names(given, most), other) == (named, left_out)


@settings(max_examples=200)
@given(st.lists(_NAME, max_size=60), st.integers(1, 20))
def test_names_without_a_digit_get_the_numbers_in_order(given: list[str], size: int) -> None:
    plain = [name for name in given if not any(char.isdigit() for char in name)]
    named, left_out = settle(names([(name, True) for name in plain]), size)
    seen: dict[str, int] = {}
    for number, name in enumerate(plain, 2):
        seen[name] = seen.get(name, 0) + 1
        local, at, domain = name.partition("@")
        tail = "" if seen[name] == 1 else str(seen[name])
        assert named[number] == f"{local}{tail}{at}{domain}"
    assert not left_out


def test_many_of_one_name_cost_as_many_looks_as_many_of_different_ones() -> None:
    kept = Kept()
    named, _ = settle((row(n, "ann", True) for n in range(1, 20_001)), kept=kept)
    assert named[20_000] == "ann20000"
    assert len(kept.asked) <= 3 * 40
    assert sum(kept.asked) <= 3 * 20_000


def test_what_is_not_remembered_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botrix.repeats.REMEMBERED", 3)
    kept = Kept()
    given = [(f"n{n % 100}x", True) for n in range(6400)]
    named, _ = settle(names(given), size=50, kept=kept)
    assert named[2 + 6300] == "n0x64"
    assert len(set(named.values())) == 6400
    assert len(kept.asked) <= (6400 // 50) * 20


def test_a_long_stretch_of_given_names_is_passed_over_quickly() -> None:
    kept = Kept()
    given = [("x", True), ("x", True), *((f"x{n}", False) for n in range(3, 30_000)), ("x", True)]
    named, _ = settle(names(given), kept=kept)
    assert named[len(given) + 1] == "x30000"
    assert len(kept.asked) < 120


@pytest.mark.parametrize(
    ("name", "most", "other", "is_one"),
    [
        ("ann", 64, "ann2", True),
        ("ann", 64, "ann12", True),
        ("ann1", 64, "ann12", True),
        ("ann", 64, "ann", False),
        ("ann", 64, "bob2", False),
        ("ann", 64, "anna2", False),
        ("annamaria", 8, "annama12", True),
        ("a@b.example", 64, "a2@b.example", True),
        ("a@b.example", 64, "a2@c.example", False),
    ],
)
def test_which_names_are_one_with_a_number(name: str, most: int, other: str, is_one: bool) -> None:
    assert is_numbered(name, most, other) == is_one
