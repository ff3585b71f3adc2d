"""What docs/metrics.md says that is told, and what is told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.guides import ROOT

PAGE = ROOT / "docs" / "metrics.md"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
_ROW = re.compile(r"\| `(\w+)` \| (\w+) \| ([\w, ]*)\| (.+) \|")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


@dataclass(frozen=True, slots=True)
class Told:
    """values: that are named in the page, of whichever label."""

    kind: str
    labels: frozenset[str]
    values: frozenset[str] = frozenset()


def documented(*sections: str) -> dict[str, Told]:
    """By name, of all sections or of some."""
    text = PAGE.read_text()
    found = {}
    for title, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", text, re.MULTILINE):
        for name, kind, labels, what in _ROW.findall(body):
            if not sections or title in sections:
                named = frozenset(label.strip() for label in labels.split(",") if label.strip())
                found[name] = Told(kind, named, frozenset(re.findall(r"`([^`]+)`", what)))
    return found


def exported(text: str) -> dict[str, Told]:
    """Of an answer as OpenMetrics; parsing it checks it. Labels of what has a sample."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = Told(family.type, frozenset(labels))
    return found


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def series(told: dict[str, Told]) -> dict[str, Told]:
    """As an expression names them."""
    found = {}
    for name, one in told.items():
        for suffix in _SUFFIXES.get(one.kind, ("",)):
            more = {"le"} if suffix == "_bucket" else set()
            found[name + suffix] = Told(one.kind, one.labels | more, one.values)
    return found
