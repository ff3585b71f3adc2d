"""A peer, as `peers.toml` describes it."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
ENVIRONMENTS = Path(os.environ.get("BENCH_PEERS", HERE.parents[1] / ".bench-peers")).absolute()


@dataclass(frozen=True)
class Setting:
    """how: where it goes, see peers.toml; why: it is set so; source: who says what it does."""

    how: str
    name: str
    value: Any
    why: str
    source: str


@dataclass(frozen=True)
class Peer:
    """store: line, postgres, or both; package: whose version counts, in an environment of its own;
    None for Botrix."""

    name: str
    title: str
    store: str
    program: str
    worker: tuple[str, ...]
    settings: tuple[Setting, ...]
    package: str | None = None

    @property
    def environment(self) -> Path:
        return ENVIRONMENTS / (self.package or "")

    @property
    def is_node(self) -> bool:
        return self.program.endswith(".cjs")

    @property
    def is_there(self) -> bool:
        return self.package is None or (self.environment / "ready").exists()

    @property
    def hand_command(self) -> list[str]:
        program = [self.program] if self.is_node else ["-m", "hand", self.program]
        return [self._interpreter, *program]

    @property
    def worker_command(self) -> list[str]:
        added = [
            str(part)
            for s in self._of("command")
            for part in ((s.name,) if s.value is True else (s.name, s.value))
        ]
        return [self._interpreter, *self.worker, *added]

    @property
    def environ(self) -> dict[str, str]:
        """What its programs need to know of it."""
        code = {s.name: s.value for s in self._of("code")}
        environ = {s.name: str(s.value) for s in self._of("environ")}
        if self.is_node:
            environ["NODE_PATH"] = str(self.environment / "node_modules")
        return environ | {"BENCH_SETTINGS": json.dumps(code)}

    @property
    def version(self) -> str:
        """Of its package, as installed."""
        if self.package is None:
            return version("botrix")
        if self.is_node:
            found = self.environment / "node_modules" / self.package / "package.json"
            return str(json.loads(found.read_text())["version"])
        named = self.package.replace("-", "_")
        (found,) = self.environment.glob(f"lib/python*/site-packages/{named}-*.dist-info")
        return found.name.removesuffix(".dist-info").rpartition("-")[2]

    @property
    def _interpreter(self) -> str:
        if self.is_node:
            return "node"
        return str(self.environment / "bin" / "python") if self.package else sys.executable

    def _of(self, how: str) -> list[Setting]:
        return [setting for setting in self.settings if setting.how == how]


@cache
def peers() -> dict[str, Peer]:
    """All, Botrix first."""
    told = tomllib.loads((HERE / "peers.toml").read_text())
    return {name: _peer(name, **fields) for name, fields in told.items()}


def _peer(name: str, worker: list[str], settings: list[dict[str, Any]], **fields: Any) -> Peer:
    return Peer(
        name, worker=tuple(worker), settings=tuple(Setting(**s) for s in settings), **fields
    )
