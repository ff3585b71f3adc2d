"""The dashboard: files of `dashboard/`, as they are, to anybody. They hold no data; what they show
they ask of the API, as whoever has signed in.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from botrix.errors import NotFound

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parent / "dashboard"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and rarely sent again: see ETag
}


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    content: bytes
    packed: bytes
    tag: str


@router.get("/")
async def start(request: Request) -> Response:
    """The one page."""
    return _sent(request, _files()["index.html"])


@router.get("/static/{path:path}")
async def static(request: Request, path: str) -> Response:
    """What the page consists of."""
    file = _files().get(path)
    if file is None:
        raise NotFound(f"there is no file {path[:80]!r} of the dashboard")
    return _sent(request, file)


def _sent(request: Request, file: _File) -> Response:
    headers = {**_HEADERS, "ETag": file.tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.content, media_type=file.kind, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(file.packed, media_type=file.kind, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """By path; nothing else of the disk can be asked for."""
    paths = (path for path in _FOLDER.rglob("*") if path.suffix in _KINDS)
    return {path.relative_to(_FOLDER).as_posix(): _read(path) for path in paths}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'  # weak: packed or not, it is the same
    return _File(_KINDS[path.suffix], content, gzip.compress(content, mtime=0), tag)
