"""What a kind's settings are, said once: the kind itself reads by it, forms are drawn from it, and
it tells what may be entered from where. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Type(StrEnum):
    """Of a value. file: the name of one on the machine that Botrix runs on."""

    TEXT = "text"
    URL = "url"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    MAP = "map"
    FILE = "file"


class From(StrEnum):
    """Who may enter a setting: everybody who may add a directory; only keys of the tenant
    `default`, since it opens more than the public internet; nobody but at the terminal, since it
    names what this machine has."""

    ANYWHERE = "anywhere"
    DEFAULT_TENANT = "default tenant"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class Setting:
    """help: a line for people. default: what counts where it is not given. choices: of a text, all
    that it may be. secret: it is sealed, or named by NAME_env or NAME_file. ways: of signing in,
    where there are several: give what belongs to one of them. entered: from where; None: files at
    the terminal alone, all else anywhere."""

    name: str
    help: str
    type: Type = Type.TEXT
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    ways: tuple[str, ...] = ()
    entered: From | None = None

    @property
    def place(self) -> From:
        if self.entered is not None:
            return self.entered
        return From.TERMINAL if self.type is Type.FILE else From.ANYWHERE

    @property
    def names(self) -> tuple[str, ...]:
        """Under which it may be given."""
        more = ("_env", "_file") if self.secret else ()
        return (self.name, *(f"{self.name}{end}" for end in more))


def names(settings: Iterable[Setting]) -> frozenset[str]:
    """All under which any of them may be given."""
    return frozenset(name for one in settings for name in one.names)


def sealed(settings: Iterable[Setting]) -> tuple[str, ...]:
    """Those that may come sealed."""
    return tuple(one.name for one in settings if one.secret)
