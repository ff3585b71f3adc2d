"""Structured logs, with worker, session, job, account and trace ids: fields of an entry where
stderr leads to the systemd journal, else one line on stderr: a JSON object, or text for people.

Nothing secret is ever handed to a logger; no text from outside ends a line or turns it.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import textwrap
import traceback
from datetime import UTC, datetime
from pathlib import Path

from botrix import journal
from botrix.plain import escaped
from botrix.settings import Settings
from botrix.traceparent import trace_id

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

_CALLS = 6
_DIM, _OFF = "\x1b[2m", "\x1b[0m"
_COLOURS = {
    logging.DEBUG: _DIM, logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[31m",
}  # fmt: skip


class JsonLines(logging.Formatter):
    """What a record says, and whatever was given in `extra`. process: which of several says it."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = {"process": process} if process else {}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **self._process,
            **_more(record),
        }
        return escaped(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """For people: when, which process, what, and then the rest as name=value. width: columns of the
    terminal, where it is one: then the time is short, and long lines go on below their text."""

    def __init__(self, process: str = "", width: int = 0, *, coloured: bool = False) -> None:
        super().__init__()
        self._process = process
        self._width = width
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        when = f"{at.astimezone():%H:%M:%S}" if self._width else f"{at:%Y-%m-%dT%H:%M:%SZ}"
        head = f"{when}  {self._process:<8}  "
        mark = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        more = _more(record)
        if more.get("worker") == self._process:
            del more["worker"]
        rest = "".join(f"  {name}={escaped(_shown(value))}" for name, value in more.items())
        line = f"{mark}{escaped(record.getMessage())}{rest}"
        if self._width:
            line = self._folded(line, len(head))
        return self._painted(head, mark, line, record.levelno)

    def _folded(self, line: str, indent: int) -> str:
        room = max(20, self._width - indent)
        parts = textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False)
        return f"\n{' ' * indent}".join(parts)

    def _painted(self, head: str, mark: str, line: str, level: int) -> str:
        if not self._coloured:
            return head + line
        colour = _COLOURS.get(level, "")
        return f"{_DIM}{head}{_OFF}{colour}{mark}{_OFF if colour else ''}{line[len(mark) :]}"


class Journal(logging.StreamHandler):  # type: ignore[type-arg]
    """The same to the journal: the event is MESSAGE, `job` is BOTRIX_JOB, and so on."""

    def __init__(self, way: journal.Way) -> None:
        super().__init__(sys.stderr)
        self._way = way

    def emit(self, record: logging.LogRecord) -> None:
        taken = self._way.send(
            {
                "MESSAGE": escaped(record.getMessage()),
                "PRIORITY": journal.priority(record.levelno),
                "SYSLOG_IDENTIFIER": "botrix",
                "BOTRIX_LOGGER": record.name,
                **{f"BOTRIX_{n.upper()}": escaped(str(v)) for n, v in _more(record).items()},
            }
        )
        if not taken:
            super().emit(record)

    def close(self) -> None:
        self._way.close()
        super().close()


def _more(record: logging.LogRecord) -> dict[str, object]:
    """What was given beside the message, the trace that it belongs to, and the error."""
    more = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    if trace := trace_id():
        more["trace_id"] = trace
    if record.exc_info and record.exc_info[1] is not None:
        more["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        if where := _where(record.exc_info[1]):
            more["where"] = where
    return more


def _where(error: BaseException) -> str:
    """The last calls that led to it, the innermost first; no values, and nothing of the user's."""
    frames = traceback.extract_tb(error.__traceback__)[-_CALLS:]
    shown = (f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in reversed(frames))
    return " < ".join(shown)


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text


def set_up(settings: Settings, process: str, level: str = "") -> None:
    """Called once by each program, never at import. level: if not that of the settings."""
    handler: logging.StreamHandler = logging.StreamHandler(sys.stderr)  # type: ignore[type-arg]
    stream = settings.journal_stream
    if stream and journal.is_journal(stream, sys.stderr.fileno()):
        handler = Journal(journal.Way())
    handler.setFormatter(_formatter(settings, process))
    level = level or settings.log_level.upper()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiosqlite").setLevel("INFO")  # below that it logs the values of statements


def _formatter(settings: Settings, process: str) -> logging.Formatter:
    """Text where a person looks, unless it is said how."""
    watched = sys.stderr.isatty()
    if (settings.log_format or ("text" if watched else "json")) == "json":
        return JsonLines(process)
    width = shutil.get_terminal_size().columns if watched else 0
    return TextLines(process, width, coloured=watched and not settings.no_color)
