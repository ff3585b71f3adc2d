"""Passwords as a file: CSV that no spreadsheet executes, or an age file (age-encryption.org).

A cell is quoted (RFC 4180), and gets an apostrophe before each place where a spreadsheet could
begin to read a formula: at its start, and behind whatever separates cells somewhere (OWASP, "CSV
Injection"). An apostrophe that stands at such a place already is doubled, so that whoever reads the
file without a spreadsheet gets each cell back exactly: `(^|[,;|TAB CR LF])'` becomes `\\1`.
A password made without a policy needs none.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from botrix.errors import InvalidInput

COLUMNS = ("username", "email", "given_name", "family_name", "display_name", "password")
_BEGINS = re.compile(r"(^|[,;|\t\r\n])(?=\s*[=+\-@\t\r\n\0＝＋－＠'])")


def as_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Of COLUMNS, with a line of their names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """See above."""
    return _BEGINS.sub(r"\1'", cell)


def read_recipient(text: str) -> Any:
    """A public key, `age1…`. Raises InvalidInput; never repeats what may be a secret key."""
    from pyrage import RecipientError, x25519

    try:
        return x25519.Recipient.from_str(text)
    except RecipientError:
        raise InvalidInput(
            "the recipient is no public key of age; give the one that age-keygen prints: age1…"
        ) from None


def sealed_for(recipient: Any, content: bytes) -> bytes:
    """An age file that only the recipient's identity opens."""
    from pyrage import encrypt

    return bytes(encrypt(content, [recipient]))
