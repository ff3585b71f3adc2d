"""The alert rules and the dashboard: every expression parses, and asks for what is really told
(docs/metrics.md, which tests/test_metrics.py holds against real processes)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from botrix.cli import _COMMANDS
from tests.deployment.images import ROOT
from tests.deployment.promql import OF_PROMETHEUS, Selected, selected
from tests.measured import PAGE, documented, series

_RULES = ROOT / "deployment" / "prometheus" / "botrix-alerts.yml"
_SCRAPE = ROOT / "deployment" / "prometheus" / "prometheus.yml"
_BOARD = ROOT / "deployment" / "grafana" / "botrix.json"
_TOLD = series(documented())
_JOBS = ("botrix-api", "botrix-worker")
_SEVERITIES = {"critical", "warning", "info"}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_BOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def _filled_in(expression: str) -> str:
    """As Grafana does it before Prometheus sees it."""
    text = expression.replace("$__rate_interval", "1m")
    return re.sub(r"\$(tenant|directory)\b", ".*", text)


def problems(one: Selected) -> list[str]:
    """What is asked for that nobody tells."""
    if one.name == "up":
        wrong = [v for label, _, v in one.matchers if label == "job" and v not in _JOBS]
        return [f"no job is called {name}" for name in wrong]
    if one.name not in _TOLD:
        return [f"nobody tells {one.name}"]
    told = _TOLD[one.name]
    found = [f"{one.name} has no {label}" for label in one.labels - told.labels - OF_PROMETHEUS]
    for label, operator, value in one.matchers:
        named = value.split("|") if "Re" in operator and value != ".*" else [value]
        if label in ("status", "state", "outcome", "answer"):
            found += [f"{one.name} is never {v}" for v in named if v not in told.values]
    return found


def test_a_wrong_expression_is_seen() -> None:
    for expression in (
        "botrix_job", "sum by (user) (botrix_jobs)", 'botrix_jobs{status="done"}',
        'up{job="botrix"}', "rate(botrix_worker_job_duration_seconds[5m])",
        'botrix_jobs{status=~"failed|lost"} > 1 and on () botrix_workers',
    ):  # fmt: skip
        assert [wrong for one in selected(expression) for wrong in problems(one)], expression
    for nonsense in ("sum(", "rate(botrix_workers)", "botrix_workers{version=}"):
        with pytest.raises(ValueError, match=r"\w"):
            selected(nonsense)


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_told_and_says_what_to_do(rule: dict[str, Any]) -> None:
    asked = selected(rule["expr"])
    assert asked
    assert [wrong for one in asked for wrong in problems(one)] == []
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in _SEVERITIES
    summary = rule["annotations"]["summary"]
    assert 60 < len(summary) < 300
    assert re.search(r"\. [A-Za-z{]", summary), "what happened, then what to do"
    for command in re.findall(r"\bbotrix ([a-z][a-z-]+)", summary):
        assert command in _COMMANDS, summary
    shown = set(re.findall(r"\$labels\.(\w+)", summary))
    lost = any(one.grouped for one in asked) and shown - {x for one in asked for x in one.grouped}
    assert not lost, f"the expression drops {lost}"


def test_rules_are_named_once() -> None:
    names = [rule["alert"] for rule in _rules()]
    assert len(names) == len(set(names))
    assert all(name.startswith("Botrix") for name in names)


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_told(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        asked = selected(_filled_in(target["expr"]))
        assert [wrong for one in asked for wrong in problems(one)] == [], target["expr"]
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        kept = {label for one in asked for label in (one.grouped or one.labels | OF_PROMETHEUS)}
        assert shown <= kept, f"{target['legendFormat']} of {target['expr']}"


def test_the_dashboard_can_be_imported() -> None:
    board = json.loads(_BOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    variables = {one["name"] for one in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", _BOARD.read_text()))
    assert used == variables == {"datasource", "tenant", "directory"}
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
    for one in board["templating"]["list"]:
        if one["type"] == "query":
            expression = one["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
            assert [problems(each) for each in selected(_filled_in(expression))] == [[]]


def test_every_metric_is_looked_at() -> None:
    """By a rule or a panel; but for what only says what another is compared with."""
    asked = {one.name for rule in _rules() for one in selected(rule["expr"])}
    for panel in _panels():
        asked |= {o.name for t in panel["targets"] for o in selected(_filled_in(t["expr"]))}
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert set(documented()) - plain <= {
        "process_start_time_seconds", "process_virtual_memory_bytes",
    }  # fmt: skip


def test_the_scrape_example_fits_what_is_composed() -> None:
    jobs = {one["job_name"]: one for one in yaml.safe_load(_SCRAPE.read_text())["scrape_configs"]}
    assert tuple(jobs) == _JOBS
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (found,) = jobs["botrix-worker"]["dns_sd_configs"]
    environ = services["worker"]["environment"]
    assert environ["BOTRIX_METRICS_PORT"] == f"${{BOTRIX_METRICS_PORT:-{found['port']}}}"
    assert set(found["names"]) <= set(services)
    (targets,) = (one["targets"] for one in jobs["botrix-api"]["static_configs"])
    assert targets == ["api:8080"]
    for name in ("worker", "worker-2", "worker-3"):
        assert "ports" not in services[name], "a worker's metrics are for the network alone"
        assert "outside" in services[name]["networks"]


@pytest.mark.parametrize("what", ["rules", "config"])
def test_promtool_agrees(what: str, tmp_path: Path) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: the rules are checked by promql-parser alone")
    for file in (_RULES, _SCRAPE):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "botrix-key").write_text("key")
    file = {"rules": _RULES, "config": _SCRAPE}[what].name
    command = [tool, "check", what, file]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_the_files_that_there_are() -> None:
    for name in re.findall(r"`(deployment/[\w./-]+)`", PAGE.read_text()):
        assert (ROOT / name).exists(), name
