"""docs/SECURITY.md names tests that exist, and requirements in their form."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`((?:tests|botrix)/[\w/]+\.py)::(test_\w+)`")
_REQUIREMENT = re.compile(r"API([1-9]|10)|V([1-9]|1[0-7])\.\d{1,2}\.\d{1,2}")


def _rows(page: str) -> list[list[str]]:
    """Without the head, and the rows that begin a section."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in rows if len(row) == 3 and row[0] != "what"]


def _wrong(page: str) -> list[str]:
    wrong = []
    for what, requirements, tests in _rows(page):
        named = _TEST.findall(tests)
        if not named or ", ".join(f"`{file}::{name}`" for file, name in named) != tests:
            wrong.append(f"{what}: {tests!r} names no tests")
        wrong += [f"{file}::{name}" for file, name in named if not _exists(file, name)]
        for one in re.split("[,;] ", requirements):
            if not _REQUIREMENT.fullmatch(one):
                wrong.append(f"{what}: {one!r} is no requirement")
    return wrong


def _exists(file: str, name: str) -> bool:
    path = ROOT / file
    return path.exists() and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        for node in ast.parse(path.read_text()).body
    )


def test_each_test_that_is_named_exists() -> None:
    page = (ROOT / "docs" / "SECURITY.md").read_text()
    assert len(_rows(page)) > 25
    assert _wrong(page) == []


@pytest.mark.parametrize(
    "row",
    [
        "| a | API1 | `tests/unit/test_security_page.py::test_that_is_gone` |",
        "| a | API1 | `tests/unit/test_gone.py::test_x` |",
        "| a | API1 | none |",
        "| a | API11 | `tests/unit/test_security_page.py::test_each_test_that_is_named_exists` |",
        "| a | V1.2 | `tests/unit/test_security_page.py::test_each_test_that_is_named_exists` |",
    ],
)
def test_what_is_wrong_is_found(row: str) -> None:
    assert len(_wrong(row)) == 1
