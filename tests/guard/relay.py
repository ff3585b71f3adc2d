"""Stands between a program and its server, passes everything on, and counts what is asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

_MOST = 1 << 20
"""Bytes read at once: a whole pipeline, so that it is one turn."""
_SSL_REQUEST = 80877103


class Listener(Protocol):
    """Hears both sides of one connection."""

    def asked(self, data: bytes) -> None: ...

    def answered(self) -> None: ...


class Turns:
    """A round trip begins with what is asked after an answer."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._waits = True

    def asked(self, _: bytes) -> None:
        self._seen["round trips"] += self._waits
        self._waits = False

    def answered(self) -> None:
        self._waits = True


class Messages:
    """Of PostgreSQL's protocol: Execute and Query are statements, Sync and Query round trips."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._begun = False
        self._rest = b""

    def asked(self, data: bytes) -> None:
        data = self._rest + data
        while (whole := self._length(data)) is not None:
            if self._begun:
                self._note(data[:1])
            else:
                self._begun = int.from_bytes(data[4:8]) != _SSL_REQUEST
            data = data[whole:]
        self._rest = data

    def answered(self) -> None:
        pass

    def _length(self, data: bytes) -> int | None:
        """Of the first message; None while it is not there as a whole. That which begins a
        connection has no letter."""
        letter = int(self._begun)
        if len(data) < letter + 4:
            return None
        whole = letter + int.from_bytes(data[letter : letter + 4])
        return whole if len(data) >= whole else None

    def _note(self, letter: bytes) -> None:
        self._seen["statements"] += letter in b"EQ"
        self._seen["round trips"] += letter in b"SQ"


class Relay:
    """Listens in the place of a server until the process ends. `seen` only grows."""

    def __init__(
        self,
        here: socket.socket,
        dial: Callable[[], socket.socket],
        listens: type[Turns | Messages],
    ) -> None:
        self.seen: Counter[str] = Counter()
        self._here = here
        self._dial = dial
        self._listens = listens
        here.listen()
        _begin(self._accept)

    def _accept(self) -> None:
        while True:
            client, _ = self._here.accept()
            server, listener = self._dial(), self._listens(self.seen)
            _begin(lambda a=client, b=server, told=listener.asked: _pass(a, b, told))
            _begin(lambda a=server, b=client, one=listener: _pass(a, b, lambda _: one.answered()))


def before_line(path: Path, there: Path) -> Relay:
    """On a unix socket at `path`, before that at `there`."""

    def dial() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(there))
        return server

    here = socket.socket(socket.AF_UNIX)
    here.bind(str(path))
    return Relay(here, dial, Turns)


def before_postgres(url: str) -> tuple[Relay, str]:
    """On a free port of loopback; with the url by which it is reached."""
    named = urlsplit(url)
    here = socket.socket()
    here.bind(("127.0.0.1", 0))
    port = here.getsockname()[1]
    relay = Relay(here, lambda: socket.create_connection((named.hostname, named.port)), Messages)
    return relay, url.replace(f":{named.port}/", f":{port}/")


def _begin(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True, name="relay").start()


def _pass(source: socket.socket, target: socket.socket, told: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_MOST):
            told(data)  # before it is passed on: whoever is answered finds it counted
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
