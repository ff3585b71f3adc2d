"""Where a record goes, and what of it."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import struct
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from botrix import journal
from botrix.errors import SettingsError
from botrix.log import Journal, JsonLines, TextLines, _formatter
from botrix.settings import Settings
from botrix.traceparent import current

HOSTILE = (
    'a"\\\r\nERROR forged \x1b[2J\x1b]0;title\x07 \x00\x08\x7f\x85\x9b31m'
    " \u2028\u2029\u200b\u202e\u2066\ufeff\ud800\U000e0001"
)


def _record(message: str = "two\nlines", **extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {
            "name": "botrix.worker",
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": message,
        }
    )
    vars(record).update(extra)
    return record


def _fields(text: bytes) -> dict[str, str]:
    """Reads an entry as systemd's description of the protocol says."""
    found = {}
    while text:
        line, _, text = text.partition(b"\n")
        name, is_plain, value = line.partition(b"=")
        if not is_plain:
            (size,) = struct.unpack("<Q", text[:8])
            value, text = text[8 : 8 + size], text[8 + size + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_the_journal_gets_fields(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(folder / "journal"))
        with closing(Journal(journal.Way(str(folder / "journal")))) as handler:
            handler.emit(_record(job="j1", worker="worker-1"))
        assert _fields(ear.recv(4096)) == {
            "MESSAGE": "two\\nlines",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "botrix",
            "BOTRIX_LOGGER": "botrix.worker",
            "BOTRIX_JOB": "j1",
            "BOTRIX_WORKER": "worker-1",
        }


def test_no_text_from_outside_ends_a_line_or_turns_it() -> None:
    record = _record("worker %s says %s", worker=HOSTILE, job=HOSTILE)
    record.args = (HOSTILE, HOSTILE)
    record.exc_info = (ValueError, ValueError(HOSTILE), None)
    line = JsonLines().format(record)
    assert line.isprintable()
    said = json.loads(line)
    assert (said["worker"], said["job"]) == (HOSTILE, HOSTILE)
    assert said["event"] == f"worker {HOSTILE} says {HOSTILE}"
    assert said["error"] == f"ValueError: {HOSTILE}"


def test_nor_in_the_journal(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(folder / "journal"))
        with closing(Journal(journal.Way(str(folder / "journal")))) as handler:
            handler.emit(_record(HOSTILE, worker=HOSTILE))
        fields = _fields(ear.recv(4096))
    assert set(fields) == {
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "BOTRIX_LOGGER", "BOTRIX_WORKER",
    }  # fmt: skip
    assert all(value.isprintable() for value in fields.values())
    assert fields["MESSAGE"].startswith('a"\\\\r\\nERROR forged \\u001b[2J')


def test_what_is_handed_to_the_journal_itself_is_read_back() -> None:
    """By its length, so that no value can begin another field."""
    value = "two\nPRIORITY=0\n"
    assert _fields(journal.entry({"MESSAGE": value, "PRIORITY": 6})) == {
        "MESSAGE": value, "PRIORITY": "6",
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 1 << 22])
def test_what_the_journal_does_not_take_is_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Nobody listens, or the entry is too large for a datagram."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        if size > 1:
            ear.bind(str(folder / "journal"))
        with closing(Journal(journal.Way(str(folder / "journal")))) as handler:
            handler.setFormatter(JsonLines())
            handler.emit(_record("x" * size, job="j1"))
    said = json.loads(stream.getvalue())
    assert (len(said["event"]), said["job"], said["level"]) == (size, "j1", "warning")


def test_a_stream_is_the_journal_where_device_and_inode_are_its(folder: Path) -> None:
    with (folder / "log").open("w") as file, (folder / "other").open("w") as other:
        found = os.fstat(file.fileno())
        stream = f"{found.st_dev}:{found.st_ino}"
        assert journal.is_journal(stream, file.fileno())
        assert not journal.is_journal(stream, other.fileno())


def test_priorities_are_those_of_syslog() -> None:
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [journal.priority(level) for level in levels] == [7, 6, 4, 3, 2]


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    assert Settings.read({"WATCHDOG_USEC": "30000000"}).watchdog == 30.0
    own = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    assert Settings.read(own).watchdog == 30.0
    assert Settings.read({**own, "WATCHDOG_PID": "1"}).watchdog == 0.0


def test_an_error_tells_where_it_came_from() -> None:
    def inner(secret: str) -> None:
        raise RuntimeError("a mistake of ours")

    record = logging.makeLogRecord({"msg": "failed", "levelname": "ERROR"})
    try:
        inner("s3cret")
    except RuntimeError as error:
        record.exc_info = (RuntimeError, error, error.__traceback__)
    line = JsonLines().format(record)
    said = json.loads(line)["where"].split(" < ")
    assert [one.partition(" ")[2] for one in said] == [
        "inner",
        "test_an_error_tells_where_it_came_from",
    ]
    assert said[0].startswith("test_log.py:")
    assert "s3cret" not in line


_TRACED = f"00-{'ab' * 16}-{'cd' * 8}-01"
_SETTINGS = Settings.read({})


def test_the_trace_of_what_is_done_is_told_in_both_forms() -> None:
    record = _record("made", job="j1")
    before = current.set(_TRACED)
    try:
        said = json.loads(JsonLines("worker-1").format(record))
        text = TextLines("worker-1").format(record)
    finally:
        current.reset(before)
    assert (said["process"], said["trace_id"]) == ("worker-1", "ab" * 16)
    assert text.endswith(f"  job=j1  trace_id={'ab' * 16}")
    assert "trace_id" not in JsonLines().format(record)


def test_text_is_aligned_and_folds_at_the_width_of_the_terminal() -> None:
    record = _record("the line does not answer; " * 6, part="pump-1")
    lines = TextLines("worker-1", 80).format(record).splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert lines[0][20:].startswith("warning: the line")
    assert {line[:20].strip() for line in lines[1:]} == {""}
    assert {line[20] != " " for line in lines} == {True}


def test_text_in_a_file_is_one_line_whatever_is_said() -> None:
    record = _record("worker %s", worker=HOSTILE, job="two words")
    record.args = (HOSTILE,)
    line = TextLines("api").format(record)
    assert line.isprintable()
    assert 'job="two words"' in line


@pytest.mark.parametrize("width", [0, 80])
def test_no_text_from_outside_paints_a_terminal(width: int) -> None:
    shown = TextLines("api", width, coloured=True).format(_record(HOSTILE, job=HOSTILE))
    for ours in ("\x1b[2m", "\x1b[0m", "\x1b[33m"):
        shown = shown.replace(ours, "")
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("chosen", "watched", "form"),
    [
        ("", True, TextLines), ("", False, JsonLines), ("json", True, JsonLines),
        ("text", False, TextLines),
    ],
)  # fmt: skip
def test_the_form_suits_who_reads(
    monkeypatch: pytest.MonkeyPatch, chosen: str, watched: bool, form: type[logging.Formatter]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched, raising=False)
    found = _formatter(replace(_SETTINGS, log_format=chosen), "api")
    assert type(found) is form


def test_a_form_that_there_is_not_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^LOG_FORMAT='xml' cannot be used; give json or text"):
        Settings.read({"LOG_FORMAT": "xml"})
