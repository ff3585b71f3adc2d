"""The units on a systemd that was booted for it, after the commands of deployment/systemd.md.

Slow the first time, when the stand-in for a host is made: `pytest -m deploy tests/deployment`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.deployment import standin
from tests.deployment.machine import Machine
from tests.servers.system import until

_ROOT = Path(__file__).parents[2]
_GUIDE = _ROOT / "deployment" / "systemd.md"
_DROP_IN = "/etc/systemd/system/botrix-worker@.service.d/test.conf"
_QUICK = "[Service]\nTimeoutStartSec=20\nWatchdogSec=5\n"
_FAST = "BOTRIX_LEASE=5\nBOTRIX_BEAT=1\nBOTRIX_GRACE=4\n"
_WORKERS = "botrix-worker@{1..3}"

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.suite("Booted"),
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]


def _commands(heading: str) -> list[str]:
    """Of one section of the guide: its blocks for a shell."""
    section = _GUIDE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(docker: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """Installed as the guide says, nothing started."""
    why = standin.missing()
    if why:
        pytest.skip(f"NOT CHECKED: the units on a booted systemd; {why}")
    dist = tmp_path_factory.mktemp("dist")
    await asyncio.to_thread(standin.wheel, dist)
    machine = Machine(await asyncio.to_thread(standin.image))
    try:
        await machine.boot()
        await machine.bring(dist, "/root/botrix/dist")
        await machine.bring(standin.LOCK, "/root/botrix/backend/runtime.lock")
        await machine.bring(_ROOT / "deployment", "/root/botrix/deployment")
        for block in _commands("Install"):
            await machine.run(block, within=300)
        yield machine
    finally:
        await machine.remove()


@pytest_asyncio.fixture(loop_scope="module")
async def machine(host: Machine) -> AsyncIterator[Machine]:
    """Short times, for the tests' sake; each test begins with everything stopped."""
    await host.write(_DROP_IN, _QUICK)
    await host.run(
        "install -m 0640 -g botrix deployment/worker.env.example /etc/botrix/worker.env;"
        f"echo '{_FAST}' >> /etc/botrix/worker.env; systemctl daemon-reload"
    )
    yield host
    await host.run("systemctl stop 'botrix-*'; systemctl reset-failed 'botrix-*' || true")


async def test_the_guide_installs_and_starts_it(host: Machine) -> None:
    """As it stands there, with no change of any setting."""
    (start, inside) = _commands("Start")
    said = await host.run(start)
    assert "5 created" in said or "created" in said, said
    assert await host.run(f"systemctl is-active botrix-api {_WORKERS}") == "active\n" * 4
    assert "local" in await host.run(inside)
    for heading in ("Logs", "Watched", "Upgrade", "Stop"):
        for block in _commands(heading):
            await host.run(block, within=200)
    assert await host.show("botrix-worker@1", "ActiveState") == "inactive"


async def test_a_worker_is_active_only_once_it_has_a_session(machine: Machine) -> None:
    """The ledger is not there for longer than a start may take: it is waited for."""
    await machine.run("systemctl start botrix-migrate; mv /var/lib/botrix/ledger.sqlite /root/")
    try:
        await machine.run("systemctl start --no-block botrix-worker@1")
        await machine.comes_to("botrix-worker@1", "StatusText", "waiting for the ledger")
        await asyncio.sleep(25)
        assert await machine.show("botrix-worker@1", "ActiveState") == "activating"
        assert await machine.show("botrix-worker@1", "NRestarts") == "0"
    finally:
        await machine.run("mv /root/ledger.sqlite /var/lib/botrix/")
    await machine.comes_to("botrix-worker@1", "ActiveState", "active")
    assert "worker-1: session s" in await machine.show("botrix-worker@1", "StatusText")


async def test_a_killed_worker_is_started_again_and_its_job_ends(machine: Machine) -> None:
    await machine.run(f"systemctl start botrix-api {_WORKERS}")
    slow = "directory add slow --kind simulated --set delay=1 --set batch=20"
    await machine.run(_as_botrix(slow))
    job = await _ask(machine, "--count 600 --directory slow")
    unit = await _busy(machine, job)
    await machine.run(f"systemctl kill -s KILL {unit}")
    await machine.comes_to(unit, "NRestarts", "1")
    await machine.comes_to(unit, "ActiveState", "active")
    await _ends(machine, job, 600)
    lost = f"SELECT count(*) FROM accounts WHERE job_id = '{job}' AND crashes > 0"
    assert (await machine.rows(lost))[0][0] > 0


