"""What a real API and a real worker tell, compared with what docs/metrics.md says that they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from botrix.roles import Role
from tests.measured import OPENMETRICS, Told, documented, exported, samples
from tests.servers.keys import make_key, make_tenant
from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import FAST, System, free_port, until


@pytest_asyncio.fixture
async def system(folder: Path) -> AsyncIterator[System]:
    made = System(folder / "data", {**FAST, "SCIM_TOKEN": TOKEN})
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def directory() -> AsyncIterator[RealScim]:
    server = RealScim()
    await server.begin()
    yield server
    await server.stop()


async def _said(system: System, url: str, headers: dict[str, str] = OPENMETRICS) -> str:
    async with system.http.get(url, headers=headers) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_the_page_names_all_that_is_told(system: System, directory: RealScim) -> None:
    port = free_port()
    worker = f"http://127.0.0.1:{port}/metrics"
    system.add_directory("idp", kind="scim", url=directory.url, token_env="SCIM_TOKEN")
    await system.worker(BOTRIX_METRICS_PORT=str(port))
    await system.final(await system.generate(20, directory="idp"))

    async def told() -> bool:  # a report of the directory's answers follows within half a second
        return ("botrix_worker_directory_answers_total", "done", "idp", "default") in samples(
            await _said(system, worker)
        )

    await until(told, 10, "the worker tells what the directory answered")
    both = documented("From both")
    build = both.pop("botrix_build_info")
    of_api, of_worker = exported(await _said(system, "/metrics")), exported(
        await _said(system, worker)
    )  # fmt: skip
    assert of_api.pop("botrix_build_info").labels == build.labels
    assert of_worker.pop("botrix_build_info").labels == build.labels - {"revision"}
    _compare(of_api, documented("From the API") | both)
    _compare(of_worker, documented("From each worker") | both)


def _compare(found: dict[str, Told], named: dict[str, Told]) -> None:
    assert set(found) == set(named)
    for name, one in named.items():
        assert (name, found[name].kind, found[name].labels) == (name, one.kind, one.labels)


async def test_a_worker_counts_what_it_did(system: System) -> None:
    port = free_port()
    await system.worker(BOTRIX_METRICS_PORT=str(port))
    system.add_directory("shaky", fail_first=1)
    await system.final(await system.generate(30, directory="shaky"))
    found = samples(await _said(system, f"http://127.0.0.1:{port}/metrics"))
    counted = {key[1:]: n for key, n in found.items() if key[0] == "botrix_worker_accounts_total"}
    assert counted["shaky", "created", "default"] == 30
    assert counted["shaky", "retried", "default"] == 30
    assert found["botrix_worker_jobs_total", "shaky", "completed", "default"] == 1
    assert found["botrix_worker_job_duration_seconds_count", "completed"] == 1
    assert found["botrix_worker_create_duration_seconds_count", "shaky", "default"] >= 1
    assert found["botrix_worker_claim_duration_seconds_count",] >= 1
    assert found["botrix_worker_status", "running"] == 1


async def test_a_restart_of_the_api_resets_nothing(system: System) -> None:
    await system.worker()
    await system.final(await system.generate(5))
    before = samples(await _said(system, "/metrics"))
    await system.restart_api()
    after = samples(await _said(system, "/metrics"))
    kept = [key for key in before if key[0] in ("botrix_jobs", "botrix_accounts")]
    assert {key: before[key] for key in kept} == {key: after[key] for key in kept}
    assert after["botrix_accounts", "created", "default"] == 5


async def test_a_lost_session_is_told(system: System) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    system.add_directory("slow", delay=60)
    await system.worker("doomed")
    await system.generate(3, directory="slow")

    async def leased() -> bool:
        return (await system.get("/api/accounts/stats")).get("leased") == 3

    await until(leased, 20, "the accounts are leased")
    await system.kill("doomed")
    await system.worker("heir", BOTRIX_METRICS_PORT=str(port))

    async def freed() -> bool:
        try:
            found = samples(await _said(system, url))
        except aiohttp.ClientError:
            return False
        return found["botrix_worker_freed_accounts_total",] == 3

    await until(freed, 20, "the heir takes back what the lost one held")
    assert samples(await _said(system, "/metrics"))["botrix_sessions_lost_total",] == 1


async def test_who_prefers_nothing_gets_the_old_form(system: System) -> None:
    odd = "application/openmetrics-text;q=x, a;;=,"
    for accept in ("", "*/*", "text/plain", "text/html, */*;q=0.1", odd):
        async with system.http.get("/metrics", headers={"Accept": accept}) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert list(text_string_to_metric_families(await answer.text()))


async def test_a_tenant_is_told_of_its_own(system: System) -> None:
    """And of what runs."""
    make_tenant(system, "acme")
    await system.generate(7)
    reader = await make_key(system, Role.READER, "acme")
    found = samples(
        await _said(system, "/metrics", {**OPENMETRICS, "Authorization": f"Bearer {reader}"})
    )
    assert found["botrix_accounts", "open", "acme"] == 0
    assert not [key for key in found if "default" in key]
    assert {"botrix_lane_entries", "botrix_workers"} <= {key[0] for key in found}
    assert found["botrix_lane_entries", "normal"] == 1
    assert found["botrix_lane_oldest_seconds", "normal"] >= 0


async def test_what_is_down_is_told_and_the_rest_is_left_out(system: System) -> None:
    await system.generate(1)
    system.supervisor.line.kill()
    found = samples(await _said(system, "/metrics"))
    assert (found["botrix_ledger_up",], found["botrix_line_up",]) == (1, 0)
    assert not [key for key in found if key[0] == "botrix_lane_entries"]
    assert found["botrix_accounts", "open", "default"] == 1
    system.rows("ALTER TABLE jobs RENAME TO jobs_away")  # as a ledger that is not migrated
    found = samples(await _said(system, "/metrics"))
    assert (found["botrix_ledger_up",], found["botrix_line_up",]) == (0, 0)
    assert not [key for key in found if key[0] == "botrix_jobs"]

    async def seen() -> bool:  # four times a second
        told = samples(await _said(system, "/metrics"))
        return told["botrix_event_loop_lag_seconds_count",] > 0

    await until(seen, 10, "what is the process's own is told all the same")
