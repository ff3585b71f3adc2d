"""The images of docker-compose.yml. Bases that cannot be pulled are replaced by stand-ins, which
are made here from Debian's packages and are named so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.deployment.engine import run

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
_PUBLIC = {"PYTHON_IMAGE": "python:3.11-slim", "BOTRIX_LINE_IMAGE": "valkey/valkey:9-alpine",
           "BOTRIX_LEDGER_IMAGE": "postgres:17-alpine"}  # fmt: skip
_STANDIN = {"BOTRIX_LINE_IMAGE": "line", "BOTRIX_LEDGER_IMAGE": "ledger"}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OWN = {"backend/Dockerfile": "botrix-api", "Dockerfile.worker": "botrix-worker"}


def bases() -> dict[str, str]:
    """The variables of docker-compose.yml that name a stand-in; empty where all can be pulled.

    Raises AssertionError where there is neither."""
    return {variable: _standin(variable) for variable in _PUBLIC if not _pulled(_PUBLIC[variable])}


def build(file: str, base: str | None) -> str:
    """As the head of that file says, with this machine's certificates lent as a secret."""
    name = OWN[file]
    command = ["docker", "build", "-q", "--network", "host", "-f", file, "-t", name]
    if base:
        command += ["--build-arg", f"PYTHON_IMAGE={base}"]
    if _CERTIFICATES.exists():
        command += ["--secret", f"id=ca,src={_CERTIFICATES}"]
    if (config := Path("/etc/pip.conf")).exists():
        command += ["--secret", f"id=pip,src={config}"]
    run(*_with_buildkit(command), str(ROOT), DOCKER_BUILDKIT="1")
    return name


def _with_buildkit(command: list[str]) -> list[str]:
    """A client without its plug-in for builds cannot lend secrets; Debian's, beside it, can."""
    has = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False)
    other = Path("/usr/bin/docker")
    return [str(other), *command[1:]] if has.returncode and other.exists() else command


def _pulled(name: str) -> bool:
    for command in (["inspect", "--type=image", name], ["pull", "-q", name]):
        if subprocess.run(["docker", *command], capture_output=True, check=False).returncode == 0:
            return True
    return False


def _standin(variable: str) -> str:
    base = _python()
    if variable == "PYTHON_IMAGE":
        return base
    name = f"botrix-standin-{_STANDIN[variable]}"
    file = STANDINS / f"{_STANDIN[variable]}.Dockerfile"
    run("docker", "build", "-q", "--network", "host", "--build-arg", f"BASE={base}", "-f", file,
        "-t", name, STANDINS, DOCKER_BUILDKIT="0")  # fmt: skip
    return name


def _python() -> str:
    """Debian 12, which has Python 3.11; made where the engine has none."""
    name = f"botrix-standin-python:{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}"
    if subprocess.run(["docker", "inspect", name], capture_output=True, check=False).returncode:
        assert os.geteuid() == 0, "no image can be pulled, and to make a stand-in takes root"
        assert shutil.which("mmdebstrap"), (
            "no image can be pulled; to make a stand-in, install mmdebstrap"
        )
        with tempfile.TemporaryDirectory(prefix="bx-standin-") as folder:
            packed = Path(folder) / "debian.tar"
            run("mmdebstrap", "-q", "--variant=minbase", "--aptopt=Apt::Install-Recommends false",
                "--include=ca-certificates,python3,python3-venv", "bookworm", packed)  # fmt: skip
            run("docker", "import", packed, name)
    return name
