"""OpenLDAP as a real process: a directory of its own on a free loopback port."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.system import free_port, until

SUFFIX = "dc=example,dc=org"
ADMIN = f"cn=operator,{SUFFIX}"
PASSWORD = "operators-password"

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRON = {**os.environ, "LDAPNOINIT": "1"}  # nothing of what this machine's clients are told
_PROGRAMS = ("slapd", "slapadd", "ldapadd", "ldapsearch")
_SCHEMAS = [Path(f"/etc/ldap/schema/{name}.ldif") for name in ("core", "cosine", "inetorgperson")]

Row = dict[str, list[bytes]]
"""An entry that was found: its `dn`, and the values of each attribute."""


def missing() -> str | None:
    """Why there can be no slapd here, or None."""
    if all(shutil.which(one, path=_PATH) for one in _PROGRAMS) and _SCHEMAS[0].exists():
        return None
    return "there is no slapd; on Debian: RUNLEVEL=1 apt-get install slapd ldap-utils"


class Slapd:
    """url: where it listens. The entry SUFFIX is there from the start; ADMIN may do everything.
    Ended by pid."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}/"
        self._folder = folder
        self._process: Process | None = None

    async def begin(self) -> None:
        for name in ("config", "data"):
            (self._folder / name).mkdir()
        await _run("slapadd", "-n", "0", "-F", self._folder / "config", said=self._configuration())
        await self.start()
        code = await self.add(SUFFIX, objectClass="dcObject organization", dc="example", o="x")
        assert code == 0, f"{SUFFIX} could not be added: {code}"

    async def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                _program("slapd"), "-h", self.url, "-F", self._folder / "config", "-d", "0",
                stdin=DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        await until(self._answers, 20, f"slapd answers at {self.url}")

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def add(self, dn: str, *, objectClass: str, **attributes: str | bytes) -> int:  # noqa: N803
        """The result code of LDAP (RFC 4511, 4.1.9), or one above 200 of ldapadd itself.
        objectClass: names with spaces between."""
        lines = [_line("dn", dn), *(_line("objectClass", one) for one in objectClass.split())]
        lines += [_line(name, value) for name, value in attributes.items()]
        code, _ = await self._client("ldapadd", said="\n".join(lines) + "\n")
        return code

    async def search(self, filter_: str, *attributes: str) -> list[Row]:
        """Of the entries right under SUFFIX. Raises where the filter is refused."""
        code, found = await self._client(
            "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX, "-s", "one",
            filter_, *attributes,
        )  # fmt: skip
        assert code == 0, f"{filter_[:200]} was refused: {code}"
        return [_row(block) for block in found.strip().split("\n\n") if block]

    async def _client(self, program: str, *arguments: str, said: str = "") -> tuple[int, str]:
        access = ("-x", "-H", self.url, "-D", ADMIN, "-w", PASSWORD)
        return await _run(program, *access, *arguments, said=said, check=False)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def _configuration(self) -> str:
        """The schema of Debian; what is written need not outlive the machine."""
        includes = "\n".join(f"include: file://{path}\n" for path in _SCHEMAS)
        return f"""\
dn: cn=config
objectClass: olcGlobal
cn: config

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

{includes}
dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: {SUFFIX}
olcRootDN: {ADMIN}
olcRootPW: {PASSWORD}
olcDbDirectory: {self._folder / "data"}
olcDbIndex: objectClass,uid eq
olcDbNoSync: TRUE
"""


@asynccontextmanager
async def slapd(folder: Path) -> AsyncIterator[Slapd]:
    made = Slapd(folder)
    try:
        await made.begin()
        yield made
    finally:
        await made.stop()


def _line(name: str, value: str | bytes) -> str:
    """Of LDIF (RFC 2849); base64 holds whatever is said."""
    octets = value.encode() if isinstance(value, str) else value
    return f"{name}:: {b64encode(octets).decode()}"


def _row(block: str) -> Row:
    row: Row = {}
    for line in block.splitlines():
        name, _, value = line.partition(":")
        read = b64decode(value[1:]) if value.startswith(":") else value.lstrip(" ").encode()
        row.setdefault(name, []).append(read)
    return row


def _program(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


async def _run(
    program: str, *arguments: str | Path, said: str, check: bool = True
) -> tuple[int, str]:
    """Its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        _program(program), *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRON
    )
    printed, complained = await process.communicate(said.encode())
    assert process.returncode is not None
    assert not check or process.returncode == 0, complained.decode()
    return process.returncode, printed.decode()
