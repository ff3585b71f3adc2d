"""No count is higher than what is recorded. See the package for what is counted, and how."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guard import compare
from tests.guard.groups import GROUPS, Ground, Group, ground
from tests.servers import postgres


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    if not postgres.available():
        pytest.skip("nothing was counted: no PostgreSQL on this machine")
    with ground() as made:
        yield made


@pytest.mark.suite("Guard")
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name.replace(", ", "-"))
def test_nothing_costs_more_than_is_recorded(place: Ground, group: Group) -> None:
    recorded = compare.read()
    elsewhere = recorded["versions"] != compare.versions()
    now = place.count(group)
    findings = compare.moved(group.name, recorded[group.name], now, elsewhere=elsewhere)
    if findings:
        pytest.fail("\n".join([*findings, compare.ADVICE]), pytrace=False)
