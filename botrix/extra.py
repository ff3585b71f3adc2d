"""What is known of a person besides names and e-mail: groups and attributes, which groups there may
be, and how the ledger keeps both. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from botrix.errors import InvalidInput
from botrix.model import Person

MAX_GROUPS = 32
MAX_GROUP = 256
BLANK = " \t\r\u00a0\u3000"
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Also what turns the direction of writing, which makes one name look like another."""
FORMULA = ("=", "+", "-", "@")


class _Extra(msgspec.Struct, omit_defaults=True, gc=False):
    """As the ledger keeps it."""

    groups: tuple[str, ...] = ()
    attributes: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Extra)


def read_groups(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order. Raises InvalidInput, which never quotes a name."""
    groups: dict[str, None] = {}
    for name in names:
        group = unicodedata.normalize("NFC", name.strip(BLANK))
        if problem := _problem(group):
            raise InvalidInput(f"groups has a name that {problem}")
        groups[group] = None
        if len(groups) > MAX_GROUPS:
            raise InvalidInput(f"groups has more than {MAX_GROUPS} names; leave some out")
    return tuple(groups)


def _problem(group: str) -> str | None:
    if not group:
        return "is empty; remove it"
    if len(group) > MAX_GROUP:
        return f"is longer than {MAX_GROUP} characters; shorten it"
    if found := CONTROL.search(group):
        return f"contains the control character U+{ord(found[0]):04X}; remove it"
    if group.startswith(FORMULA):
        return "begins like a formula (= + - @); remove that character"
    return None


def packed(person: Person) -> str | None:
    """None where there is neither, as with most."""
    if not person.groups and not person.attributes:
        return None
    return msgspec.json.encode(_Extra(person.groups, person.attributes)).decode()


def person_of(names: Sequence[Any], text: str | None) -> Person:
    """From the columns of an account; text: its `extra`."""
    person = Person(*names)
    if text is None:
        return person
    groups, attributes = extra_of(text)
    return replace(person, groups=groups, attributes=attributes)


def extra_of(text: str | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Groups and attributes."""
    extra = _Extra() if text is None else _decoder.decode(text)
    return extra.groups, extra.attributes


def packed_groups(groups: tuple[str, ...]) -> str | None:
    """Of a job: those that all its accounts are to be in."""
    return msgspec.json.encode(groups).decode() if groups else None


def groups_of(text: str | None) -> tuple[str, ...]:
    """What `packed_groups` made."""
    return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()


def in_groups(person: Person, groups: tuple[str, ...]) -> Person:
    """The same person, who is to be in these."""
    return replace(person, groups=groups)
