"""Who an account is for: username, e-mail, names and password, from a template or a roster row.

A template is a username with placeholders, `{given}.{family}.{random}` unless told otherwise. It
comes from outside, so it is read by the small parser below and never by `str.format`. Every name
that is put in is at most MAX_NAME characters long, which is why `check_template` can tell the
longest username of a job before a single one is made.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeAlias

from botrix.entropy import random_bytes
from botrix.errors import InvalidInput, SettingsError
from botrix.model import Person
from botrix.passwords import DEFAULT_POLICY, PasswordPolicy

DEFAULT_TEMPLATE = "{given}.{family}.{random}"
MAX_USERNAME = 64
MAX_NAME = 12
RANDOM_LENGTH = 10

_MAX_TEMPLATE = 256
_HELP = "use {n}, {n:03}, {random}, {given} or {family}"
_PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)")
_NUMBER = re.compile(r"n(?::0([1-9]))?")
_FOREIGN = re.compile(r"[^a-z0-9._@+-]")
_SHAPE = re.compile(r"[a-z0-9_][a-z0-9_+-]*(\.[a-z0-9_+-]+)*(@[a-z0-9-]+(\.[a-z0-9-]+)*)?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.I)
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_PAIRS = tuple(a + b for a in _BASE32 for b in _BASE32)
_NO_ACCENT_TO_DROP = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
    | {"ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n", "ĸ": "k", "ə": "e"}
)


class _Piece(NamedTuple):
    """Of a template: a text to keep ("text"), or a placeholder; `width` is that of {n:03}."""

    kind: str
    text: str = ""
    width: int = 0


@lru_cache(maxsize=64)
def check_template(template: str | None, count: int) -> None:
    """Raises InvalidInput where the template cannot name `count` accounts."""
    pieces = _parsed(template or DEFAULT_TEMPLATE)
    kinds = {piece.kind for piece in pieces}
    if count > 1 and not kinds & {"n", "random"}:
        raise _refused(template, f"would name all {count} accounts alike; add {{n}} or {{random}}")
    name = "x" * MAX_NAME
    longest = _format(template or DEFAULT_TEMPLATE).format(count, name, name, "x" * RANDOM_LENGTH)
    if problem := username_problem(longest):
        raise _refused(template, f"makes a username that {problem}")


def username_problem(username: str) -> str | None:
    """What is wrong with it, to be put after "that" or after the name; None where nothing is."""
    if not username:
        return "is empty"
    if len(username) > MAX_USERNAME:
        return f"can be {len(username)} characters long; shorten it to {MAX_USERNAME}"
    if foreign := _FOREIGN.search(username):
        return f"contains {foreign[0]!a}; use only a-z, 0-9 and . _ - @ +"
    if not _SHAPE.fullmatch(username):
        return (
            "is neither a name nor an address; start with a letter or digit, "
            "put text around every dot and around the only @"
        )
    return None


@lru_cache(maxsize=64)
def _parsed(template: str) -> tuple[_Piece, ...]:
    if len(template) > _MAX_TEMPLATE:
        raise _refused(template, f"is too long; shorten it to {_MAX_TEMPLATE} characters")
    pieces = []
    end = 0
    for found in _PIECE.finditer(template):
        if found.start() != end:
            break
        end = found.end()
        pieces.append(_piece(template, found))
    if end != len(template):
        raise _refused(template, f"has a brace without its partner; {_HELP}")
    return tuple(pieces)


def _piece(template: str, found: re.Match[str]) -> _Piece:
    placeholder, text = found.groups()
    if text is not None:
        return _Piece("text", text)
    if placeholder in {"random", "given", "family"}:
        return _Piece(placeholder)
    if number := _NUMBER.fullmatch(placeholder):
        return _Piece("n", width=int(number[1] or 0))
    raise _refused(template, f"has the unknown placeholder {found[0][:40]!a}; {_HELP}")


def _refused(template: str | None, problem: str) -> InvalidInput:
    return InvalidInput(f"the template {(template or DEFAULT_TEMPLATE)[:80]!a} {problem}")


@lru_cache(maxsize=64)
def _format(template: str) -> str:
    """For str.format, made of pieces that hold no brace: number, given, family, random."""
    places = {"given": "{1}", "family": "{2}", "random": "{3}"}
    return "".join(
        text or places.get(kind) or f"{{0:0{width}d}}" for kind, text, width in _parsed(template)
    )


_Name: TypeAlias = tuple[str, str]
"""A name as people write it, and as usernames do."""


class Planner:
    """Decides who a new account is for. `rng` draws names and {random}, never passwords."""

    def __init__(self, email_domain: str, rng: Random | None = None) -> None:
        if not _DOMAIN.fullmatch(email_domain):
            raise SettingsError(f"{email_domain!a} is no e-mail domain; name one: example.org")
        self._domain = email_domain
        self._bits = rng.getrandbits if rng else _random_bits
        self._given, self._family = _load_names()

    def plan_generated(
        self, template: str | None, index: int, policy: PasswordPolicy = DEFAULT_POLICY
    ) -> tuple[Person, str]:
        """The person and the password of the account at `index` (0-based) of a generated job."""
        bits = self._bits(114)  # 50 for {random}, 32 for each name
        given = self._given[(bits >> 50 & 0xFFFFFFFF) % len(self._given)]
        family = self._family[(bits >> 82) % len(self._family)]
        form = _format(template or DEFAULT_TEMPLATE)
        username = form.format(index + 1, given[1], family[1], _base32(bits))
        shown = f"{given[0]} {family[0]}"
        person = Person(username, self._email(username), given[0], family[0], shown)
        return person, policy.new()

    def person_from_row(self, known: Person) -> Person:
        """Fills in what a roster row left empty ("").

        The username is lower-cased, as most directories ignore its case: the one given, else the
        local part of the e-mail, else given.family, else the display name. Raises InvalidInput.
        """
        username = known.username.lower() or _derived_username(known)
        if problem := username_problem(username):
            raise InvalidInput(f"the username {username[:80]!a} {problem}")
        full_name = f"{known.given_name} {known.family_name}".strip()
        return Person(
            username,
            known.email or self._email(username),
            known.given_name,
            known.family_name,
            known.display_name or full_name or username,
            known.groups,
            known.attributes,
        )

    def _email(self, username: str) -> str:
        return username if "@" in username else f"{username}@{self._domain}"


def _random_bits(n: int) -> int:
    return int.from_bytes(random_bytes((n + 7) // 8)) >> (-n % 8)


def transliterated(text: str) -> str:
    """In lower-case ASCII; "" where a letter has no ASCII form (a made-up one helps nobody)."""
    parts = unicodedata.normalize("NFKD", text).lower().translate(_NO_ACCENT_TO_DROP)
    if any(char.isalpha() and not char.isascii() for char in parts):
        return ""
    return parts.encode("ascii", "ignore").decode()


def _plain(name: str) -> str:
    """A name as part of a username: `De la Cruz-Peña` becomes `delacruz-pena`."""
    return re.sub(r"[^a-z0-9-]+", "", transliterated(name)).strip("-")


def _derived_username(known: Person) -> str:
    """Raises InvalidInput where e-mail and names give none."""
    local = transliterated(known.email.rpartition("@")[0])
    if username := re.sub(r"[^a-z0-9._+-]+", "", local).strip(".+-"):
        return username
    names = [name for name in (known.given_name, known.family_name) if name]
    names = names or known.display_name.split()
    plain = [_plain(name) for name in names]
    if not plain or not all(plain):
        raise InvalidInput("no username can be made of the name; give one in a username column")
    return ".".join(plain)


def _base32(bits: int) -> str:
    """The lowest 50 bits as 10 characters."""
    pairs = _BASE32_PAIRS
    return (
        pairs[bits & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 40 & 1023]
    )


def _load_names() -> tuple[list[_Name], list[_Name]]:
    """About 1,000 given and 1,000 family names: the same ones in every process."""
    return _names("given.txt"), _names("family.txt")


def _names(file: str) -> list[_Name]:
    """Those whose form in usernames is short enough to be put in: see MAX_NAME."""
    text = (Path(__file__).parent / "names" / file).read_text("utf-8")
    found = [(name, _plain(name)) for name in text.splitlines()]
    return [name for name in found if 1 <= len(name[1]) <= MAX_NAME]
