"""Kinds of other packages: the example as it would be installed, and packages that are broken."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from botrix.creators.creator import Check, Sighting, Whose
from botrix.creators.plugins import HeldCreator
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind
from botrix.testing import wanted
from tests.servers.system import FAST, System

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "botrix-folder"
_WHOLE = """
SEALED, DEMANDS_A_CHANGE, GATED = (), False, False
async def open_creator(config, timeout, gate):
    return config
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built and installed as any package is, into a place of its own."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
         "--no-build-isolation", "--no-index", "--target", str(target), str(EXAMPLE)],
        check=True, timeout=120,
    )  # fmt: skip
    return target


def package(folder: Path, name: str, kind: str, text: str) -> None:
    """As it lies in an environment: a module, and what its metadata says."""
    (folder / f"{name}.py").write_text(text)
    told = folder / f"{name}-2.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (told / "entry_points.txt").write_text(f"[botrix.creators]\n{kind} = {name}\n")


def run(site: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}", **more}
    return subprocess.run(
        [sys.executable, *command], env=environ, check=False, capture_output=True, text=True,
        timeout=110,
    )  # fmt: skip


def kinds(site: Path) -> dict[str, list[dict[str, str]]]:
    said = run(site, "-m", "botrix", "directory", "kinds", "--json")
    assert said.returncode == 0, said.stderr
    found: dict[str, list[dict[str, str]]] = {}
    for row in json.loads(said.stdout):
        found.setdefault(row["kind"], []).append(row)
    return found


def test_the_example_passes_the_suite(installed: Path) -> None:
    said = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
               "-o", "asyncio_mode=auto", f"--rootdir={EXAMPLE}", str(EXAMPLE))  # fmt: skip
    assert said.returncode == 0, said.stdout
    assert re.search(r"^(\d+) passed", said.stdout, re.MULTILINE), said.stdout


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (ROOT / "docs" / "creators.md").read_text()
    for file in ("botrix_folder.py", "pyproject.toml", "test_folder.py"):
        language = "toml" if file.endswith("toml") else "python"
        assert f"```{language}\n{(EXAMPLE / file).read_text()}```\n" in page, file


async def test_a_job_in_a_directory_of_the_example(
    installed: Path, folder: Path, tmp_path: Path
) -> None:
    path = f"{installed}:{ROOT}"
    system = System(folder, environ={**FAST, "PYTHONPATH": path})
    try:
        await system.start()
        system.add_directory("files", kind="folder", path=str(tmp_path))
        await system.worker("worker-1")
        await system.worker("worker-2")
        job = await system.final(await system.generate(20, directory="files"), within=90)
    finally:
        await system.stop()
    assert (job["status"], job["created"]) == ("completed", 20)
    assert _tags(tmp_path) == sorted(f"botrix:{job['id']}:{n}" for n in range(20))


def _tags(folder: Path) -> list[str]:
    return sorted(json.loads(file.read_text())["tag"] for file in folder.glob("*.json"))


def test_the_list_of_kinds_names_packages_and_what_is_wrong(
    installed: Path, tmp_path: Path
) -> None:
    package(tmp_path, "gone", "gone", "import there_is_no_such_module\n")
    package(tmp_path, "ends", "ends", "raise SystemExit(3)\n")
    package(tmp_path, "poor", "poor", _WHOLE.replace("GATED", "_GATED"))
    package(tmp_path, "false", "scim", _WHOLE)
    package(tmp_path, "first", "both", _WHOLE)
    package(tmp_path, "second", "both", _WHOLE)
    found = kinds(Path(f"{installed}:{tmp_path}"))
    assert found["folder"] == [{"kind": "folder", "package": "botrix-folder 1.0", "problem": ""}]
    told = {name: found[name][0]["problem"] for name in ("gone", "ends", "poor", "both")}
    assert "no module named 'there_is_no_such_module'" in told["gone"].lower()
    assert "of gone 2.0" in told["gone"]
    assert "SystemExit" in told["ends"]
    assert "it has no GATED" in told["poor"]
    assert "first 2.0 and second 2.0" in told["both"]
    ours, theirs = found["scim"]
    assert (ours["package"].split()[0], ours["problem"]) == ("botrix", "")
    assert (theirs["package"], "not used" in theirs["problem"]) == ("false 2.0", True)
    assert found["local"][0]["problem"] == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise ValueError('two\\nlines')", "cannot be used here: two lines"),
        (_WHOLE, "has no usable kind"),
        (_WHOLE.replace("return config", "1 / 0"), "cannot be opened: ZeroDivisionError"),
    ],
)
def test_a_broken_kind_is_one_line_when_it_is_added(tmp_path: Path, text: str, told: str) -> None:
    package(tmp_path, "broken", "odd", text)
    more = {"BOTRIX_DATA": str(tmp_path / "data")}
    said = run(tmp_path, "-m", "botrix", "directory", "add", "x", "--kind", "odd", **more)
    assert (said.returncode, said.stdout) == (1, "")
    assert told in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


