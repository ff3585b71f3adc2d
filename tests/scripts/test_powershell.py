"""run_integration_tests.ps1 is parsed, not run: it has no bad syntax and the options of the .sh."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = SCRIPTS / "run_integration_tests.ps1"
pytestmark = pytest.mark.suite("Runners")


@pytest.fixture
def tree() -> Node:
    language = Language(tree_sitter_powershell.language())
    return Parser(language).parse(SCRIPT.read_bytes()).root_node


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.Action]:
    """Of integration_tests.py, by their names without dashes in front."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import integration_tests

    actions = integration_tests.parser()._actions
    return {a.option_strings[-1].removeprefix("--"): a for a in actions if a.dest != "help"}


def _nodes(node: Node, kind: str) -> Iterator[Node]:
    if node.type == kind:
        yield node
    for child in node.children:
        yield from _nodes(child, kind)


def _text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def _parameters(tree: Node) -> dict[str, str]:
    """The type of each parameter of the script."""
    (block,) = _nodes(tree, "param_block")
    found = (re.fullmatch(r"\[(\w+)\]\$(\w+)", _text(p)) for p in _nodes(block, "script_parameter"))
    return {match[2]: match[1] for match in found if match}


def _option(parameter: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", parameter).lower()


def test_it_parses(tree: Node) -> None:
    assert not tree.has_error  # neither ERROR nor MISSING anywhere
    assert SCRIPT.read_text().isascii()  # PowerShell 5.1 takes other bytes for another code page


def test_its_options_are_those_of_the_shell_script(
    tree: Node, options: dict[str, argparse.Action]
) -> None:
    kinds = {_option(name): kind for name, kind in _parameters(tree).items()}
    assert kinds == {
        name: "switch" if action.nargs == 0 else "string" for name, action in options.items()
    }


def test_it_hands_each_option_on(tree: Node) -> None:
    handed = {_text(node) for node in _nodes(tree, "if_statement")}
    for name, kind in _parameters(tree).items():
        given = f"'--{_option(name)}'" if kind == "switch" else f'"--{_option(name)}=${name}"'
        assert f"if (${name}) {{ $options += {given} }}" in handed


def test_it_describes_each_option_and_says_that_it_was_not_run(tree: Node) -> None:
    (page, *_) = (_text(node) for node in _nodes(tree, "comment"))
    assert re.findall(r"^\.PARAMETER (\w+)$", page, re.MULTILINE) == list(_parameters(tree))
    assert "parsed (by tree-sitter-powershell, in the tests), not run" in page
