"""Kinds of directories that other packages bring, by entry points of the group `botrix.creators`.

Whatever is wrong with one is a line for people, and hurts no other directory: its import, what its
module lacks, a name that is taken, and what its creators raise or answer when they should not.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

from botrix.creators.creator import (
    FIELDS,
    Check,
    Creator,
    Entries,
    Entry,
    Kind,
    Member,
    Sighting,
    Wanted,
    Whose,
)
from botrix.creators.declared import Setting, sealed
from botrix.creators.gate import Gate
from botrix.errors import BotrixError, DirectoryError
from botrix.model import Outcome, OutcomeKind

GROUP = "botrix.creators"
_PAGE = "see docs/creators.md"
_VERBS = ("check", "find", "create", "join", "set_password", "disable", "delete", "close")
_BROKEN = "error in the creator"
_log = logging.getLogger(__name__)
T = TypeVar("T", Outcome, Sighting)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A name, and the packages that bring it; more than one is a mistake."""

    name: str
    points: tuple[EntryPoint, ...]

    @property
    def package(self) -> str:
        return " and ".join(sorted(_package(point) for point in self.points))


def plugins() -> dict[str, Plugin]:
    """By name; also those that cannot be used."""
    found: dict[str, set[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, set()).add(point)
    return {name: Plugin(name, tuple(points)) for name, points in found.items()}


def load(plugin: Plugin) -> Kind:
    """Raises DirectoryError, with one line of what is wrong."""
    named = f"the kind {plugin.name}" + (f" of {plugin.package}" if plugin.package else "")
    if len(plugin.points) > 1:
        raise DirectoryError(f"{named} is brought twice; remove one of the packages")
    cannot = f"{named} cannot be used here"
    try:
        module = plugin.points[0].load()
    except (Exception, SystemExit) as error:
        raise DirectoryError(f"{cannot}: {_told(error)}") from None
    if lacking := [name for name, right in _of_a_kind(module).items() if not right]:
        raise DirectoryError(f"{cannot}: it has no {lacking[0]}, or one of no use; {_PAGE}")
    return _Held(module, named)


def _of_a_kind(module: Any) -> dict[str, bool]:
    may_seal = getattr(module, "SEALED", None)
    return {
        "SETTINGS": _are_settings(getattr(module, "SETTINGS", None), may_seal),
        "SEALED": isinstance(may_seal, tuple) and all(isinstance(name, str) for name in may_seal),
        "DEMANDS_A_CHANGE": isinstance(getattr(module, "DEMANDS_A_CHANGE", None), bool),
        "GATED": isinstance(getattr(module, "GATED", None), bool),
        "open_creator": callable(getattr(module, "open_creator", None)),
    }


def _are_settings(said: Any, may_seal: Any) -> bool:
    """A kind need not say them, and is entered at the terminal alone then."""
    if said is None:
        return True
    whole = isinstance(said, tuple) and all(isinstance(one, Setting) for one in said)
    return whole and isinstance(may_seal, tuple) and set(sealed(said)) == set(may_seal)


def _of_a_creator(creator: Any) -> dict[str, bool]:
    numbers = {name: getattr(creator, name, None) for name in ("batch", "concurrency")}
    texts = {name: getattr(creator, name, None) for name in ("kind", "unique_key")}
    return {
        **{name: isinstance(text, str) and bool(text) for name, text in texts.items()},
        **{name: type(number) is int and 0 < number <= 500 for name, number in numbers.items()},
        **{verb: callable(getattr(creator, verb, None)) for verb in _VERBS},
    }


class _Held:
    """The module as a Kind whose creators are held to their promises."""

    def __init__(self, module: Any, named: str) -> None:
        self.SETTINGS: tuple[Setting, ...] | None = getattr(module, "SETTINGS", None)
        self.SEALED: tuple[str, ...] = module.SEALED
        self.DEMANDS_A_CHANGE: bool = module.DEMANDS_A_CHANGE
        self.GATED: bool = module.GATED
        self._module = module
        self._named = named

    async def open_creator(self, config: Mapping[str, Any], timeout: float, gate: Gate) -> Creator:
        try:
            creator = await self._module.open_creator(config, timeout, gate)
        except BotrixError:
            raise
        except Exception as error:
            raise DirectoryError(f"{self._named} cannot be opened: {where(error)}") from None
        if lacking := [name for name, right in _of_a_creator(creator).items() if not right]:
            raise DirectoryError(f"a creator of {self._named} has no usable {lacking[0]}; {_PAGE}")
        return cast(Creator, HeldCreator(creator, self._named))


class HeldCreator:
    """What the creator raises, or answers for other accounts than it was asked, is in doubt: the
    worker looks again later. Nothing that an error says is shown, for it may hold a password."""

    def __init__(self, creator: Creator, named: str) -> None:
        self._creator = creator
        self._named = named
        self.kind, self.unique_key = creator.kind, creator.unique_key

    @property
    def batch(self) -> int:
        """A creator may know better once it has looked."""
        return self._creator.batch

    @property
    def concurrency(self) -> int:
        return self._creator.concurrency

    async def check(self) -> Check:
        try:
            found = await self._creator.check()
        except Exception as error:
            return Check(False, problem=f"{self._named} failed: {where(error)}")
        if isinstance(found, Check):
            return found
        return Check(False, problem=f"{self._named} answers no Check; {_PAGE}")

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        doubt = Sighting(Whose.UNSURE, detail=_BROKEN)
        seen = await self._each(lambda: self._creator.find(wanted), len(wanted), doubt)
        return [self._told(one) for one in seen]

    async def ours(self, after: str | None) -> Entries:
        """A kind of an earlier release of Botrix has no such verb."""
        verb = getattr(self._creator, "ours", None)
        if not callable(verb):
            return Entries(problem=f"{self._named} cannot list what is ours; {_PAGE}")
        try:
            page = await verb(after)
        except BotrixError:
            raise
        except Exception as error:
            return Entries(problem=f"{self._named} failed: {where(error)}")
        if not isinstance(page, Entries) or page.next == (after or "") or not _whole(page):
            return Entries(problem=f"{self._named} answers no usable Entries; {_PAGE}")
        return page

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        return await self._each(lambda: self._creator.create(wanted), len(wanted), _doubt())

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        return await self._each(lambda: self._creator.join(members), len(members), _doubt())

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        return await self._one(lambda: self._creator.set_password(entry_id, password))

    async def disable(self, entry_id: str) -> Outcome:
        return await self._one(lambda: self._creator.disable(entry_id))

    async def delete(self, entry_id: str) -> Outcome:
        return await self._one(lambda: self._creator.delete(entry_id))

    async def close(self) -> None:
        try:
            await self._creator.close()
        except Exception as error:
            _log.warning("%s was not closed: %s", self._named, where(error))

    def _told(self, seen: Sighting) -> Sighting:
        """With what can be used of it. Of another job is only what says of which."""
        tag = seen.tag if isinstance(seen.tag, str) else None
        fields, active = _usable(seen.fields), seen.active if type(seen.active) is bool else None
        whose = seen.whose
        if whose is Whose.OTHER_JOB and not (tag and tag.startswith("botrix:")):
            _log.error("%s tells no tag of an entry of another job; %s", self._named, _PAGE)
            whose = Whose.FOREIGN
        return replace(seen, whose=whose, tag=tag, fields=fields, active=active)

    async def _one(self, verb: Callable[[], Awaitable[Outcome]]) -> Outcome:
        async def alone() -> Sequence[Outcome]:
            return [await verb()]

        (outcome,) = await self._each(alone, 1, _doubt())
        return outcome

    async def _each(
        self, verb: Callable[[], Awaitable[Sequence[T]]], count: int, doubt: T
    ) -> Sequence[T]:
        try:
            answers = list(await verb())
        except BotrixError:
            raise
        except Exception as error:
            _log.error("%s failed: %s", self._named, where(error))
            return [doubt] * count
        if len(answers) == count and all(type(answer) is type(doubt) for answer in answers):
            return answers
        _log.error("%s answered %d for %d accounts; %s", self._named, len(answers), count, _PAGE)
        return [doubt] * count


def _doubt() -> Outcome:
    return Outcome(OutcomeKind.UNKNOWN, None, _BROKEN, "the log of the worker says where")


def _whole(page: Entries) -> bool:
    return isinstance(page.next, str | None) and all(
        isinstance(one, Entry) and isinstance(one.tag, str) and one.is_of_botrix
        for one in page.entries
    )


def _usable(fields: Any) -> Mapping[str, str] | None:
    if not isinstance(fields, Mapping):
        return None
    return {name: text for name, text in fields.items() if name in FIELDS and type(text) is str}


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""


def _told(error: BaseException) -> str:
    """One line."""
    words = " ".join(str(error).split()) if isinstance(error, Exception) else repr(error)
    return words or type(error).__name__


def where(error: Exception) -> str:
    """Of an error, without its words."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{at}"