class Wrong(SimpleNamespace):
    """A creator that answers, or raises, what it was given."""

    kind, unique_key, batch, concurrency = "wrong", "name", 8, 1

    async def find(self, _: Sequence[Any]) -> Any:
        return self._said()

    async def create(self, asked: Sequence[Any]) -> Any:
        if self.says is None:
            raise ValueError(f"no such person: {asked[0].password}")
        return self._said()

    async def check(self) -> Any:
        return self._said()

    async def set_password(self, _: str, password: str) -> Any:
        raise RuntimeError(password)

    async def close(self) -> None:
        raise OSError("in use")

    def _said(self) -> Any:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.mark.parametrize(
    "says", [None, [], "no", [None], [Sighting(Whose.NOBODY)] * 2, KeyError("x")]
)
async def test_what_a_creator_should_not_answer_is_in_doubt(
    says: Any, caplog: pytest.LogCaptureFixture
) -> None:
    held = HeldCreator(Wrong(says=says), "the kind wrong of wrong 1.0")
    one = wanted("ann")
    (outcome,) = await held.create([one])
    (sighting,) = await held.find([one])
    assert (outcome.kind, sighting.whose) == (OutcomeKind.UNKNOWN, Whose.UNSURE)
    assert not (await held.check()).usable
    assert (await held.set_password("1", one.password)).kind is OutcomeKind.UNKNOWN
    await held.close()
    assert one.password not in caplog.text + repr(outcome)
    assert "test_plugins.py:" in caplog.text


async def test_what_a_creator_should_answer_is_passed_on() -> None:
    done = Outcome(OutcomeKind.CREATED, "7")
    held = HeldCreator(Wrong(says=[done]), "the kind")
    assert list(await held.create([wanted("ann")])) == [done]
    assert await HeldCreator(Wrong(says=Check(True)), "it").check() == Check(True)
    with pytest.raises(DirectoryError):
        await HeldCreator(Wrong(says=DirectoryError("x")), "it").create([wanted("ann")])
    with pytest.raises(asyncio.CancelledError):
        await HeldCreator(_Cancelled(), "it").find([])


class _Cancelled(Wrong):
    async def find(self, _: Sequence[Any]) -> Any:
        raise asyncio.CancelledError


@pytest.mark.parametrize("tag", [None, 7, "imported by hand"])
async def test_of_another_job_is_only_what_says_of_which(tag: Any) -> None:
    seen = Sighting(Whose.OTHER_JOB, "7", tag=tag, fields={"email": 1, "shoe": "x"}, active=1)  # type: ignore[arg-type,dict-item]
    (told,) = await HeldCreator(Wrong(says=[seen]), "it").find([wanted("ann")])
    assert (told.whose, told.fields, told.active) == (Whose.FOREIGN, {}, None)
    other = Sighting(Whose.OTHER_JOB, "7", tag="botrix:a:1", fields={"email": "x"}, active=True)
    assert list(await HeldCreator(Wrong(says=[other]), "it").find([wanted("ann")])) == [other]
