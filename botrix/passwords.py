"""Passwords that are made here, and what a directory asks of them.

A policy says what it cares about and no more: a generated password obeys it and is as good as 128
random bits in any case; a roster's own password is held to what the policy says.
"""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode
from functools import lru_cache
from itertools import combinations
from string import ascii_lowercase, ascii_uppercase, digits, punctuation
from typing import Annotated

import msgspec

from botrix.entropy import random_bytes
from botrix.errors import InvalidInput

LEAST_BITS = 128
_LENGTH, _LONGEST = 24, 256
_SIGN_CHARACTERS = "-_"
_LETTERS = tuple(pair for a in ascii_lowercase for b in ascii_uppercase for pair in (a + b, b + a))
_SIGNS = tuple(digit + sign for digit in digits for sign in _SIGN_CHARACTERS)


class PasswordPolicy(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """length: of what is generated, and the least of a roster's. upper, lower, digit, sign: whether
    one must be there. signs: those that may. must_change: at the first sign-in, where the
    directory can demand that. None: not said."""

    length: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)] | None = None
    upper: bool | None = None
    lower: bool | None = None
    digit: bool | None = None
    sign: bool | None = None
    signs: str | None = None
    must_change: bool = False

    def new(self) -> str:
        """A password that obeys. Every one that does is as likely as any other."""
        if self.length in (None, _LENGTH) and self.signs is None:
            return new_password()  # has one of each kind
        recipe = _recipe(self)
        while True:
            drawn = _drawn(recipe.first, 1) + _drawn(recipe.others, recipe.length - 1)
            if all(not kind.isdisjoint(drawn) for kind in recipe.needed):
                return drawn

    def problem(self, password: str) -> str | None:
        """What is wrong with a roster's password, never with a part of it; None: nothing."""
        if self.length is not None and len(password) < self.length:
            return f"the password is shorter than {self.length} characters"
        signs = {c for c in password if not c.isalnum()}
        if self.signs is not None and not signs <= set(self.signs):
            return f"the password holds a sign that is none of {self.signs or 'those allowed'}"
        needs = (
            (self.upper, any(c.isupper() for c in password), "upper-case letter"),
            (self.lower, any(c.islower() for c in password), "lower-case letter"),
            (self.digit, any(c.isdigit() for c in password), "digit"),
            (self.sign, bool(signs), "sign"),
        )
        missing = [what for needed, there, what in needs if needed and not there]
        return f"the password has no {missing[0]}" if missing else None

    def text(self) -> str:
        """As `read_policy` reads it."""
        return msgspec.json.encode(self).decode()


DEFAULT_POLICY = PasswordPolicy()


class _Recipe(msgspec.Struct, frozen=True):
    """first: what a password may begin with. others: what may follow. needed: sets of which each
    must be met."""

    first: str
    others: str
    needed: tuple[frozenset[str], ...]
    length: int


@lru_cache(maxsize=64)
def read_policy(text: str) -> PasswordPolicy:
    """From the ledger's JSON. Raises InvalidInput, as `checked` does."""
    try:
        return checked(msgspec.json.decode(text))
    except msgspec.DecodeError:
        raise InvalidInput("the directory's policy is no JSON; add the directory anew") from None


def checked(given: object) -> PasswordPolicy:
    """Raises InvalidInput where it cannot be obeyed, or only by passwords that are too weak."""
    try:
        policy = msgspec.convert(given, PasswordPolicy)
    except msgspec.ValidationError as error:
        known = ", ".join(PasswordPolicy.__struct_fields__)
        raise InvalidInput(f"the policy cannot be used: {error}; there are: {known}") from None
    signs = policy.signs or ""
    if len(set(signs)) != len(signs) or not set(signs) <= set(punctuation):
        raise InvalidInput(f"`signs` must be some of {punctuation}, each of them once")
    if policy.sign and policy.signs == "":
        raise InvalidInput("the policy needs a sign and allows none; correct `sign` or `signs`")
    _check_strength(_recipe(policy))
    return policy


def _check_strength(recipe: _Recipe) -> None:
    bits = _bits(recipe)
    if bits >= LEAST_BITS:
        return
    least = recipe.length
    while _bits(msgspec.structs.replace(recipe, length=least)) < LEAST_BITS:
        least += 1
    raise InvalidInput(
        f"generated passwords of {recipe.length} characters would hold {int(bits)} random bits, "
        f"and {LEAST_BITS} are the least here; set length={least} or more"
    )


@lru_cache(maxsize=64)
def _recipe(policy: PasswordPolicy) -> _Recipe:
    """What is not said is as in `new_password`: one of each kind, the first one a letter."""
    signs = _SIGN_CHARACTERS if policy.signs is None else policy.signs
    kinds = (
        (policy.upper, ascii_uppercase),
        (policy.lower, ascii_lowercase),
        (policy.digit, digits),
        (policy.sign, signs),
    )
    needed = tuple(frozenset(kind) for wanted, kind in kinds if kind and wanted is not False)
    letters = ascii_uppercase + ascii_lowercase
    return _Recipe(letters, letters + digits + signs, needed, policy.length or _LENGTH)


def _bits(recipe: _Recipe) -> float:
    """Of a password drawn evenly from all that obey, counted by inclusion and exclusion."""
    count = 0
    for n in range(len(recipe.needed) + 1):
        for left_out in combinations(recipe.needed, n):
            without: frozenset[str] = frozenset().union(*left_out)
            first, others = (len(set(some) - without) for some in (recipe.first, recipe.others))
            count += (-1) ** n * first * others ** (recipe.length - 1)
    return math.log2(count) if count > 0 else 0.0


def _drawn(alphabet: str, length: int) -> str:
    """Evenly: bytes that would favour the first characters are passed over."""
    even = 256 - 256 % len(alphabet)
    found = ""
    while len(found) < length:
        fitting = (byte for byte in random_bytes(2 * length) if byte < even)
        found += "".join(alphabet[byte % len(alphabet)] for byte in fitting)
    return found[:length]


def new_password() -> str:
    """24 characters: a letter of each case, a digit and one of "-_", then 120 random bits.

    The first four are drawn from 27,040 ways (14.7 bits), so that whoever knows the rule still
    faces 134 bits: well over 128. The first one is a letter, because spreadsheets and command lines
    read more into a leading "-".
    """
    drawn = random_bytes(19)
    both = int.from_bytes(drawn[:4])
    start = _LETTERS[(both >> 16) % len(_LETTERS)] + _SIGNS[(both & 0xFFFF) % len(_SIGNS)]
    return start + urlsafe_b64encode(drawn[4:]).decode()