@pytest.mark.parametrize("unit", ["botrix-worker@1", "botrix-api"])
async def test_a_process_that_stands_still_is_ended_and_started_again(
    machine: Machine, unit: str
) -> None:
    await machine.write("/etc/systemd/system/botrix-api.service.d/test.conf", _QUICK)
    await machine.run(f"systemctl daemon-reload; systemctl start {unit}")
    before = await machine.show(unit, "MainPID")
    await machine.run(f"systemctl kill -s STOP {unit}")
    await _watchdog_bites(machine, unit, before)


async def test_an_event_loop_that_hangs_is_ended_and_tells_where(machine: Machine) -> None:
    """A signal handler that sleeps holds the loop; the process itself runs on."""
    program = (
        "import signal, time; from botrix.cli import main;"
        " signal.signal(signal.SIGUSR1, lambda *_: time.sleep(600));"
        " main(['worker', '--worker-id', 'worker-9'])"
    )
    await machine.write(
        "/etc/systemd/system/botrix-worker@9.service.d/hangs.conf",
        f'[Service]\nExecStart=\nExecStart=/opt/botrix/bin/python -c "{program}"\n',
    )
    await machine.run("systemctl daemon-reload; systemctl start botrix-worker@9")
    before = await machine.show("botrix-worker@9", "MainPID")
    await machine.run("systemctl kill -s USR1 botrix-worker@9")
    await _watchdog_bites(machine, "botrix-worker@9", before)
    said = str([e["MESSAGE"] for e in await machine.journal("-u botrix-worker@9")])
    assert "Fatal Python error: Aborted" in said
    assert "<lambda>" in said


async def test_a_stop_hands_back_what_is_under_way(machine: Machine) -> None:
    await machine.run(f"systemctl start botrix-api {_WORKERS}")
    await machine.run(_as_botrix("directory add stuck --kind simulated --set delay=300"))
    job = await _ask(machine, "--count 40 --directory stuck")
    await _busy(machine, job)
    await machine.run("systemctl stop 'botrix-worker@*'")
    for n in (1, 2, 3):
        unit = f"botrix-worker@{n}"
        ended = [await machine.show(unit, name) for name in ("Result", "ExecMainStatus")]
        assert ended == ["success", "0"], unit
    assert await machine.rows("SELECT count(*) FROM sessions WHERE status = 'live'") == [[0]]
    left = await machine.rows(
        "SELECT status, max(tries), max(crashes) FROM accounts"
        f" WHERE job_id = '{job}' GROUP BY status"
    )
    assert {row[0] for row in left} <= {"planned", "unsure"}
    assert all(row[1:] == [0, 0] for row in left), left


async def test_the_journal_has_the_fields(machine: Machine) -> None:
    await machine.run("systemctl start botrix-worker@1; systemctl stop botrix-worker@1")
    entries = await machine.journal("BOTRIX_WORKER=worker-1", "-u botrix-worker@1")
    said = [entry["MESSAGE"] for entry in entries]
    assert said[-2:] == ["session started", "worker ended"]
    started = entries[-2]
    assert re.fullmatch("s[0-9a-f]{16}", started["BOTRIX_SESSION"])
    assert started["PRIORITY"] == "6"
    assert started["BOTRIX_LOGGER"] == "botrix.worker.session"
    assert started["_TRANSPORT"] == "journal"


async def test_secrets_may_come_as_credentials(machine: Machine) -> None:
    folder = "/etc/systemd/system/botrix-worker@.service.d"
    await machine.run(
        "systemctl start botrix-migrate; sed -i '/^REDIS_URL=\\|^BOTRIX_LEDGER_URL=/d'"
        " /etc/botrix/worker.env; echo redis://127.0.0.1:6379/0 > /etc/botrix/redis_url;"
        "echo sqlite:////var/lib/botrix/ledger.sqlite > /etc/botrix/ledger_url;"
        "chmod 0400 /etc/botrix/*_url;"
        "cp deployment/botrix-worker@.service.d/credentials.conf.example"
        f" {folder}/credentials.conf; systemctl daemon-reload"
    )
    try:
        await machine.run("systemctl start botrix-worker@1")
        text = await machine.run("tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID"
                                 " botrix-worker@1)/environ")  # fmt: skip
        assert "REDIS_URL_FILE=/run/credentials/botrix-worker@1.service/redis_url" in text
        assert "redis://" not in text
    finally:
        await machine.run(f"rm {folder}/credentials.conf; systemctl daemon-reload")


