"""What Botrix is measured beside: the list of settings says why, and the harness measures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.peers import report
from benchmarks.peers.command import main
from benchmarks.peers.measuring import Size, crashed, drained, idle
from benchmarks.peers.peer import HERE, PROGRAMS, Peer, peers
from tests.servers.postgres import PostgresServer

TINY = Size(jobs=60, single=10, samples=5, gap=0.01, crash=40, patience=60.0)
EACH = [pytest.param(peer, id=name) for name, peer in peers().items()]
MEASURED = [
    pytest.param(peer, id=name, marks=[pytest.mark.suite("Peers")] if peer.package else [])
    for name, peer in peers().items()
]


@pytest.mark.parametrize("peer", EACH)
def test_each_setting_says_why_and_who_says_so(peer: Peer) -> None:
    assert peer.store in ("line", "postgres", "both")
    assert peer.settings
    for setting in peer.settings:
        assert setting.how in ("code", "environ", "command"), setting.name
        assert setting.why, setting.name
        assert setting.source, setting.name


@pytest.mark.parametrize("peer", EACH)
def test_each_has_its_program_and_a_pinned_list(peer: Peer) -> None:
    assert (PROGRAMS / (peer.program if peer.is_node else f"{peer.program}.py")).exists()
    if peer.package is None:
        return
    lists = HERE / "requirements"
    if peer.is_node:
        lock = (lists / peer.package / "package-lock.json").read_text()
        assert '"resolved"' not in lock  # names no registry
        assert lock.count('"integrity"') > 5
        return
    assert re.search(
        rf"^{peer.package}(\[.*\])?==", (lists / f"{peer.package}.in").read_text(), re.M
    )
    assert "--hash=sha256:" in (lists / f"{peer.package}.lock").read_text()


def test_botrix_is_compared_with_each_of_the_others() -> None:
    found = {
        "botrix": {"drain": 300.0, "p50": 4.0, "rss": 50.0, "lost": 0.0},
        "slow": {"drain": 100.0, "p50": 1.0, "lost": 3.0},
        "fast": {"drain": 200.0, "p50": 2.0},
    }
    assert report.ratios(found) == {
        "botrix": {"slow": {"drain": 3.0, "p50": 0.25}, "fast": {"drain": 1.5, "p50": 0.5}}
    }


def test_tables_are_shown_again_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {
        "botrix": {"drain": [300.0, 500.0, 400.0], "recovery": [0.5]},
        "bullmq": {"drain": [1000.0, 900.0, 1200.0], "lost": [2.0]},
    }
    file = tmp_path / "peers.json"
    file.write_text(json.dumps({"versions": {"botrix": "1.0", "bullmq": "6.0"}, "runs": seen}))
    assert main(["--show", str(file)]) == 0
    said = capsys.readouterr().out
    assert "| Botrix, SQLite 1.0 | 400 (300 to 500) |" in said
    assert "| BullMQ (Node) 6.0 |  | 2 |" in said
    assert "| BullMQ (Node) 6.0 | 0.40 |" in said


@pytest.mark.parametrize("peer", MEASURED)
async def test_each_is_measured(peer: Peer, postgres_server: PostgresServer) -> None:
    if not peer.is_there:
        pytest.skip(f"{peer.title} was NOT tried: run `make bench-peers`")
    figures = await drained(peer, postgres_server, TINY)
    assert {name for name, value in figures.items() if value > 0} >= {
        "drain",
        "single",
        "bulk",
        "rss",
    }
    assert set(figures) <= set(report.MEASURES)
    assert len(await idle(peer, postgres_server, TINY)) == TINY.samples


@pytest.mark.parametrize("name", ["botrix", "botrix-postgres"])
async def test_nothing_is_lost_or_doubled(name: str, postgres_server: PostgresServer) -> None:
    figures = await crashed(peers()[name], postgres_server, TINY)
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["recovery"] < TINY.patience


def test_the_programs_name_no_settings_of_their_own() -> None:
    """Those of peers.toml are all that there are."""
    for program in Path(PROGRAMS).glob("*_jobs.*"):
        for word in ("acks_late", "prefetch", "visibility", "lockDuration", "idle_timeout="):
            assert word not in program.read_text(), program.name
