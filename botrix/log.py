"""Structured logs, with worker, session, job and account ids: fields of an entry where stderr leads
to the systemd journal, else one JSON object a line on stderr.

Nothing secret is ever handed to a logger; no text from outside ends a line or turns it.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from botrix import journal
from botrix.plain import escaped

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

_CALLS = 6


class JsonLines(logging.Formatter):
    """What a record says, and whatever was given in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_more(record),
        }
        return escaped(json.dumps(line, default=str, ensure_ascii=False))


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
    """What was given beside the message, and the error."""
    more = {name: value for name, value in vars(record).items() if name not in _PLAIN}
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


def set_up(level: str, journal_stream: str = "") -> None:
    """Called once by each program, never at import. journal_stream: $JOURNAL_STREAM."""
    handler: logging.StreamHandler = logging.StreamHandler(sys.stderr)  # type: ignore[type-arg]
    if journal_stream and journal.is_journal(journal_stream, sys.stderr.fileno()):
        handler = Journal(journal.Way())
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiosqlite").setLevel("INFO")  # below that it logs the values of statements
