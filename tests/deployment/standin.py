"""A stand-in for a bare Debian 12 host: an image that is made here, since none may be at hand.

It has systemd, Redis, and in /opt/botrix what the program depends on, but not the program. It takes
root, debootstrap and a Docker engine, and a few minutes; the engine then keeps it under a name that
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

_ROOT = Path(__file__).parents[2]
LOCK = _ROOT / "backend" / "runtime.lock"
_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,redis-server"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


def missing() -> str | None:
    """Why it cannot be made or run, or None."""
    if os.geteuid() != 0:
        return "it takes root"
    absent = [name for name in ("debootstrap", "docker") if shutil.which(name) is None]
    if absent:
        return f"there is no {' and no '.join(absent)}"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return None if asked.returncode == 0 else "no Docker engine answers"


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
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", folder, _ROOT)  # fmt: skip


def _make(tree: Path, name: str) -> None:
    _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", tree)
    _install(tree)
    for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(tree / cache)
        (tree / cache / "partial").mkdir(parents=True)
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
        _run("chroot", tree, "python3", "-m", "venv", "/opt/botrix")
        _run("chroot", tree, "/opt/botrix/bin/pip", "install", "-q", "--no-cache-dir",
             "--only-binary", ":all:", "--require-hashes", "--no-deps",
             "-r", f"/root/{LOCK.name}")  # fmt: skip
    finally:
        for path in lent | {Path("root") / LOCK.name}:
            (tree / path).unlink()


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
