"""Completion by the shells themselves, as somebody would press Tab."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from botrix.cli import _COMMANDS, _HELP
from tests.cli.screen import PROGRAMS, Screen
from tests.guides import ROOT
from tests.servers.system import System, until

_SHELLS = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config",),
}
_FIRST = {
    "bash": "PS1='$ '; bind 'set bell-style none'; eval \"$(botrix completion bash)\"; clear",
    "zsh": "PS1='$ '; unsetopt beep; autoload -U compinit; compinit -u -D;"
    ' eval "$(botrix completion zsh)"; clear',
    "fish": "function fish_prompt; echo '$ '; end; botrix completion fish | source; clear",
}


class _Shell:
    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name

    async def open(self, url: str) -> None:
        where = shutil.which(self._name)
        if where is None:
            pytest.skip(f"{self._name} is not installed: ITS COMPLETION WAS NOT TRIED")
        await self._screen.open(where, *_SHELLS[self._name], url=url, width=100)
        await self._screen.type(_FIRST[self._name], "Enter")
        await self._is_empty()

    async def tab(self, typed: str, *wanted: str) -> None:
        """Types it and Tab, until that stands there; then empties the line."""
        await self._screen.type("-l", typed)
        several = len(wanted) > 1 and self._name != "fish"
        await self._screen.type("Tab", *(["Tab"] if several else []))
        await self._screen.shows(*wanted)
        await self._screen.type("C-u")
        await self._screen.type("clear", "Enter")
        await self._is_empty()

    async def _is_empty(self) -> None:
        async def empty() -> bool:
            return (await self._screen.text()).strip() == "$"

        try:
            await until(empty, 20, "an empty line")
        except AssertionError:
            print(await self._screen.text())
            raise


@pytest.mark.parametrize(
    "shell",
    [pytest.param(name, marks=pytest.mark.suite(f"Tab-{name}")) for name in _SHELLS],
)
async def test_a_shell_completes(slow: System, screen: Screen, shell: str) -> None:
    job = await slow.generate(3, directory="slow")
    plan = await slow.generate(3, directory="slow", dry_run=True)
    typing = _Shell(screen, shell)
    await typing.open(slow.url)
    await typing.tab("botrix gen", "botrix generate")
    await typing.tab("botrix re", "resume", "release", "retry", "reveal", "reset", "reconcile")
    await typing.tab("botrix generate --cou", "--count")
    await typing.tab("botrix generate --priority no", "--priority normal")
    await typing.tab("botrix generate --directory sl", "--directory slow")
    await typing.tab("botrix jobs --status cancell", "cancelling", "cancelled")
    alike = os.path.commonprefix([job, plan])  # noqa: RUF071  of ids, which begin with the time
    await typing.tab(f"botrix explain {alike}", job[-8:], plan[-8:])
    await typing.tab(f"botrix watch {job[:-4]}", f"botrix watch {job}")
    await typing.tab("botrix directory ", "add", "pause", "kinds")


def _offered(typed: str, url: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [str(PROGRAMS / "botrix")], capture_output=True, text=True, check=False, timeout=20,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "BOTRIX_URL": url, "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split(" ")) - 1), "_BOTRIX_COMPLETE": "bash_complete",
            **environ,
        },
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


async def test_ids_are_of_jobs_for_which_the_command_is(slow: System) -> None:
    jobs = [await slow.generate(3), await slow.generate(3)]
    await slow.post(f"/api/jobs/{jobs[0]}/pause", {}, 200)
    assert _offered("botrix resume ", slow.url) == [jobs[0]]
    assert _offered("botrix approve ", slow.url) == []
    assert sorted(_offered("botrix cancel ", slow.url)) == sorted(jobs)
    assert _offered("botrix cancel --url " + slow.url + " ", "http://127.0.0.1:9") != []
    assert _offered("botrix directory show s", slow.url) == ["slow"]


@pytest.mark.parametrize("kind", ["refused", "silent", "no address"])
def test_an_api_that_does_not_answer_costs_a_moment_and_says_nothing(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # never accepts
        silent = f"http://127.0.0.1:{listening.getsockname()[1]}"
        url = {"refused": "http://127.0.0.1:9", "silent": silent, "no address": "http://["}[kind]
        began = time.monotonic()
        assert _offered("botrix jobs ", url) == []
        assert time.monotonic() - began < 3, "0.3 s of it for the API, the rest on a busy machine"


def test_an_answer_that_drips_costs_a_moment_too() -> None:
    """Each byte of it comes in time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                while not ended.wait(0.1):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        assert _offered("botrix jobs ", f"http://127.0.0.1:{listening.getsockname()[1]}") == []
        took = time.monotonic() - began
        ended.set()
        thread.join()
    assert took < 3


async def test_a_wrong_key_is_no_message(slow: System, tmp_path: Path) -> None:
    assert _offered("botrix jobs ", slow.url, BOTRIX_API_KEY_FILE=str(tmp_path / "none")) == []


def test_names_that_a_shell_would_read_are_not_offered() -> None:
    from botrix.cli.offered import _items

    names = ["good-1.x", "-x", "$(reboot)", "a b", "a\nb", "x,y", "'", "*", "-", ""]
    assert [item.value for item in _items(((name, "\x1b[31m") for name in names), "")] == [
        "good-1.x"
    ]


def test_all_commands_are_offered_without_importing_them() -> None:
    look = (
        "import sys; from botrix.cli import main; import click\n"
        "found = main.shell_complete(click.Context(main), '')\n"
        "assert not [m for m in sys.modules if m.startswith('botrix.cli.')]\n"
        "print(*(item.value for item in found))"
    )
    said = subprocess.run((sys.executable, "-c", look), capture_output=True, text=True, check=True)
    assert said.stdout.split() == list(_HELP)
    assert set(_HELP) == set(_COMMANDS)


@pytest.mark.parametrize("library", ["rich", "http.client", "sqlalchemy", "msgspec"])
def test_help_loads_no_library(library: str) -> None:
    look = (
        "import sys; from botrix.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: sys.exit({library!r} in sys.modules)"
    )
    done = subprocess.run((sys.executable, "-c", look), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
