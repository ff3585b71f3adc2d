"""`--watch`, and `botrix watch`: a job as it goes on, drawn live at a terminal.

Without a terminal it is a plain line now and then; for programs nothing, until the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from botrix.cli.client import Api
from botrix.cli.following import Job, Lost, follow, is_over
from botrix.cli.meter import Meter, clocked, parts, per_second
from botrix.cli.render import say
from botrix.cli.terminal import console, has_blocks, is_live, left_tidy

if TYPE_CHECKING:
    from rich.console import Console, Group

_FRAME = 0.125
_LINE = 3.0
_PATIENCE = 300.0
"""So many seconds without a connection are enough where nobody looks on."""
_DOES = {
    "plan": "looking at", "check": "looking again at", "create": "creating", "remove": "removing",
}  # fmt: skip


class _Shown(Protocol):
    def show(self, seen: Seen) -> None: ...


class Seen:
    """What is known of a job: how far it is, how fast, and since when nothing is heard."""

    def __init__(self, job: Job) -> None:
        self.meter = Meter()
        self.lost: str | None = None
        self.since = 0.0
        self.take(job)

    def take(self, news: Job | Lost) -> None:
        now = time.monotonic()
        if isinstance(news, Lost):
            self.since = self.since if self.lost else now
            self.lost = str(news)
            return
        self.job, self.lost, self.parts = news, None, parts(news)
        self.done, self.total = sum(self.parts.values()), int(news["count"])
        self.meter.see(now, self.done)

    @property
    def silence(self) -> float:
        """Seconds without a connection."""
        return time.monotonic() - self.since if self.lost else 0.0

    @property
    def pace(self) -> str:
        if is_over(self.job):
            return ""
        left = clocked(self.meter.left(self.total))
        return f"{per_second(self.meter.rate)}, {left} left"

    @property
    def state(self) -> str:
        if self.job.get("held"):
            return "waits: its directory is paused"
        waits = self.job.get("waits")
        return f"waits: {waits}" if waits else str(self.job["status"])


def watched(api: Api, job: Job, quiet: bool) -> Job:
    """The job once it is final, or waits for a person. Ctrl-C ends just the watching."""
    seen = Seen(job)
    try:
        with left_tidy(), _shown(quiet) as (shown, patient):
            _watch(api, seen, shown, patient)
    except KeyboardInterrupt:
        say(f"the job goes on; watch it again: {_again(api, job['id'])}", err=True)
        raise SystemExit(130) from None
    return seen.job


def _watch(api: Api, seen: Seen, shown: _Shown, patient: bool) -> None:
    news = _followed(api, seen.job["id"])
    while True:
        shown.show(seen)
        if is_over(seen.job):
            return
        try:
            one = news.get(timeout=_FRAME)
        except Empty:
            if not patient and seen.silence > _PATIENCE:
                again = _again(api, seen.job["id"])
                raise click.ClickException(f"{seen.lost}; watch it again: {again}") from None
            continue
        if isinstance(one, click.ClickException):
            raise one
        seen.take(one)


def _followed(api: Api, job_id: str) -> SimpleQueue[Job | Lost | click.ClickException]:
    """By a thread, so that what is drawn goes on while nothing comes."""
    news: SimpleQueue[Job | Lost | click.ClickException] = SimpleQueue()

    def run() -> None:
        try:
            for one in follow(api, job_id):
                news.put(one)
        except click.ClickException as error:
            news.put(error)

    Thread(target=run, daemon=True).start()
    return news


def _again(api: Api, job_id: str) -> str:
    ctx = click.get_current_context(silent=True)
    typed = ctx and ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE
    return f"botrix watch {job_id}" + (f" --url {api.url}" if typed else "")


@contextmanager
def _shown(quiet: bool) -> Iterator[tuple[_Shown, bool]]:
    """How it is shown, and whether somebody looks on."""
    if quiet:
        yield _Nothing(), False
        return
    to = console(err=True)
    if not is_live(to):
        yield _Lines(), False
        return
    from rich.live import Live

    with Live(console=to, auto_refresh=False, transient=False) as live:
        yield _Drawn(live, to), True


class _Nothing:
    def show(self, seen: Seen) -> None: ...


class _Lines:
    """One where something moved, every few seconds at most; of a lost connection at once."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._told: object = None
        self._lost = False

    def show(self, seen: Seen) -> None:
        if bool(seen.lost) != self._lost:
            self._lost = bool(seen.lost)
            say(f"connection lost ({seen.lost}), trying again" if seen.lost else "it is back", True)
        what = (seen.state, tuple(seen.parts.items()))
        over = is_over(seen.job)
        if what == self._told or not (over or time.monotonic() - self._at >= _LINE):
            return
        self._at, self._told = time.monotonic(), what
        counts = ", ".join(f"{word} {n:,}" for word, n in seen.parts.items() if n)
        pace = f", {seen.pace}" if seen.pace else ""
        told = f"{seen.done:,} of {seen.total:,}{f' ({counts})' if counts else ''}{pace}"
        say(f"{seen.job['id']} {seen.state}: {told}", err=True)


class _Drawn:
    """The same lines all the time, so that nothing jumps."""

    def __init__(self, live: Any, to: Console) -> None:
        self._live, self._console, self._blocks = live, to, has_blocks(to)

    def show(self, seen: Seen) -> None:
        self._live.update(self._frame(seen), refresh=True)

    def _frame(self, seen: Seen) -> Group:
        from rich.console import Group
        from rich.text import Text

        from botrix.cli.bars import bar, legend

        job, width = seen.job, min(self._console.width - 1, 100)
        where = f"{seen.total:,} accounts in {job['directory']}"
        head = Text(f"{job['id']}  {_DOES.get(job.get('stage') or '', 'creating')} {where}")
        share = f" {100 * seen.done // max(seen.total, 1):3} %"
        line = bar(seen.parts, seen.total, max(width - len(share), 1), self._blocks)
        rows = [head, line.append(share), legend(seen.parts, seen.total, self._blocks)]
        rows.append(Text(self._last(seen), "bold" if seen.lost else ""))
        for row in rows:
            row.no_wrap, row.overflow = True, "ellipsis"
            row.truncate(width, overflow="ellipsis")
        return Group(*rows)

    def _last(self, seen: Seen) -> str:
        if seen.lost:
            return f"connection lost, trying again ({clocked(seen.silence)})"
        return f"{seen.state}, {seen.pace}" if seen.pace else seen.state
