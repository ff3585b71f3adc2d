"""Entries of the line: `{"id", "place"}` for a job of the ledger, or raw, by another program:
`{"id", "count", "directory"?, "template"?, "traceparent"?}`. Anyone may push; so all of it is
hostile until read.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from botrix.errors import InvalidInput
from botrix.identity import check_template
from botrix.model import MAX_ACCOUNTS

LONGEST = 64 * 1024
"""Bytes; a longer entry is rejected by the take script."""

_ID = r"^[A-Za-z0-9_-]{1,64}\Z"
_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,64}\Z")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`place` tells a job of the ledger from a raw one, which has a `count`. traceparent: of a raw
    one, whatever was said; a job of the ledger has its own there."""

    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    place: Annotated[int, msgspec.Meta(ge=1, lt=2**62)] | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_ACCOUNTS)] | None = None
    directory: str | None = None
    template: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    traceparent: str | None = None

    def same_job(self, other: Entry) -> bool:
        return msgspec.structs.replace(other, traceparent=self.traceparent) == self


_decoder = msgspec.json.Decoder(Entry)


def encode(job_id: str, place: int) -> bytes:
    """The entry of a job of the ledger; its id needs no escaping."""
    return b'{"id":"%s","place":%d}' % (job_id.encode(), place)


def decode(raw: bytes) -> Entry | str:
    """The entry, or in words why it cannot be used. Never raises."""
    try:
        entry = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return f"not an entry: {error}"[:300]
    if entry.place is None and entry.count is None:
        return "not an entry: a raw one needs `count`, the number of accounts"
    if entry.directory is not None and not _NAME.match(entry.directory):
        return "not an entry: `directory` is no name of a directory"
    if entry.place is None and entry.template is not None:
        try:
            check_template(entry.template, entry.count or 1)
        except InvalidInput as error:
            return f"not an entry: {error}"
    return entry
