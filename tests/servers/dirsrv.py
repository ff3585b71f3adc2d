"""389 Directory Server as a real process: an instance of its own on a free loopback port.

Made from the template that comes with it; `dscreate` would write beside the machine's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from botrix.creators.ldap.hashing import hasher
from tests.servers import ldap
from tests.servers.ldap import GROUPS, PEOPLE, SUFFIX
from tests.servers.system import free_port, until

ADMIN = "cn=Directory Manager"
PASSWORD = ldap.PASSWORD

_TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
_FILES = {"config": ("certmap.conf", "slapd-collations.conf"), "schema": ("99user.ldif",)}
_FOLDERS = ("config", "config/schema", "db", "bak", "ldif", "lock", "log", "run", "inst", "tmp")
_BACKEND = f"""
dn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userRoot
nsslapd-suffix: {SUFFIX}

dn: cn="{SUFFIX}",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: {SUFFIX}
nsslapd-state: backend
nsslapd-backend: userRoot

"""


def missing() -> str | None:
    """Why there can be no 389 Directory Server here, or None."""
    if os.getuid() != 0:
        return "it is started as root"
    if shutil.which("ns-slapd", path=ldap.PATH) and _TEMPLATE.exists():
        return ldap.missing()  # its tools add what is there from the start
    return "there is no 389 Directory Server; on Debian: RUNLEVEL=1 apt-get install 389-ds-base"


class DirectoryServer:
    """url: where it listens. What is there from the start is as with slapd. Ended by pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"ldap://127.0.0.1:{self._port}/"
        self._pid_file = folder / "run" / "pid"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Of a directory of this server."""
        path = self._folder / "operator"
        path.write_text(f"{PASSWORD}\n")
        usual = {"url": self.url, "bind_dn": ADMIN, "password_file": str(path), "base": PEOPLE}
        return {**usual, "profile": "389ds", "groups": GROUPS, **more}

    async def begin(self) -> None:
        for name in _FOLDERS:
            (self._folder / name).mkdir()
        for kind, files in _FILES.items():
            into = self._folder / ("config" if kind == "config" else "config/schema")
            for file in files:
                shutil.copy(Path("/etc/dirsrv") / kind / file, into)
        (self._folder / "config" / "dse.ldif").write_text(self._configuration())
        with (self._folder / "out").open("ab") as out:
            started = await asyncio.create_subprocess_exec(
                shutil.which("ns-slapd", path=ldap.PATH) or "ns-slapd",
                "-D", self._folder / "config", "-i", self._pid_file,
                stdin=DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        assert await started.wait() == 0, (self._folder / "out").read_text()
        await until(self._answers, 30, f"389 Directory Server answers at {self.url}")
        await ldap.fill(self.url, ADMIN)

    async def stop(self) -> None:
        if self._pid_file.exists():
            pid = int(self._pid_file.read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

            async def ended() -> bool:
                return not psutil.pid_exists(pid)

            await until(ended, 20, "389 Directory Server has ended")

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return self._pid_file.exists()

    def _configuration(self) -> str:
        folders = {f"{name}_dir": self._folder / name for name in _FOLDERS}
        values = {
            **folders, "cert_dir": folders["config_dir"], "db_home_dir": folders["db_dir"],
            "schema_dir": self._folder / "config/schema", "fqdn": "localhost", "db_lib": "bdb",
            "ds_port": self._port, "ds_user": "root", "rootdn": ADMIN, "ds_suffix": SUFFIX,
            "ds_passwd": hasher("ssha512")(PASSWORD).decode(), "ldapi_enabled": "off",
            "ldapi_autobind": "off", "ldapi": self._folder / "run/ldapi",
        }  # fmt: skip
        text = re.sub(r"%(\w+)%", lambda found: str(values[found[1]]), _TEMPLATE.read_text())
        here = "nsslapd-listenhost: 127.0.0.1\nnsslapd-localuser:"
        return text.replace("nsslapd-localuser:", here, 1).rstrip() + "\n" + _BACKEND


@asynccontextmanager
async def directory_server(folder: Path) -> AsyncIterator[DirectoryServer]:
    made = DirectoryServer(folder)
    try:
        await made.begin()
        yield made
    finally:
        await made.stop()
