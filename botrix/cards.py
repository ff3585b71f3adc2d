"""Passwords as a page to be printed: ten cards on a sheet of A4 or Letter, to be cut apart.

The page is complete in itself and executes nothing: no script, nothing from elsewhere, its one
style sheet allowed by its hash. All that is not written here is escaped. A card that needs more
room than others makes its row higher, for a password that was cut off would be lost.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from html import escape
from itertools import groupby, islice

from botrix.export import COLUMNS
from botrix.plain import plain

A_SHEET = 10
_A_LINE = 31
"""Characters of a user name in its usual size."""
_USERNAME, _SHOWN, _PASSWORD = (
    COLUMNS.index(name) for name in ("username", "display_name", "password")
)
_LENGTHS = ((24, "short"), (60, "medium"), (200, "long"))
"""Of a password, and the class of its size."""

_STYLE = """
@page { margin: 8mm; }
* { box-sizing: border-box; margin: 0; }
body { background: #fff; color: #000;
  font: 8.5pt/1.2 system-ui, "Helvetica Neue", Arial, sans-serif; }
.sheet { display: grid; grid-template-columns: 95mm 95mm; grid-auto-rows: minmax(52mm, auto);
  width: 190mm; margin: 0 auto; break-after: page; }
.sheet:last-child { break-after: auto; }
.card { display: flex; flex-direction: column; gap: 1.2mm; padding: 3.5mm 5mm 2.5mm;
  break-inside: avoid; overflow-wrap: anywhere; border: dashed #999; border-width: 0 1px 1px 0; }
.card:nth-child(odd) { border-left-width: 1px; }
.card:nth-child(-n+2) { border-top-width: 1px; }
.title { font-size: 8pt; color: #444; }
h2 { font-size: 12pt; line-height: 1.15; }
.title, h2 { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden; }
.title { -webkit-line-clamp: 1; }
h2 { -webkit-line-clamp: 2; }
dl { display: grid; grid-template-columns: 16mm 1fr; gap: .6mm 2mm; align-items: baseline; }
dt { font-size: 7.5pt; color: #444; }
dd { min-width: 0; }
.mono, .password { font-family: "DejaVu Sans Mono", "Cascadia Mono", Consolas, Menlo,
  "Liberation Mono", ui-monospace, monospace; font-variant-numeric: slashed-zero;
  font-variant-ligatures: none; white-space: break-spaces; }
.sign-in { font-size: 8.5pt; }
.username { font-size: 10pt; }
.small { font-size: 8.5pt; }
.password { border: 1px solid #bbb; border-radius: 1mm; padding: 1.4mm 2mm; font-weight: bold; }
.password b { text-decoration: overline 1px; }
i { display: inline-block; width: 1ch; height: .4em; margin: 0 1px; white-space: pre;
  overflow: hidden; vertical-align: -.15em;
  border: solid #000; border-width: 0 1px 1px; }
.short { font-size: 15.5pt; }
.medium { font-size: 10pt; }
.long { font-size: 7.5pt; line-height: 1.4; }
.longest { font-size: 5pt; font-weight: normal; }
.foot { margin-top: auto; font-size: 7pt; color: #444; }
@media screen {
  body { background: #eee; padding: 6mm; }
  .sheet { background: #fff; margin-bottom: 6mm; }
}
"""


def _policy(style: str) -> str:
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"


POLICY = _policy(_STYLE)
"""What the page may do (Content Security Policy)."""


def as_cards(rows: Iterable[Sequence[str]], title: str = "", sign_in: str = "") -> bytes:
    """Of export.COLUMNS."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{_escaped(title or 'Accounts')}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    cards = (_card(row, title, sign_in) for row in rows)
    return (head + "".join(_sheets(cards)) + "</body>\n</html>\n").encode()


def _sheets(cards: Iterator[str]) -> Iterator[str]:
    while sheet := "".join(islice(cards, A_SHEET)):
        yield f'<section class="sheet">\n{sheet}</section>\n'


def _card(row: Sequence[str], title: str, sign_in: str) -> str:
    password = row[_PASSWORD]
    size = next((name for most, name in _LENGTHS if len(password) <= most), "longest")
    username, where = _escaped(row[_USERNAME]), _escaped(sign_in)
    address = f'<dt>Sign in at</dt><dd class="mono sign-in">{where}</dd>' if where else ""
    fits = "" if len(row[_USERNAME]) <= _A_LINE else " small"
    return (
        '<article class="card">'
        f'<p class="title">{_bdi(title)}</p><h2>{_bdi(row[_SHOWN])}</h2>'
        f'<dl>{address}<dt>User name</dt><dd class="mono username{fits}">{username}</dd></dl>'
        f'<p class="password {size}" dir="ltr">{_marked(password)}</p>'
        f'<p class="foot">{_legend(password)}</p></article>\n'
    )


def _marked(password: str) -> str:
    """Digits have a line above, or 1 and 0 would be l and O to some; and a space is seen."""
    parts = []
    for digits, signs in groupby(password, str.isdecimal):
        text = escape("".join(signs)).replace(" ", _SPACE)
        parts.append(f"<b>{text}</b>" if digits else text)
    return "".join(parts)


_SPACE = "<i> </i>"


def _legend(password: str) -> str:
    digits = "Digits have a line above." if any(map(str.isdecimal, password)) else ""
    spaces = f"{_SPACE} is a space." if " " in password else ""
    return " ".join(word for word in (digits, spaces) if word)


def _bdi(text: str) -> str:
    """A name that is written from right to left turns nothing beside it."""
    return f"<bdi>{_escaped(text)}</bdi>" if text else ""


def _escaped(text: str) -> str:
    return escape(plain(text))
