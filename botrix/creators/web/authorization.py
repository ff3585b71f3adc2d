"""By what a directory behind HTTP knows that it is the operator who asks."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Protocol

from botrix.creators.web.answer import Answer


class Authorization(Protocol):
    """What stands in the header `Authorization` of each request (RFC 9110, 11.6.2)."""

    async def header(self, timeout: float) -> str | Answer:
        """An Answer where there is none to be had: the request was then not sent. timeout: seconds
        that it may take."""

    def renews(self, header: str) -> bool:
        """Told that the directory knows this header no longer: whether there may be another."""

    async def close(self) -> None: ...


class Fixed:
    """The same for every request, such as `Bearer …` or `token …`."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __repr__(self) -> str:
        return "Fixed()"

    async def header(self, timeout: float) -> str | Answer:
        return self._header

    def renews(self, header: str) -> bool:
        return False

    async def close(self) -> None:
        pass


def basic(username: str, password: str) -> str:
    """The header of RFC 7617."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def secrets_of(header: str) -> tuple[str, ...]:
    """What of it must never be shown."""
    scheme, _, said = header.partition(" ")
    if scheme != "Basic":
        return (said,)
    return (said, b64decode(said).decode().partition(":")[2])
