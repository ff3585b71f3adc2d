"""What comes from elsewhere is pinned, known by its hash, and may be used."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import licences

ROOT = Path(__file__).parents[2]
_LOCKS = ["requirements.lock", "backend/runtime.lock", "backend/build.lock"]
_ENTRY = re.compile(
    r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.!+]+( ; [^\n]+?)? \\\n"
    r"(    --hash=sha256:[0-9a-f]{64} \\\n)*    --hash=sha256:[0-9a-f]{64}\n"
)


def _unpinned(text: str) -> str:
    """What is left when every entry that is as it must be is taken out."""
    return _ENTRY.sub("", text)


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_dependency_is_pinned_with_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert len(re.findall("==", text)) >= 2
    assert _unpinned(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "a==1\n", "a>=1 \\\n    --hash=sha256:" + "0" * 64 + "\n", "-e .\n", "a @ git+https://x\n",
        "--index-url https://x\n", "a==1 \\\n    --hash=md5:00\n",
        "a==1 \\\n    --hash=sha256:" + "0" * 63 + "\n",
    ],
)  # fmt: skip
def test_what_is_not_pinned_is_found(text: str) -> None:
    assert _unpinned(text)


def test_images_and_environment_take_nothing_without_its_hash() -> None:
    for name in ("Makefile", "backend/Dockerfile", "Dockerfile.worker"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        taken = [line for line in text.splitlines() if "pip install" in line and ".lock" in line]
        assert taken, name
        for line in taken:
            steps = [step for step in line.split("&&") if ".lock" in step and "pip install" in step]
            assert all("--require-hashes" in step for step in steps), line


def test_the_page_of_licences_is_current() -> None:
    """`make licences` renews it."""
    told = {name: licences.licence_of(name) for name in licences.pinned()}
    assert licences.problems(told) == []
    assert (ROOT / "docs" / "LICENCES.md").read_text() == licences.page(told)


@pytest.mark.parametrize(
    "expression",
    [None, "", "GPL-3.0-only", "MIT AND AGPL-3.0-or-later", "(MIT OR SSPL-1.0)", "UNKNOWN"],
)
def test_a_licence_that_may_not_be_used_is_named(expression: str | None) -> None:
    assert licences.problems({"a": expression, "b": "MIT AND (PSF-2.0 OR MIT)"})[0].startswith(
        "a: "
    )
    assert len(licences.problems({"a": expression, "b": "MIT"})) == 1


def test_what_is_not_there_has_no_licence() -> None:
    assert licences.licence_of("no-such-package-of-ours") is None


@pytest.mark.skipif(not find_spec("cyclonedx_py"), reason="cyclonedx-bom is not installed")
def test_the_bill_of_materials_names_what_the_images_run_on(tmp_path: Path) -> None:
    """By the command of `make sbom`, which checks it against the schema of CycloneDX."""
    made = tmp_path / "sbom.json"
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (line,) = [one for one in recipe.splitlines() if "cyclonedx_py" in one]
    words = shlex.split(line.strip().removeprefix("@").replace("build/sbom.cdx.json", str(made)))
    assert words[0] == "$(BIN)/python"
    subprocess.run([sys.executable, *words[1:]], cwd=ROOT, check=True, timeout=60)
    said = json.loads(made.read_text())
    assert said["bomFormat"] == "CycloneDX"
    assert said["metadata"]["component"]["name"] == "botrix"
    named = {one["name"]: one["version"] for one in said["components"]}
    lock = (ROOT / "backend" / "runtime.lock").read_text()
    assert named == dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", lock, re.MULTILINE))
    for one in said["components"]:
        assert one["externalReferences"][0]["hashes"], one["name"]
