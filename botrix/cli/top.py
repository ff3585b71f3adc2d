"""`botrix top`: what runs, live."""

from __future__ import annotations

import time
from collections import deque
from threading import Event, Thread
from typing import TYPE_CHECKING

import click

from botrix.cli.client import Api, Refused, Unheard
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from botrix.cli.board import View
    from botrix.cli.snapshot import Row, Snapshots

_EVERY = 1.0
_LOOK = 0.1
"""Seconds between two looks whether a key was pressed, or the window has another size."""
_KEPT = 300
_WITHIN = 10.0


@click.command()
@click.option("--once", is_flag=True, help="Print one frame, and end.")
@api_url
@for_programs
def top(once: bool, url: str, as_json: bool) -> None:
    """Show workers, lanes, jobs and directories live; q ends it."""
    from botrix.cli.snapshot import Snapshots
    from botrix.cli.terminal import console, has_blocks, is_live

    snapshots = Snapshots(Api(url, _WITHIN))
    first = snapshots.next()
    to = console()
    if not (once or as_json) and is_live(to):
        _live(_Asking(snapshots, first), url, to)
        return
    time.sleep(_EVERY)  # for the rates
    snapshot = snapshots.next()
    if as_json:
        print_json(snapshot)
        return
    from botrix.cli.board import View, frame

    to.print(frame(View(snapshot, url, to.width, None, has_blocks(to))), crop=False)


class _Asking:
    """Asks each second, by a thread, so that keys are heeded while no answer comes."""

    def __init__(self, snapshots: Snapshots, first: Row) -> None:
        self._snapshots, self.snapshot = snapshots, first
        self.rates: deque[float] = deque(maxlen=_KEPT)
        self.lost: str | None = None
        self.since = 0.0
        self.refused: click.ClickException | None = None
        self.changed = Event()
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.refused is None:
            began = time.monotonic()
            self._ask()
            self.changed.set()
            time.sleep(max(began + _EVERY - time.monotonic(), _EVERY / 4))

    def _ask(self) -> None:
        try:
            self.snapshot = self._snapshots.next()
        except (Unheard, Refused) as error:
            if isinstance(error, Refused) and error.status in (401, 403):
                self.refused = error
            self.since = self.since if self.lost else time.monotonic()
            self.lost = error.message
        else:
            self.lost = None
            self.rates.append(self.snapshot["accounts_per_second"] or 0.0)


def _live(asking: _Asking, url: str, to: Console) -> None:
    from rich.live import Live

    from botrix.cli.board import frame
    from botrix.cli.keyboard import Keyboard
    from botrix.cli.terminal import left_tidy

    keyboard = Keyboard()
    try:
        with (
            left_tidy(),
            keyboard.opened(),
            Live(console=to, screen=True, auto_refresh=False) as live,
        ):
            size, drawn = None, 0.0
            while asking.refused is None:
                if asking.changed.is_set() or to.size != size or time.monotonic() - drawn > _EVERY:
                    asking.changed.clear()
                    size, drawn = to.size, time.monotonic()
                    live.update(frame(_view(asking, url, to)), refresh=True)
                if "q" in keyboard.pressed(_LOOK).lower():
                    return
    except KeyboardInterrupt:
        return
    raise asking.refused


def _view(asking: _Asking, url: str, to: Console) -> View:
    from botrix.cli.board import View
    from botrix.cli.terminal import has_blocks

    silence = time.monotonic() - asking.since if asking.lost else 0.0
    return View(
        asking.snapshot, url, to.width, to.height, has_blocks(to), tuple(asking.rates),
        asking.lost, silence,
    )  # fmt: skip
