"""The filters of templates: what may be done to a text. Pure, and each takes time and room in
proportion to what it is given: no text is ever longer than LONGEST.

Letters become ASCII by anyascii, one by one and always the same. How German and the Scandinavian
languages write their own letters without them is asked for by name: `ascii: "de"`, `"nordic"`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from anyascii import anyascii

from botrix.extra import BLANK

P = ParamSpec("P")

LONGEST = 1024
_HABITS = {
    "de": {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"},
    "nordic": {"å": "aa", "ä": "ae", "æ": "ae", "ö": "oe", "ø": "oe"},
}
_TABLES = {
    name: str.maketrans(habit | {k.upper(): v.title() for k, v in habit.items() if k != "ß"})
    for name, habit in _HABITS.items()
}
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FOREIGN = re.compile(r"[^a-z0-9]+")


class FilterProblem(Exception):
    """One line for whoever wrote the template; never a cell of the roster."""


def _text(value: object) -> str:
    """Of what a template hands to a filter. Raises FilterProblem."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FilterProblem("is given what is no text")
    text = str(value)
    if len(text) > LONGEST:
        raise FilterProblem(f"is given more than {LONGEST} characters")
    return text


def _number(value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LONGEST:
        raise FilterProblem(f"takes a number from {least} to {LONGEST}")
    return value


def _filter(work: Callable[Concatenate[str, P], str]) -> Callable[Concatenate[object, P], str]:
    @wraps(work)
    def checked(value: object, /, *args: P.args, **kwargs: P.kwargs) -> str:
        made = work(_text(value), *args, **kwargs)
        if len(made) > LONGEST:
            raise FilterProblem(f"makes more than {LONGEST} characters")
        return made

    return checked


@_filter
def ascii_(text: str, habit: object = None) -> str:
    """Łódź: Lodz; Jürgen: Jurgen, or Juergen by the habit "de"."""
    composed = unicodedata.normalize("NFC", text)
    if habit is not None:
        if habit not in _TABLES:
            raise FilterProblem(f"knows only {' and '.join(map(repr, _TABLES))}")
        composed = composed.translate(_TABLES[str(habit)])
    return anyascii(composed)


@_filter
def slug(text: str, between: object = "-") -> str:
    """In lower-case ASCII letters and digits; whatever else is between them becomes one `between`.
    De la Cruz-Peña: de-la-cruz-pena, or delacruzpena by `slug: ""`. An apostrophe goes."""
    plain = re.sub(r"['’`]", "", anyascii(unicodedata.normalize("NFC", text)).lower())
    words = [word for word in _FOREIGN.split(plain) if word]
    return _text(between).join(words)


@_filter
def lower(text: str) -> str:
    """Anna: anna."""
    return text.lower()


@_filter
def upper(text: str) -> str:
    """Anna: ANNA."""
    return text.upper()


@_filter
def capitalize(text: str) -> str:
    """aNNA: Anna."""
    return text.capitalize()


@_filter
def strip(text: str) -> str:
    """Without blanks around it."""
    return text.strip(BLANK)


@_filter
def first(text: str, n: object = 1) -> str:
    """Its first n characters."""
    return text[: _number(n)]


@_filter
def last(text: str, n: object = 1) -> str:
    """Its last n characters."""
    return text[-_number(n, least=1) :]


@_filter
def initials(text: str) -> str:
    """The first letter of each word: Anna-Lena Maria: ALM."""
    return "".join(word[0].upper() for word in _WORD.findall(text))


@_filter
def default(text: str, other: object) -> str:
    """The other one where this is empty, or blank."""
    return text if text.strip(BLANK) else _text(other)


@_filter
def append(text: str, other: object) -> str:
    """With the other one behind it."""
    return text + _text(other)


@_filter
def prepend(text: str, other: object) -> str:
    """With the other one before it."""
    return _text(other) + text


@_filter
def replace(text: str, old: object, new: object = "") -> str:
    """With the new one wherever the old one was."""
    was = _text(old)
    if not was:
        raise FilterProblem("is told to replace nothing")
    return text.replace(was, _text(new))


@_filter
def remove(text: str, what: object) -> str:
    """Without it, wherever it was."""
    return text.replace(_text(what), "")


@_filter
def before(text: str, mark: object) -> str:
    """What stands before the mark; all of it where there is none."""
    return text.split(sign, 1)[0] if (sign := _text(mark)) else text


@_filter
def after(text: str, mark: object) -> str:
    """What stands behind the mark; nothing where there is none."""
    return text.partition(sign)[2] if (sign := _text(mark)) else ""


FILTERS: dict[str, Callable[..., str]] = {
    "ascii": ascii_,
    "slug": slug,
    "lower": lower,
    "upper": upper,
    "downcase": lower,
    "upcase": upper,
    "capitalize": capitalize,
    "strip": strip,
    "first": first,
    "last": last,
    "initials": initials,
    "default": default,
    "append": append,
    "prepend": prepend,
    "replace": replace,
    "remove": remove,
    "before": before,
    "after": after,
}
