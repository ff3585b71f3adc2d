"""What a directory asks of passwords: what is made obeys and is strong; a roster is held to it."""

from __future__ import annotations

import itertools
import math
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.creators import check_policy
from botrix.errors import DirectoryError, InvalidInput
from botrix.passwords import (
    DEFAULT_POLICY,
    LEAST_BITS,
    PasswordPolicy,
    _bits,
    _Recipe,
    _recipe,
    checked,
    read_policy,
)

_MAYBE = st.sampled_from([None, True, False])
_POLICIES = st.builds(
    PasswordPolicy,
    length=st.none() | st.integers(1, 256), upper=_MAYBE, lower=_MAYBE, digit=_MAYBE, sign=_MAYBE,
    signs=st.none() | st.lists(st.sampled_from(string.punctuation), unique=True).map("".join),
    must_change=st.booleans(),
)  # fmt: skip


@given(_POLICIES)
def test_what_passes_is_obeyed_by_what_is_made(policy: PasswordPolicy) -> None:
    try:
        read = read_policy(policy.text())
    except InvalidInput as error:
        assert str(error).isprintable()
        return
    assert read == policy
    assert _bits(_recipe(policy)) >= LEAST_BITS
    for _ in range(5):
        password = policy.new()
        assert policy.problem(password) is None
        assert len(password) == (policy.length or 24)
        assert password[0].isalpha()
        signs = "-_" if policy.signs is None else policy.signs
        assert set(password) <= set(string.ascii_letters + string.digits + signs)
        full = PasswordPolicy(
            upper=policy.upper is not False, lower=policy.lower is not False,
            digit=policy.digit is not False, sign=policy.sign is not False and bool(signs),
        )  # fmt: skip
        assert full.problem(password) is None


@pytest.mark.parametrize("needs", [0, 1, 2, 3])
def test_bits_are_those_of_a_count(needs: int) -> None:
    kinds = (frozenset("A"), frozenset("b"), frozenset("1"))[:needs]
    recipe = _Recipe("Ab", "Ab1-", kinds, 4)
    made = [(a, *rest) for a in "Ab" for rest in itertools.product("Ab1-", repeat=3)]
    obeying = [one for one in made if all(kind & set(one) for kind in kinds)]
    assert math.isclose(_bits(recipe), math.log2(len(obeying)))


def test_every_password_is_as_likely_as_any_other() -> None:
    policy = PasswordPolicy(length=3, sign=False, signs="")
    drawn = [policy.new() for _ in range(4000)]
    assert len(set(drawn)) > 3500  # of 20,280 that obey
    firsts, lasts = ({one[n] for one in drawn} for n in (0, 2))
    assert firsts == set(string.ascii_letters)
    assert lasts == set(string.ascii_letters + string.digits)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"length": 8}, "44 random bits, and 128 are the least here; set length=22"),
        ({"length": 21, "signs": "-_"}, "set length=22"),
        ({"length": 0}, "the policy cannot be used"),
        ({"length": 257}, "the policy cannot be used"),
        ({"length": "32"}, "the policy cannot be used"),
        ({"length": True}, "the policy cannot be used"),
        ({"must_change": "yes"}, "the policy cannot be used"),
        ({"colour": 1}, "there are: length, upper"),
        ({"signs": "ab"}, "must be some of"),
        ({"signs": "--"}, "each of them once"),
        ({"signs": " "}, "must be some of"),
        ({"signs": "…"}, "must be some of"),
        ({"sign": True, "signs": ""}, "needs a sign and allows none"),
        ([], "the policy cannot be used"),
    ],
)
def test_a_policy_that_cannot_be_obeyed(given_: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(given_)
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("policy", "password", "told"),
    [
        ({"length": 32}, "Abc1-", "shorter than 32"),
        ({"upper": True}, "abc1-", "no upper-case letter"),
        ({"lower": True}, "ABC1-", "no lower-case letter"),
        ({"digit": True}, "Abc-", "no digit"),
        ({"sign": True}, "Abc1", "no sign"),
        ({"signs": "-_"}, "Abc1!", "none of -_"),
        ({"signs": ""}, "Abc-1", "none of those allowed"),
        ({"signs": "-_"}, "Zoë-1", None),
        ({"upper": False, "must_change": True}, "x", None),
        ({}, "x", None),
    ],
)
def test_a_roster_is_held_to_what_is_said(
    policy: dict[str, Any], password: str, told: str | None
) -> None:
    problem = checked(policy).problem(password)
    assert (problem is None) == (told is None)
    assert (told or "") in (problem or "")
    assert password not in (problem or "")


def test_the_default_says_nothing() -> None:
    assert DEFAULT_POLICY.text() == "{}"
    assert read_policy("{}") == DEFAULT_POLICY
    assert len(DEFAULT_POLICY.new()) == 24


@pytest.mark.parametrize("text", ["", "{", "[]", '{"newer": 1}'])
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_policy(text)


def test_scim_cannot_demand_a_change() -> None:
    policy = msgspec.structs.replace(DEFAULT_POLICY, must_change=True)
    check_policy("local", policy)
    check_policy("simulated", policy)
    check_policy("scim", DEFAULT_POLICY)
    with pytest.raises(DirectoryError, match="no standard way"):
        check_policy("scim", policy)
