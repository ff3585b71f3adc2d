"""What no program here uses: what runs data as code, weak hashes, guessable numbers, races for a
file, and TLS that checks nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FILES = sorted(
    path for folder in ("botrix", "workers", "scripts") for path in (ROOT / folder).rglob("*.py")
)
_MODULES = {"pickle", "cPickle", "_pickle", "dill", "marshal", "shelve", "jsonpickle"}
_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput",
    "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "tempfile.mktemp",
    "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all",
    "ssl._create_unverified_context", "ssl._create_stdlib_context",
}  # fmt: skip
_SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}
_UNCHECKED = {"verify", "ssl", "verify_ssl", "ssl_verify", "check_hostname"}
_DICE = {
    "botrix/creators/simulated.py": "faults on demand",
    "botrix/creators/simulated_server/server.py": "faults on demand",
    "botrix/creators/simulated_server/store.py": "ids of entries that are not real",
    "botrix/identity.py": "names of people, from a seed",
    "botrix/line/connection.py": "which node is asked first",
    "botrix/retry.py": "jitter",
    "botrix/webhooks/schedule.py": "jitter",
    "botrix/worker/courier.py": "jitter",
    "botrix/worker/desk.py": "jitter",
    "botrix/worker/parts.py": "jitter",
    "botrix/worker/session.py": "jitter",
}
"""Where numbers that could be guessed do no harm."""


class _Finder(ast.NodeVisitor):
    """dice: whether `random` is allowed."""

    def __init__(self, dice: bool) -> None:
        self.found: list[str] = []
        self._dice = dice
        self._names: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for one in node.names:
            self._imported(one.name, node)
            self._names[one.asname or one.name.partition(".")[0]] = (
                one.name if one.asname else one.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._imported(node.module or "", node)
        for one in node.names:
            self._names[one.asname or one.name] = f"{node.module}.{one.name}"

    def visit_Call(self, node: ast.Call) -> None:
        name, given = self._name(node.func), {k.arg: k.value for k in node.keywords}
        if name in _CALLS or name.removeprefix("builtins.") in _CALLS:
            self._tell(name, node)
        if name in {"yaml.load", "yaml.load_all"} and not self._is_safe(node, given):
            self._tell(name, node)
        if self._is_weak(name, node) and not _is(given.get("usedforsecurity"), False):
            self._tell(f"{name} for security", node)
        if "shell" in given and not _is(given["shell"], False):
            self._tell("shell=", node)
        for word in _UNCHECKED & given.keys():
            if _is(given[word], False):
                self._tell(f"{word}=False", node)
        if name in {"importlib.import_module"} and node.args:
            self._imported(str(getattr(node.args[0], "value", "")), node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            name = target.attr if isinstance(target, ast.Attribute) else ""
            if name == "check_hostname" and _is(node.value, False):
                self._tell("check_hostname = False", node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "CERT_NONE":
            self._tell("CERT_NONE", node)
        self.generic_visit(node)

    def _imported(self, name: str, node: ast.AST) -> None:
        top = name.partition(".")[0]
        if top in _MODULES or (top == "random" and not self._dice):
            self._tell(top, node)

    def _name(self, node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        return "?"

    def _is_safe(self, node: ast.Call, given: dict[str | None, ast.expr]) -> bool:
        loader = given.get("Loader") or (node.args[1] if len(node.args) > 1 else None)
        return loader is not None and self._name(loader) in _SAFE_LOADERS

    def _is_weak(self, name: str, node: ast.Call) -> bool:
        if name == "hashlib.new" and node.args:
            name = f"hashlib.{getattr(node.args[0], 'value', '')}".lower()
        return name in {"hashlib.md5", "hashlib.sha1", "hashlib.md4"}

    def _tell(self, what: str, node: ast.AST) -> None:
        self.found.append(f"{getattr(node, 'lineno', 0)}: {what}")


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _found(text: str, dice: bool = False) -> list[str]:
    finder = _Finder(dice)
    finder.visit(ast.parse(text))
    return finder.found


def _all() -> Iterator[str]:
    for path in _FILES:
        name = path.relative_to(ROOT).as_posix()
        yield from (f"{name}:{one}" for one in _found(path.read_text(), name in _DICE))


def test_no_program_uses_any_of_it() -> None:
    assert len(_FILES) > 100
    assert list(_all()) == []


def test_dice_are_thrown_wherever_they_are_allowed() -> None:
    thrown = {name for name in _DICE if _found((ROOT / name).read_text())}
    assert thrown == _DICE.keys()


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import marshal as m", "import shelve",
        "from importlib import import_module\nimport_module('pickle')", "__import__('os')",
        "eval('1')", "exec('1')", "compile('1', '', 'eval')", "import builtins\nbuiltins.eval('1')",
        "import yaml\nyaml.load(f)", "import yaml as y\ny.load(f, y.Loader)",
        "from yaml import load\nload(f, Loader=x)", "import yaml\nyaml.unsafe_load(f)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "from subprocess import Popen\nPopen('ls', shell=1)",
        "import asyncio\nasyncio.create_subprocess_shell('ls')",
        "import os\nos.system('ls')", "from os import system as s\ns('ls')",
        "import os\nos.popen('ls')",
        "import hashlib\nhashlib.md5(b'')", "from hashlib import sha1\nsha1(b'')",
        "import hashlib\nhashlib.new('MD5', b'')",
        "import random", "from random import choice", "def f():\n    import random as r",
        "import tempfile\ntempfile.mktemp()", "from tempfile import mktemp\nmktemp()",
        "requests.get(u, verify=False)", "http.get(u, ssl=False)",
        "context.check_hostname = False", "context.verify_mode = ssl.CERT_NONE",
        "import ssl\nssl._create_unverified_context()",
    ],
)  # fmt: skip
def test_each_is_found(text: str) -> None:
    assert _found(text)


@pytest.mark.parametrize(
    "text",
    [
        "import re\nre.compile('a')", "pipe.eval('return 1')", "import yaml\nyaml.safe_load(f)",
        "import yaml\nyaml.load(f, Loader=yaml.SafeLoader)", "import secrets as random",
        "import hashlib\nhashlib.sha1(b'', usedforsecurity=False)\nhashlib.sha256(b'')",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "http.get(u, ssl=context)", "import tempfile\ntempfile.mkstemp()",
    ],
)  # fmt: skip
def test_what_looks_like_it_is_not_found(text: str) -> None:
    assert _found(text) == []
