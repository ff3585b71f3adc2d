"""A host that was booted for a test: systemd as process 1 of a container, without a network."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.servers.system import until

_RIGHTS = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "SYS_NICE")  # of a host's own root
_BOOT = """
for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do
  if mountpoint -q "$mount"; then mount -o remount,bind,rw "$mount"; fi
done
mount --make-rshared /
exec /lib/systemd/systemd
"""
"""Control groups of its own (`--cgroupns private`) are made writable; those of this machine are not
seen, nor is its /proc/sys written. Mounts are shared, as systemd expects of who runs it."""


class Machine:
    """`image` is a stand-in for a host; see standin.py."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._name = f"botrix-test-{os.getpid()}"

    async def boot(self) -> None:
        rights = [f"--cap-add={right}" for right in _RIGHTS]
        unconfined = [f"--security-opt={what}=unconfined" for what in ("seccomp", "apparmor")]
        folders = [f"--tmpfs={path}" for path in ("/run", "/run/lock", "/tmp")]
        await _docker("run", "--detach", f"--name={self._name}", "--network=none",
                      "--cgroupns=private", "--env=container=docker",
                      *rights, *unconfined, *folders,
                      self._image, "/bin/sh", "-c", _BOOT)  # fmt: skip

        async def up() -> bool:
            said = await self.run("systemctl is-system-running || true")
            return said.strip() in ("running", "degraded")

        await until(up, 60, "the machine is up")

    async def remove(self) -> None:
        await _docker("rm", "--force", "--volumes", self._name)

    async def run(self, script: str, *, within: float = 90.0) -> str:
        """By bash, as root, in /root/botrix; its output. Raises AssertionError where it fails."""
        command = ("exec", self._name, "bash", "-euc", f"mkdir -p /root/botrix; cd $_\n{script}")
        return await asyncio.wait_for(_docker(*command), within)

    async def bring(self, source: Path, target: str) -> None:
        await self.run(f"mkdir -p {Path(target).parent}")
        await _docker("cp", "--quiet", str(source), f"{self._name}:{target}")

    async def write(self, target: str, text: str) -> None:
        await self.run(f"mkdir -p {Path(target).parent}; cat > {target} <<'END'\n{text}\nEND")

    async def show(self, unit: str, name: str) -> str:
        return (await self.run(f"systemctl show -P {name} {unit}")).strip()

    async def comes_to(self, unit: str, name: str, value: str, within: float = 40.0) -> None:
        async def there() -> bool:
            return value in await self.show(unit, name)

        await until(there, within, f"{name} of {unit} is {value}")

    async def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The entries, oldest first."""
        text = await self.run(f"journalctl --no-pager -o json {' '.join(matches)}")
        return [json.loads(line) for line in text.splitlines()]

    async def rows(self, sql: str) -> list[list[Any]]:
        """Of the SQLite ledger."""
        program = (
            "import json, sqlite3;"
            "db = sqlite3.connect('/var/lib/botrix/ledger.sqlite', timeout=10);"
            f"print(json.dumps(db.execute({sql!r}).fetchall()))"
        )
        await self.write("/root/rows.py", program)
        found: list[list[Any]] = json.loads(await self.run("python3 /root/rows.py"))
        return found


async def _docker(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "docker", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = (text.decode(errors="replace") for text in await process.communicate())
    assert process.returncode == 0, f"{arguments[-1]}: {said}{complaint}"
    return said
