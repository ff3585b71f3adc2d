"""Log records for the systemd journal, as fields, by its native protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).

An entry that the journal does not take (one that is too large, or while it restarts) goes as a line
to the stream, as it would without a journal.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Mapping

_SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def is_journal(stream: str, descriptor: int) -> bool:
    """Whether a descriptor leads there. stream: $JOURNAL_STREAM, `device:inode` (systemd.exec(5)):
    a child may have inherited it, and have its output elsewhere."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def priority(level: int) -> int:
    """Of syslog(3), for a level of `logging`."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def entry(fields: Mapping[str, object]) -> bytes:
    """Field names are taken as they are: A-Z, 0-9 and _, 64 at most, a letter first."""
    return b"".join(_field(name, str(value)) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    text = value.encode("utf-8", "replace")
    if b"\n" in text:
        return name.encode() + b"\n" + struct.pack("<Q", len(text)) + text + b"\n"
    return name.encode() + b"=" + text + b"\n"


class Way:
    """The way to the journal; path: of its socket."""

    def __init__(self, path: str = _SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, fields: Mapping[str, object]) -> bool:
        """Whether the journal took it."""
        try:
            self._socket.sendto(entry(fields), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