async def test_what_a_process_of_the_unit_is_refused(machine: Machine) -> None:
    """The worker's own unit, with the probe in place of a worker."""
    await machine.bring(Path(__file__).with_name("probe.py"), "/opt/probe.py")
    unit = "/etc/systemd/system/botrix-probe.service"
    await machine.run(
        f"sed 's|^ExecStart=.*|ExecStart=/opt/botrix/bin/python /opt/probe.py|;"
        f" s|^Type=.*|Type=oneshot|; /^Restart=/d; /^WatchdogSec/d'"
        f" deployment/botrix-worker@.service > {unit}; touch /tmp/of-others;"
        "systemctl daemon-reload; systemctl start botrix-probe"
    )
    (said,) = [e["MESSAGE"] for e in await machine.journal("-u botrix-probe", "_COMM=python")]
    assert json.loads(said) == _REFUSED


async def test_memory_processor_and_processes_are_limited(machine: Machine) -> None:
    await machine.run("systemctl start botrix-worker@1")
    group = await machine.show("botrix-worker@1", "ControlGroup")
    files = {
        "memory.limit_in_bytes": ("memory", "memory.max", 512 * 1024 * 1024),
        "pids.max": ("pids", "pids.max", 128),
    }
    for first, (controller, second, expected) in files.items():
        said = await machine.run(
            f"cat '/sys/fs/cgroup/{controller}{group}/{first}' 2>/dev/null"
            f" || cat '/sys/fs/cgroup{group}/{second}'"
        )
        assert int(said) == expected, first
    said = await machine.run(
        f"cd '/sys/fs/cgroup/cpu{group}' 2>/dev/null && cat cpu.cfs_quota_us cpu.cfs_period_us"
        f" || cat '/sys/fs/cgroup{group}/cpu.max'"
    )
    quota, period = said.split()
    assert int(quota) == 2 * int(period)


_REFUSED = {
    "write to the state": "done",
    "write to a temporary folder": "done",
    "write to /etc": "EROFS",
    "write to /opt/botrix": "EROFS",
    "see a temporary file of others": "ENOENT",
    "look into /home": "EACCES",
    "see process 1": "ENOENT",
    "see the kernel's settings": "ENOENT",
    "see a disk": "ENOENT",
    "write code and run it": "EPERM",
    "make a setuid file": "EPERM",
    "make a namespace": "EPERM",
    "run in real time": "EPERM",
    "raise its priority": "EPERM",
    "change its personality": "EPERM",
    "name the host": "EPERM",
    "open an internet socket": "done",
    "open a netlink socket": "EAFNOSUPPORT",
    "mount": "EPERM",
    "trace": "EPERM",
    "CapPrm": "0",
    "CapBnd": "0",
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "core": "0",
    "own users": "2",
}


def _as_botrix(command: str) -> str:
    settings = "set -a; . /etc/botrix/worker.env"
    return f"runuser -u botrix -- sh -c '{settings}; /opt/botrix/bin/botrix {command}'"


async def _ask(machine: Machine, options: str) -> str:
    said = await machine.run(f"/opt/botrix/bin/botrix generate {options} --json")
    return str(json.loads(said)["id"])


async def _busy(machine: Machine, job: str) -> str:
    """The unit of a worker that works at it, once there is one."""
    found: list[str] = []

    async def leased() -> bool:
        rows = await machine.rows(
            "SELECT worker_id FROM accounts JOIN sessions ON sessions.id = session_id"
            f" WHERE job_id = '{job}' AND accounts.status = 'leased' LIMIT 1"
        )
        found.extend(row[0].replace("worker-", "botrix-worker@") for row in rows)
        return bool(found)

    await until(leased, 30, f"somebody works at {job}")
    return found[0]


async def _ends(machine: Machine, job: str, count: int) -> None:
    async def final() -> bool:
        return (await machine.rows(f"SELECT status FROM jobs WHERE id = '{job}'"))[0][0] in (
            "completed", "failed", "cancelled",
        )  # fmt: skip

    await until(final, 120, f"{job} is final")
    by_status = await machine.rows(
        f"SELECT status, count(*) FROM accounts WHERE job_id = '{job}' GROUP BY status"
    )
    assert by_status == [["created", count]]


async def _watchdog_bites(machine: Machine, unit: str, before: str) -> None:
    await machine.comes_to(unit, "NRestarts", "1")
    await machine.comes_to(unit, "ActiveState", "active")
    assert await machine.show(unit, "MainPID") != before
    said = [entry["MESSAGE"] for entry in await machine.journal(f"-u {unit}")]
    assert any("Watchdog timeout" in text for text in said), said
