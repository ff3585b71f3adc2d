"""Random bytes of the operating system, fetched by the page: one call to it for many small draws.

Each thread has a page of its own, and no byte is given twice.
"""

from __future__ import annotations

import os
import threading

_PAGE = 4096


class _Page(threading.local):
    left = b""
    at = _PAGE


_page = _Page()


def random_bytes(n: int) -> bytes:
    """n bytes, at most 4096; as good as os.urandom's, since that is where they come from."""
    page = _page
    start, end = page.at, page.at + n
    if end > _PAGE:
        page.left, start, end = os.urandom(_PAGE), 0, n
    page.at = end
    return page.left[start:end]


def _forget() -> None:
    _page.left, _page.at = b"", _PAGE


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a child must not draw what its parent draws
