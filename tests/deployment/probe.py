"""Runs in place of a worker, in its unit, and tells what it was refused: an errno, or `done`."""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

_C = ctypes.CDLL(None, use_errno=True)
_STATE = Path("/var/lib/botrix")


def _call(name: str, *arguments: object) -> None:
    if getattr(_C, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def _write(path: str) -> None:
    file = Path(path) / "probe"
    file.write_text("")
    file.unlink()


def _make_setuid() -> None:
    file = _STATE / "probe"
    file.write_text("")
    try:
        file.chmod(0o4755)
    finally:
        file.unlink()


def _run_written_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


_TRIED: dict[str, Callable[[], object]] = {
    "write to the state": lambda: _write("/var/lib/botrix"),
    "write to a temporary folder": lambda: _write("/tmp"),
    "write to /etc": lambda: _write("/etc"),
    "write to /opt/botrix": lambda: _write("/opt/botrix"),
    "see a temporary file of others": lambda: os.stat("/tmp/of-others"),
    "look into /home": lambda: os.listdir("/home"),
    "see process 1": lambda: os.stat("/proc/1"),
    "see the kernel's settings": lambda: os.stat("/proc/sys"),
    "see a disk": lambda: os.stat("/dev/kmsg"),
    "write code and run it": _run_written_code,
    "make a setuid file": _make_setuid,
    "make a namespace": lambda: _call("unshare", 0x10000000),
    "run in real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "raise its priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "change its personality": lambda: _call("personality", 0x0008),
    "name the host": lambda: socket.sethostname("probe"),
    "open an internet socket": lambda: socket.socket().close(),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "mount": lambda: _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "trace": lambda: _call("ptrace", 16, os.getppid(), 0, 0),
}


def _tried(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main() -> None:
    found = {name: _tried(attempt) for name, attempt in _TRIED.items()}
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    for name in ("CapPrm", "CapBnd", "NoNewPrivs", "Seccomp"):
        found[name] = status[name].lstrip("0") or "0"
    found["core"] = str(resource.getrlimit(resource.RLIMIT_CORE)[1])
    found["own users"] = str(len(Path("/proc/self/uid_map").read_text().splitlines()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
