"""Samba as a domain controller, a real process: a domain of its own, made once and copied.

Its ports are fixed, so that each one has a loopback address of its own, and a relay before it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import subprocess
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers.certificates import Authority
from tests.servers.installed import TOOLS
from tests.servers.proxy import Proxy
from tests.servers.system import until

SUFFIX = "DC=botrix,DC=test"
USERS = f"CN=Users,{SUFFIX}"
ADMIN = "Administrator@BOTRIX.TEST"
PASSWORD = "Operators-passw0rd"


def missing() -> str | None:
    """Why there can be no Samba here, or None."""
    if os.getuid() != 0:
        return "a domain controller must run as root"
    if shutil.which("samba") and shutil.which("samba-tool"):
        return None
    return (
        "there is no samba; on Debian: RUNLEVEL=1 apt-get install --no-install-recommends"
        " samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind"
    )


@cache
def _domain() -> Path:
    """A domain as it is provisioned."""
    version = subprocess.run(["samba", "--version"], check=True, capture_output=True, text=True)
    made = TOOLS / f"samba-{version.stdout.split()[1]}"
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "samba.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "ready").exists():
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run(
                ["samba-tool", "domain", "provision", "--realm=BOTRIX.TEST", "--domain=BOTRIX",
                 f"--adminpass={PASSWORD}", "--server-role=dc", "--dns-backend=NONE",
                 "--host-name=dc", "--host-ip=127.0.0.1", f"--targetdir={made}",
                 "--option=interfaces=lo", "--option=bind interfaces only=yes",
                 "--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb"],
                check=True, capture_output=True, timeout=300,
            )  # fmt: skip
            (made / "ready").touch()
    return made


class Samba:
    """url: where its relay listens, over TLS. Ended by pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = f"127.{random.randrange(2, 250)}.{random.randrange(256)}.1"
        self._relay = Proxy(636, host=self._address)
        self._authority = Authority(folder)
        self._process: Process | None = None

    def settings(self, **more: Any) -> dict[str, Any]:
        """Of a directory of this server."""
        path = self._folder / "operator"
        path.write_text(f"{PASSWORD}\n")
        return {
            "url": f"ldaps://localhost:{self._relay.port}", "ca_file": str(self._authority.file),
            "profile": "samba", "bind_dn": ADMIN, "password_file": str(path), "base": USERS,
            "groups": USERS, **more,
        }  # fmt: skip

    async def begin(self) -> None:
        domain = await asyncio.to_thread(_domain)
        await asyncio.to_thread(shutil.copytree, domain, self._folder / "dc", symlinks=True)
        certificate, key = self._authority.issue("dc", "localhost")
        configuration = self._folder / "smb.conf"
        configuration.write_text(self._configuration(certificate, key))
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "samba", "--interactive", "--model=single", "--no-process-group", "-s",
                configuration, stdin=DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        await until(self._answers, 30, f"samba answers at {self._address}")
        await self._relay.start()
        made = await asyncio.create_subprocess_exec(
            "samba-tool", "group", "add", "staff", "-H", self._folder / "dc/private/sam.ldb",
            "-s", configuration, stdout=DEVNULL, stderr=DEVNULL,
        )  # fmt: skip
        assert await made.wait() == 0

    async def stop(self) -> None:
        if self._relay.port:
            await self._relay.stop()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "log").read_text()
        try:
            _, writer = await asyncio.open_connection(self._address, 636)
        except OSError:
            return False
        writer.close()
        return True

    def _configuration(self, certificate: Path, key: Path) -> str:
        here = self._folder / "dc"
        return f"""\
[global]
netbios name = DC
workgroup = BOTRIX
realm = BOTRIX.TEST
server role = active directory domain controller
server services = ldap
bind interfaces only = yes
interfaces = {self._address}/8
lock directory = {here}
pid directory = {here}
private dir = {here}/private
state directory = {here}/state
cache directory = {here}/cache
ncalrpc dir = {here}/ncalrpc
ntp signd socket directory = {here}/ntp
winbindd socket directory = {here}/winbindd
log file = {here}/log.%m
tls enabled = yes
tls certfile = {certificate}
tls keyfile = {key}
tls cafile = {self._authority.file}
"""


@asynccontextmanager
async def samba(folder: Path) -> AsyncIterator[Samba]:
    made = Samba(folder)
    try:
        await made.begin()
        yield made
    finally:
        await made.stop()
