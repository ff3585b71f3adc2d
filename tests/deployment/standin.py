"""A stand-in for a bare Debian 12 host: an image that is made here, since none may be at hand.

It has systemd, Redis, and in /opt/botrix what the program depends on, but not the program. It takes
root, mmdebstrap and a Docker engine, and a few minutes; the engine then keeps it under a name that
changes with what went into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deployment.engine import run

_ROOT = Path(__file__).parents[2]
LOCK = _ROOT / "backend" / "runtime.lock"
_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,redis-server"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


def missing() -> str | None:
    """Why it cannot be made, or None; the engine is another matter (engine.py)."""
    if os.geteuid() != 0:
        return "it takes root"
    return None if shutil.which("mmdebstrap") else "there is no mmdebstrap"


def image() -> str:
    """Its name; it is made where the engine has none."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + LOCK.read_bytes()).hexdigest()[:12]
    name = f"botrix-standin-systemd:{digest}"
    if subprocess.run(["docker", "inspect", name], capture_output=True, check=False).returncode:
        with tempfile.TemporaryDirectory(prefix="bx-standin-") as folder:
            _make(Path(folder) / "tree", name)
    return name


def wheel(folder: Path) -> None:
    """The program's own, into a folder."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
        "-w", folder, _ROOT)  # fmt: skip


def _make(tree: Path, name: str) -> None:
    run("mmdebstrap", "-q", "--variant=minbase", "--aptopt=Apt::Install-Recommends false",
        f"--include={_PACKAGES}", "bookworm", tree)  # fmt: skip
    _install(tree)
    with subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(["docker", "import", "-", name], stdin=packed.stdout, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    assert packed.returncode == 0


def _install(tree: Path) -> None:
    """Uses this machine's resolver and certificates, and leaves neither behind."""
    lent = {Path("etc/resolv.conf"), _CERTIFICATES, Path("etc/pip.conf")}
    lent = {path for path in lent if (Path("/") / path).exists()}
    for path in lent:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("/") / path, tree / path)
    shutil.copy(LOCK, tree / "root")
    try:
        run("chroot", tree, "python3", "-m", "venv", "/opt/botrix")
        run("chroot", tree, "/opt/botrix/bin/pip", "install", "-q", "--no-cache-dir",
            "--only-binary", ":all:", "--require-hashes", "--no-deps",
            "-r", f"/root/{LOCK.name}")  # fmt: skip
    finally:
        for path in lent | {Path("root") / LOCK.name}:
            (tree / path).unlink()
