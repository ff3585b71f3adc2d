"""A small client of the API, for the commands that ask it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
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


class Api:
    """url: the API's address; within: seconds for an answer; unheard: what to do where a request
    may have been answered unheard. Every failure is one line that says what to do."""

    def __init__(self, url: str, within: float = 60.0, unheard: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self._url = url
        self._unheard = f"; {unheard}" if unheard else ""
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=within)
        self._key = _key()

    def get(self, path: str, **query: Any) -> Any:
        asked = urlencode({k: v for k, v in query.items() if v is not None})
        return self._ask("GET", f"{path}?{asked}" if asked else path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        text = json.dumps({k: v for k, v in body.items() if v is not None})
        return self._ask("POST", path, text.encode(), "application/json")

    def download(self, path: str, body: dict[str, Any]) -> tuple[bytes, http.client.HTTPMessage]:
        """A file, and the headers that came with it."""
        text = json.dumps({k: v for k, v in body.items() if v is not None})
        answer, content = self._answer("POST", path, text.encode(), "application/json")
        if answer.status != 200:
            raise self._refusal(answer, content)
        return content, answer.headers

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

    def _ask(self, method: str, path: str, body: Any = None, kind: str | None = None) -> Any:
        answer, text = self._answer(method, path, body, kind)
        if answer.status >= 400:
            raise self._refusal(answer, text)
        return self._json(answer, text)

    def _answer(
        self, method: str, path: str, body: Any, kind: str | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {"Content-Type": kind} if kind else {}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            unheard = "" if isinstance(error, ConnectionRefusedError) else self._unheard
            raise click.ClickException(
                f"no answer from {self._url} ({error}); is it up? start it with: botrix up{unheard}"
            ) from None

    def _refusal(self, answer: http.client.HTTPResponse, text: bytes) -> click.ClickException:
        said = self._json(answer, text)
        return click.ClickException(str(said.get("detail", answer.reason)))

    def _json(self, answer: http.client.HTTPResponse, text: bytes) -> Any:
        try:
            return json.loads(text or b"{}")
        except ValueError:
            raise click.ClickException(
                f"{self._url} is no Botrix (HTTP {answer.status}); correct --url or BOTRIX_URL"
            ) from None
