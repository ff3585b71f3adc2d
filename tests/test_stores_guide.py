"""Every command of deployment/stores.md runs, in order, as it stands there, on other ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.servers import postgres, redises
from tests.servers.certificates import Authority, shared_folder
from tests.servers.system import free_port

_PAGE = Path(__file__).parents[1] / "deployment" / "stores.md"
_TO_THE_LEDGER = "TLS to the ledger"


def _commands() -> tuple[list[str], list[str]]:
    """Those on the line, and those on the ledger."""
    line, _, ledger = _PAGE.read_text().partition(f"## {_TO_THE_LEDGER}\n")
    found = [
        "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
        for text in (line, ledger)
    ]
    return found[0], found[1]


_WORKER = """
worker() {
  rm -f worker.log  # where the one before said what we wait for
  python -m botrix worker > worker.log 2>&1 & local pid=$!
  until grep -q "session started" worker.log; do
    kill -0 "$pid" || { cat worker.log; return 1; }
    sleep 0.1
  done
  kill "$pid"; wait "$pid"; cat worker.log
}"""


async def _run(commands: list[str], folder: Path) -> str:
    """What they print. Each must succeed, and a worker must end in order when it is told to."""
    script = "\n".join(commands).replace("botrix worker", "worker")
    for command in ("migrate", "secrets"):
        script = script.replace(f"botrix {command}", f"python -m botrix {command}")
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(_PAGE.parents[1]),
        "BOTRIX_DATA": str(folder / "botrix"),
    }
    with (folder / "said").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f"set -eu -o pipefail\n{_WORKER}\n{script}", env=env, cwd=folder,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        try:
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the servers in its background
    said = (folder / "said").read_text()
    assert code == 0, said
    return said


def _elsewhere(commands: list[str]) -> list[str]:
    """With free ports in the place of those of the guide."""
    text = "\n".join(commands)
    for port in ("7000", "7001", "7002", "7003"):
        text = re.sub(rf"\b{port}\b", str(free_port()), text)
    for tens in ("2700", "710"):
        text = re.sub(rf"\b{tens}(?=[123$])", str(_free_tens()), text)
    return text.split("\n")


def _free_tens() -> int:
    """n, where ports n1, n2 and n3 are free, and those 10,000 above, for the bus of a Cluster."""
    while True:
        tens = random.randint(1100, 2200)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in (tens * 10 + n + more for n in (1, 2, 3) for more in (0, 10_000)):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return tens


@pytest.mark.parametrize("suite", [pytest.param("TLS", marks=redises.needed("TLS"))])
async def test_the_commands_on_the_line(folder: Path, suite: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip(f"the guide to {suite} was NOT tried: no openssl")
    commands, _ = _commands()
    said = await _run(_elsewhere(commands), folder)
    assert (said.count("session started"), said.count("worker ended")) == (4, 4), said
    for wrong in ('"level": "warning"', '"level": "error"', "Traceback", "NOPERM", "NOAUTH"):
        assert wrong not in said, said


async def test_the_command_on_the_ledger(folder: Path) -> None:
    authority = Authority(shared_folder(folder))
    with postgres.by_tls(folder, authority) as server:
        if server is None:
            pytest.skip("the guide to TLS of the ledger was NOT tried: no PostgreSQL with TLS here")
        url = await server.empty_database()
        _, commands = _commands()
        assert len(commands) == 1
        here = commands[0].replace("postgresql://botrix@db.example/botrix", url)
        here = here.replace("/etc/botrix/ledger-ca.pem", str(authority.file))
        assert here.count("127.0.0.1") == here.count(str(authority.file)) == 1
        await _run([here], folder)
