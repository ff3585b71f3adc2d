"""A small client of the API, for the commands that ask it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import click

from botrix.errors import BotrixError


def _key() -> str:
    from botrix.settings import Settings

    try:
        return Settings.read().api_key
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


URL = "http://127.0.0.1:8080"
_IDLE = 2.0
"""A server may end a connection that was idle for longer, just when it is used again."""


class Unheard(click.ClickException):
    """No answer came."""


class Refused(click.ClickException):
    """It answered something else. status: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """url: the API's address; within: seconds for an answer; unheard: what to do where a request
    may have been answered unheard. Every failure is one line that says what to do: an `Unheard`, or
    a `Refused`."""

    def __init__(self, url: str, within: float = 60.0, unheard: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self.url = url
        self._unheard = f"; {unheard}" if unheard else ""
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=within)
        self._key = _key()
        self._used = time.monotonic()

    def get(self, path: str, **query: Any) -> Any:
        asked = urlencode({k: v for k, v in query.items() if v is not None})
        return self._ask("GET", f"{path}?{asked}" if asked else path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        text = json.dumps({k: v for k, v in body.items() if v is not None})
        return self._ask("POST", path, text.encode(), "application/json")

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("PUT", path, json.dumps(body).encode(), "application/json")

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def download(self, path: str, body: dict[str, Any]) -> tuple[bytes, http.client.HTTPMessage]:
        """A file, and the headers that came with it."""
        text = json.dumps({k: v for k, v in body.items() if v is not None})
        answer, content = self._answer("POST", path, text.encode(), "application/json")
        if answer.status != 200:
            raise self._refusal(answer, content)
        return content, answer.headers

    @contextmanager
    def stream(self, path: str) -> Iterator[tuple[Iterator[bytes], http.client.HTTPMessage]]:
        """A file piece by piece, and the headers that came with it."""
        answer = self._asked("GET", path)
        if answer.status != 200:
            raise self._refusal(answer, answer.read())
        try:
            yield self._pieces(answer), answer.headers
        finally:
            self._connection.close()

    def _pieces(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read(64 * 1024):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise click.ClickException(
                f"{self.url} broke off ({error}); no file was made, ask again"
            ) from None

    def upload(self, path: str, file: IO[bytes], query: dict[str, Any], seen: Any) -> Any:
        """Streams a roster; `seen(n)` hears of each n bytes sent."""
        kind = (
            "application/x-ndjson"
            if Path(file.name).suffix in (".ndjson", ".jsonl")
            else "text/csv"
        )
        asked = urlencode({k: v for k, v in query.items() if v is not None})

        def chunks() -> Iterator[bytes]:
            while chunk := file.read(64 * 1024):
                seen(len(chunk))
                yield chunk

        return self._ask("POST", f"{path}?{asked}", chunks(), kind)

    def again(self, within: float) -> Api:
        """The same one, by a connection of its own."""
        return Api(self.url, within)

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[bytes]]:
        """What is sent line by line, for as long as that lasts."""
        answer = self._asked("GET", path)
        if answer.status != 200:
            raise self._refusal(answer, answer.read())
        try:
            with self._heard():
                yield iter(answer.readline, b"")
        finally:
            self._connection.close()

    def _ask(self, method: str, path: str, body: Any = None, kind: str | None = None) -> Any:
        answer, text = self._answer(method, path, body, kind)
        if answer.status >= 400:
            raise self._refusal(answer, text)
        return self._json(answer, text)

    def _answer(
        self, method: str, path: str, body: Any, kind: str | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with self._heard():
            answer = self._asked(method, path, body, kind)
            content = answer.read()
            self._used = time.monotonic()
            return answer, content

    def _asked(
        self, method: str, path: str, body: Any = None, kind: str | None = None
    ) -> http.client.HTTPResponse:
        headers = {"Content-Type": kind} if kind else {}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if time.monotonic() - self._used > _IDLE:  # somebody was asked, or a job was watched
            self._connection.close()
        with self._heard():
            self._connection.request(method, path, body, headers)
            return self._connection.getresponse()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            unheard = "" if isinstance(error, ConnectionRefusedError) else self._unheard
            raise Unheard(
                f"no answer from {self.url} ({error}); is it up? start it with: botrix up{unheard}"
            ) from None

    def _refusal(self, answer: http.client.HTTPResponse, text: bytes) -> Refused:
        said = self._json(answer, text)
        return Refused(str(said.get("detail", answer.reason)), answer.status)

    def _json(self, answer: http.client.HTTPResponse, text: bytes) -> Any:
        try:
            return json.loads(text or b"{}")
        except ValueError:
            raise Refused(
                f"{self.url} is no Botrix (HTTP {answer.status}); correct --url or BOTRIX_URL",
                answer.status,
            ) from None
