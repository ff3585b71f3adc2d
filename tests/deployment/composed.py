"""docker-compose.yml, brought up under a name of its own and asked as an operator would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.deployment.engine import run
from tests.deployment.images import ROOT
from tests.servers.system import FINAL, free_port, until

STORES = ("ledger", "line")
SECRETS = ("app/ledger_url", "app/redis_url", "door/api_key", "ledger/password", "line/viewer",
           "tools/pgadmin")  # fmt: skip


def compose_command() -> list[str] | None:
    """`docker compose`, or its predecessor, or None."""
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        old = shutil.which("docker-compose")
        return [old] if old else None
    return ["docker", "compose"]


class Composed:
    """images: the variables that name images other than the public ones."""

    def __init__(self, command: list[str], images: dict[str, str]) -> None:
        self._project = f"botrix-test-{os.getpid()}"
        self.port = free_port()
        self._environ = {**images, "BOTRIX_PORT": str(self.port)}
        self._command = [*command, "-f", str(ROOT / "docker-compose.yml"), "-p", self._project]
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""

    def compose(self, *arguments: str) -> str:
        return run(*self._command, *arguments, **self._environ)

    def inside(self, service: str, script: str) -> str:
        """By a shell in the service's container."""
        return self.compose("exec", "-T", service, "sh", "-c", script)

    def play(self, commands: str) -> str:
        """Of a guide: `docker compose` is that of this system, and has no terminal."""
        ours = " ".join(map(shlex.quote, self._command))
        commands = re.sub("docker compose exec (?!-T)", "docker compose exec -T ", commands)
        commands = commands.replace("localhost:8080", f"localhost:{self.port}")
        return run("bash", "-euc", commands.replace("docker compose", ours), **self._environ)

    async def up(self, *more: str) -> float:
        """Seconds until everything that stays is healthy."""
        began = time.monotonic()
        waiting = ["--wait"] if self._command[:2] == ["docker", "compose"] else []
        await asyncio.to_thread(self.compose, *more, "up", "-d", "--no-build", *waiting)
        await until(self.healthy, 120, "every service is healthy")
        self.key = self.inside("api", "cat /run/secrets/door/api_key").strip()
        return time.monotonic() - began

    async def healthy(self) -> bool:
        return all(
            c["State"].get("Health", {}).get("Status") == "healthy"
            for c in self.containers()
            if c["State"]["Status"] != "exited" or c["State"]["ExitCode"] != 0
        )

    def down(self) -> None:
        self.compose("--profile", "scale", "down", "-v", "-t", "5")

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """As the engine describes them, also those that ended."""
        label = "com.docker.compose"
        wanted = [f"label={label}.project={self._project}"]
        wanted += [f"label={label}.service={service}"] if service else []
        filters = [part for one in wanted for part in ("--filter", one)]
        ids = run("docker", "ps", "-aq", *filters).split()
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *ids)) if ids else []
        return found

    def workers(self) -> list[dict[str, Any]]:
        return [c for name in ("worker", "worker-2", "worker-3") for c in self.containers(name)]

    def secrets(self) -> list[str]:
        """Everything that nobody may read anywhere else."""
        script = "; ".join(f"cat /run/secrets/{name}; echo" for name in SECRETS)
        lines = self.compose("run", "--rm", "-T", "--entrypoint", "", "secrets", "sh", "-c", script)
        return [line.rsplit("@")[0].split(":")[-1] for line in lines.splitlines() if len(line) > 20]

    def http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self.url, headers={"Authorization": f"Bearer {self.key}"},
            timeout=aiohttp.ClientTimeout(30),
        )  # fmt: skip

    async def generate(self, count: int, **more: Any) -> str:
        asked = {"count": count, **more}
        async with self.http() as http, http.post("/api/accounts/generate", json=asked) as answer:
            said = await answer.json()
            assert answer.status == 202, said
            return str(said["id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        async with self.http() as http, http.get(f"/api/jobs/{job_id}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def final(self, job_id: str, within: float = 300.0) -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def done() -> bool:
            found.update(await self.job(job_id))
            return found["status"] in FINAL

        await until(done, within, f"job {job_id} final")
        return found

    def tags(self, job_id: str) -> dict[str, int]:
        """How many entries of the local directory bear each tag of a job."""
        program = (
            "import json; from pathlib import Path; from botrix.creators.local import count_tags;"
            "print(json.dumps(count_tags(Path('/var/lib/botrix/local-directory.sqlite'))))"
        )
        name = next(c["Name"] for c in self.workers() if c["State"]["Running"]).lstrip("/")
        counts = json.loads(run("docker", "exec", name, "python", "-c", program))
        return {tag: n for tag, n in counts.items() if tag.startswith(f"botrix:{job_id}:")}


def resident(container: dict[str, Any]) -> int:
    """Bytes that its largest process holds, without the page cache. A health check, which runs
    beside it for a moment, is none of it."""
    ident = container["Id"]
    for path in (f"/sys/fs/cgroup/memory/docker/{ident}/cgroup.procs",
                 f"/sys/fs/cgroup/system.slice/docker-{ident}.scope/cgroup.procs",
                 f"/sys/fs/cgroup/docker/{ident}/cgroup.procs"):  # fmt: skip
        if Path(path).exists():
            return max((_held(int(pid)) for pid in Path(path).read_text().split()), default=0)
    raise AssertionError("this machine does not tell what a container holds")


def _held(pid: int) -> int:
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it is over
        return 0
    return 1024 * sum(int(line.split()[1]) for line in told.splitlines() if "Anonymous:" in line)
