"""docker-compose.yml as it stands: up without editing, hardened, exact while parts are killed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests import guides
from tests.deployment.composed import STORES, Composed, resident
from tests.deployment.engine import run
from tests.deployment.images import OWN, ROOT
from tests.servers.system import until

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.suite("Composed"),
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]
MB = 1_000_000


async def test_nobody_gets_in_without_the_key(composed: Composed) -> None:
    async with aiohttp.ClientSession(composed.url) as http:
        async with http.get("/api/jobs") as answer:
            assert answer.status == 401
        async with http.get("/ready") as answer:
            assert answer.status == 200


async def test_every_service_has_a_check(composed: Composed) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert [name for name, service in services.items() if "healthcheck" not in service] == []
    for container in composed.containers():
        if container["State"]["Running"]:
            assert container["State"]["Health"]["Status"] == "healthy", container["Name"]


async def test_a_killed_worker_leaves_exact_totals(composed: Composed) -> None:
    job = await composed.generate(900)

    async def begun() -> bool:
        return bool((await composed.job(job))["created"] >= 100)

    await until(begun, 60, "some accounts are created")
    victim = composed.workers()[0]
    run("docker", "kill", "-s", "KILL", victim["Id"])
    found = await composed.final(job)
    assert (found["status"], found["created"]) == ("completed", 900)
    assert composed.tags(job) == {f"botrix:{job}:{n}": 1 for n in range(900)}
    run("docker", "start", victim["Id"])  # the engine leaves alone what was killed by hand
    await until(composed.healthy, 60, "the worker is back")


async def test_a_restart_of_the_line_ends_no_worker(composed: Composed) -> None:
    before = {c["Id"]: c["State"]["StartedAt"] for c in composed.workers()}
    job = await composed.generate(900)
    composed.compose("restart", "line")
    more = await composed.generate(50, priority="high")
    assert (await composed.final(more))["created"] == 50
    assert (await composed.final(job))["created"] == 900
    assert composed.tags(job) == {f"botrix:{job}:{n}": 1 for n in range(900)}
    assert {c["Id"]: c["State"]["StartedAt"] for c in composed.workers()} == before
    assert [c["RestartCount"] for c in composed.workers()] == [0] * len(before)
    await until(composed.healthy, 60, "every service is healthy again")


async def test_little_memory_is_held_under_load(composed: Composed) -> None:
    """100 MB for a worker and the API, 50 for a line on which 10,000 jobs wait."""
    composed.inside("api", "botrix directory add load --kind simulated --set forget=true")
    workers = [c["Id"] for c in composed.workers()]
    for ident in workers:
        run("docker", "pause", ident)
    try:
        await _submit(composed, 10_000)
        depth = composed.inside("line", _viewer("LLEN botrix:jobs:queue"))
        line = resident(composed.containers("line")[0])
    finally:
        for ident in workers:
            run("docker", "unpause", ident)
    assert int(depth) == 10_000
    most = dict.fromkeys(("api", "worker", "worker-2", "worker-3"), 0)

    async def drained() -> bool:
        for service in most:
            held = [resident(one) for one in composed.containers(service)]
            most[service] = max([most[service], *held])
        async with composed.http() as http, http.get("/api/line") as answer:
            return bool((await answer.json())["sum"] == 0)

    await until(drained, 300, "all jobs are taken")
    print(f"resident: line {line / MB:.1f} MB", {k: f"{v / MB:.1f} MB" for k, v in most.items()})
    assert line <= 50 * MB
    assert max(most.values()) <= 100 * MB


async def _submit(composed: Composed, jobs: int) -> None:
    left, asked = iter(range(jobs)), {"count": 1, "directory": "load"}

    async def some(http: aiohttp.ClientSession) -> None:
        for _ in left:
            async with http.post("/api/accounts/generate", json=asked) as answer:
                assert answer.status == 202, await answer.text()

    async with composed.http() as http:
        await asyncio.gather(*(some(http) for _ in range(50)))


async def test_people_may_look_at_the_line_and_change_nothing(composed: Composed) -> None:
    job = await composed.generate(1)
    await composed.final(job)
    shown = composed.inside("line", _viewer("KEYS 'botrix:*'"))
    assert f"botrix:jobs:status:{job}" in shown.split()
    assert composed.inside("line", _viewer("LRANGE botrix:jobs:queue 0 -1")).strip() == ""
    for command in ("SET botrix:x 1", "DEL botrix:jobs:queue", "FLUSHALL", "CONFIG GET '*'"):
        assert "NOPERM" in composed.inside("line", _viewer(command) + " 2>&1 || true"), command
    watched = composed.inside("line", f"timeout 3 {_viewer('MONITOR')} || true")
    assert watched.startswith("OK")
    assert "NOAUTH" in composed.inside("line", f"{_CLI} PING 2>&1 || true")


_CLI = '"$(command -v valkey-cli || command -v redis-cli)" --no-auth-warning'


def _viewer(command: str) -> str:
    secret = 'REDISCLI_AUTH="$(cat /run/secrets/line/viewer)"'
    return f"env {secret} {_CLI} --user viewer {command}"


@pytest.mark.parametrize("page", guides.pages(), ids=lambda page: page.name)
async def test_the_commands_of_a_guide_run(composed: Composed, page: Path) -> None:
    for block in guides.blocks(page):
        if block.deploy:
            said = composed.play(block.commands)
            assert said.strip(), f"{page.name}:{block.line} says nothing"
            assert "NOAUTH" not in said, f"{page.name}:{block.line}"


async def test_nothing_runs_with_more_rights_than_it_needs(composed: Composed) -> None:
    for container in composed.containers():
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert "ALL" in host["CapDrop"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert min(host["Memory"], host["NanoCpus"], host["PidsLimit"]) > 0, name
        if not container["State"]["Running"]:
            continue
        status = run("docker", "exec", container["Id"], "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in fields["Uid"].split(), name
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
        assert fields["NoNewPrivs"] == "1", name


async def test_only_the_api_is_published_and_on_loopback_alone(composed: Composed) -> None:
    published = {}
    for container in composed.containers():
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values():
            published[container["Config"]["Labels"]["com.docker.compose.service"]] = bindings
    assert published == {"api": [{"HostIp": "127.0.0.1", "HostPort": str(composed.port)}]}
    for service in STORES:
        networks = list(composed.containers(service)[0]["NetworkSettings"]["Networks"])
        assert [name.rsplit("_", 1)[-1] for name in networks] == ["stores"]
        assert run("docker", "network", "inspect", "-f", "{{.Internal}}", *networks) == "true\n"


async def test_a_second_up_changes_no_secret(composed: Composed) -> None:
    before = composed.secrets()
    await composed.up("--profile", "scale")
    assert composed.secrets() == before
    assert len(set(before)) == len(before) - 1  # the ledger's is in its url, too


async def test_no_log_and_no_image_holds_a_secret(composed: Composed) -> None:
    secrets = composed.secrets()
    logs = composed.compose("--profile", "scale", "logs", "--no-color")
    assert [secret for secret in secrets if secret in logs] == []
    for container in composed.containers():
        described = str(container["Config"])
        assert [secret for secret in secrets if secret in described] == [], container["Name"]


@pytest.mark.parametrize("image", OWN.values())
async def test_an_image_shows_nothing_of_where_it_was_built(
    built: dict[str, str], image: str
) -> None:
    history = run("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    described = run("docker", "inspect", image)
    assert re.findall(r"https?://(?!127\.0\.0\.1)\S+", history + described) == []
    look = (
        "ls /etc/pip.conf /run/secrets/ca /run/secrets/pip /src /wheels 2>/dev/null;"
        "command -v pip pip3 gcc cc make; find /opt/botrix -name pip -o -name hatchling; true"
    )
    assert run("docker", "run", "--rm", "--network", "none", image, "sh", "-c", look) == ""
    size = int(run("docker", "inspect", "-f", "{{.Size}}", image))
    print(f"{image}: {size / MB:.0f} MB with its base")


async def test_both_images_have_the_same_wheel(built: dict[str, str]) -> None:
    script = (
        "find /opt/botrix/lib/python3*/site-packages/botrix-* -name RECORD | xargs cat | sha256sum"
    )
    sums = {run("docker", "run", "--rm", image, "sh", "-c", script) for image in OWN.values()}
    assert len(sums) == 1


async def test_told_to_stop_a_worker_hands_back_and_ends_well(composed: Composed) -> None:
    job = await composed.generate(900)

    async def begun() -> bool:
        return bool((await composed.job(job))["created"] > 0)

    await until(begun, 60, "some accounts are created")
    composed.compose("--profile", "scale", "stop", "worker", "worker-2")
    codes = [c["State"]["ExitCode"] for n in ("worker", "worker-2") for c in composed.containers(n)]
    assert codes == [0, 0]
    assert (await composed.final(job))["created"] == 900
    await composed.up("--profile", "scale")
