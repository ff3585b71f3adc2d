"""Reads the commands of a guide: fenced blocks, each with the marker that stands above it.

<!-- run: until "text" -->       keeps running, as in a terminal of its own; said text when it is up
<!-- run: deploy -->             needs an engine or root: `make test-deploy` runs it
<!-- run: not, because … -->     cannot be run in a test
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
SHELLS = ("sh", "bash", "console")
COMMANDS = (*SHELLS, "powershell")
_MARKER = re.compile(r"<!--\s*run:\s*(.*?)\s*-->", re.DOTALL)
_UNTIL = re.compile(r'until "(.+)"')
_MACHINE = re.compile(
    r"\b(?:apt-get|systemctl|runuser|sudo|docker|kubectl|useradd|install -D)\b|>\s*/etc/|/opt/"
)
"""What no block does that a test runs as it stands."""
_NOT = re.compile(r"not, because (\S.{9,})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """line: where it begins; until: what it says once it is up; reason: why it is not run."""

    line: int
    language: str
    text: str
    marker: str = ""

    @property
    def deploy(self) -> bool:
        return self.marker == "deploy"

    @property
    def until(self) -> str | None:
        found = _UNTIL.fullmatch(self.marker)
        return found[1] if found else None

    @property
    def reason(self) -> str | None:
        found = _NOT.fullmatch(self.marker)
        return " ".join(found[1].split()) if found else None

    @property
    def mistake(self) -> str | None:
        """What is wrong with it, for whoever writes the guide."""
        if not self.language:
            return "has no language; write ```sh, or ```text where it is no command"
        known = not self.marker or self.deploy or self.until or self.reason
        if not known:
            return f"has a marker that is none, or a reason that says too little: {self.marker!r}"
        if self.marker and self.language not in COMMANDS:
            return f"is marked to run, but {self.language} is no shell"
        if self.language in SHELLS and not self.marker and (found := _MACHINE.search(self.text)):
            return f"would change this machine by {found[0]!r}; mark it"
        tests = re.findall(r"tests/[\w/]+\.py", self.reason or "")
        if gone := [name for name in tests if not (ROOT / name).exists()]:
            return f"is run by {gone[0]}, which is not there"
        if self.language == "powershell" and not (self.deploy or self.reason):
            return "is PowerShell, which not every machine has; say why it is not run"
        return None

    @property
    def commands(self) -> str:
        """In `console`, what stands behind the prompts."""
        if self.language != "console":
            return self.text
        typed = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return "\n".join(typed) + "\n"


def pages() -> list[Path]:
    """Every document whose commands are run."""
    named = ("README.md", "QUICKSTART_WORKER.md", "WORKER_INTEGRATION_GUIDE.md",
             "benchmarks/README.md")  # fmt: skip
    found = [ROOT / name for name in named]
    return [*found, *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("deployment/**/*.md"))]


def blocks(page: Path) -> list[Block]:
    """In order. An indented block counts as one without a language."""
    found: list[Block] = []
    marker = ""
    for token in _tokens(page):
        if token.type == "html_block" and (match := _MARKER.search(token.content)):
            marker = match[1]
        elif token.type in ("fence", "code_block"):
            language = (token.info.split() or [""])[0]
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(line, language, token.content, marker))
            marker = ""
        elif marker and token.type.endswith("_open"):
            found.append(Block(token.map[0] if token.map else 0, "", "", marker))
            marker = ""  # a marker above no block
    return found


def in_passing(page: Path) -> list[str]:
    """What stands as code within sentences."""
    inline = [child for token in _tokens(page) for child in token.children or []]
    return [child.content for child in inline if child.type == "code_inline"]


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())
