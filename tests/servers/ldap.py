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
from typing import Any

from tests.servers.certificates import Authority
from tests.servers.system import free_port, until

SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
ADMIN = f"cn=operator,{SUFFIX}"
PASSWORD = "operators-password"

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRON = {**os.environ, "LDAPNOINIT": "1"}  # nothing of what this machine's clients are told
_PROGRAMS = ("slapd", "slapadd", "ldapadd", "ldapsearch", "ldapwhoami")
_SCHEMAS = [
    Path(f"/etc/ldap/schema/{name}.ldif") for name in ("core", "cosine", "nis", "inetorgperson")
]

Row = dict[str, list[bytes]]
"""An entry that was found: its `dn`, and the values of each attribute."""


def missing() -> str | None:
    """Why there can be no slapd here, or None."""
    if all(shutil.which(one, path=PATH) for one in _PROGRAMS) and _SCHEMAS[0].exists():
        return None
    return "there is no slapd; on Debian: RUNLEVEL=1 apt-get install slapd ldap-utils"


class Slapd:
    """url: where it listens; secure_url: over TLS, if it has a certificate of `authority`. The
    entries SUFFIX, PEOPLE, GROUPS and its group `staff` are there from the start; ADMIN may do
    everything. Ended by pid. modules, rights, more: lines of its
    configuration."""

    def __init__(
        self,
        folder: Path,
        *,
        authority: Authority | None = None,
        modules: str = "",
        rights: str = "",
        more: str = "",
    ) -> None:
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}/"
        self.secure_url = f"ldaps://localhost:{free_port()}/" if authority else ""
        self._certificates = authority.issue("slapd", "localhost") if authority else ()
        self._folder = folder
        self._modules, self._rights, self._more = modules, rights, more
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def settings(self, **more: Any) -> dict[str, Any]:
        """Of a directory of this server."""
        path = self._folder / "operator"
        path.write_text(f"{PASSWORD}\n")
        usual = {"url": self.url, "bind_dn": ADMIN, "password_file": str(path), "base": PEOPLE}
        return {**usual, "profile": "openldap", "groups": GROUPS, **more}

    async def begin(self) -> None:
        for name in ("config", "data"):
            (self._folder / name).mkdir()
        await _run("slapadd", "-n", "0", "-F", self._folder / "config", said=self._configuration())
        await self.start()
        await fill(self.url, ADMIN)

    async def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                _program("slapd"), "-h", f"{self.url} {self.secure_url}",
                "-F", self._folder / "config", "-d", "0",
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
        return await _add(self.url, ADMIN, dn, objectClass, **attributes)

    async def search(self, filter_: str, *attributes: str, base: str = SUFFIX) -> list[Row]:
        """Of the entries right under the base. Raises where the filter is refused."""
        code, found = await _run(
            "ldapsearch", *_access(self.url, ADMIN), "-LLL", "-o", "ldif-wrap=no",
            "-b", base, "-s", "one",
            filter_, *attributes, said="", check=False,
        )  # fmt: skip
        assert code == 0, f"{filter_[:200]} was refused: {code}"
        return [_row(block) for block in found.strip().split("\n\n") if block]

    async def rename(self, dn: str, to: str) -> int:
        """to: the first part of its DN."""
        arguments = ("-r", dn, to)
        code, _ = await _run(
            "ldapmodrdn", *_access(self.url, ADMIN), *arguments, said="", check=False
        )
        return code

    async def modify(self, ldif: str) -> None:
        """By a change as LDIF has it."""
        await _run("ldapmodify", *_access(self.url, ADMIN), said=ldif)

    async def signs_in(self, dn: str, password: str) -> bool:
        """Whether who is there under this DN can bind with the password."""
        path = self._folder / "password"
        path.write_text(password)
        access = ("-x", "-H", self.url, "-D", dn, "-y", path)
        code, _ = await _run("ldapwhoami", *access, said="", check=False)
        assert code in (0, 49), f"{dn} could not be tried: {code}"
        return code == 0

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
{self._tls()}
dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
{self._modules}

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
olcDbMaxSize: 536870912
{self._rights}
{self._more}
"""

    def _tls(self) -> str:
        if not self._certificates:
            return ""
        certificate, key = self._certificates
        return f"olcTLSCertificateFile: {certificate}\nolcTLSCertificateKeyFile: {key}\n"


@asynccontextmanager
async def slapd(folder: Path, **more: Any) -> AsyncIterator[Slapd]:
    """more: as Slapd takes it."""
    made = Slapd(folder, **more)
    try:
        await made.begin()
        yield made
    finally:
        await made.stop()


async def fill(url: str, admin: str) -> None:
    """What is there from the start."""
    unit = "organizationalUnit"
    for code in (
        await _add(url, admin, SUFFIX, "dcObject organization", dc="example", o="x"),
        await _add(url, admin, PEOPLE, unit, ou="people"),
        await _add(url, admin, GROUPS, unit, ou="groups"),
        await _add(url, admin, f"cn=staff,{GROUPS}", "groupOfNames", cn="staff", member=SUFFIX),
    ):
        assert code == 0, f"what is there from the start could not be added: {code}"


async def _add(url: str, admin: str, dn: str, classes: str, **attributes: str | bytes) -> int:
    lines = [_line("dn", dn), *(_line("objectClass", one) for one in classes.split())]
    lines += [_line(name, value) for name, value in attributes.items()]
    said = "\n".join(lines) + "\n"
    code, _ = await _run("ldapadd", *_access(url, admin), said=said, check=False)
    return code


def _access(url: str, admin: str) -> tuple[str, ...]:
    return ("-x", "-H", url, "-D", admin, "-w", PASSWORD)


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
    return shutil.which(name, path=PATH) or name


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
