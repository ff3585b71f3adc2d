"""The drawing in ARCHITECTURE.md and the transitions in the code are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from botrix.states import ACCOUNT_TRANSITIONS, FINAL_JOB, JOB_TRANSITIONS

_PAGE = Path(__file__).parents[2] / "ARCHITECTURE.md"


def _drawn(heading: str) -> dict[str, set[str]]:
    lines = _PAGE.read_text().partition(f"\n{heading}:\n")[2].strip("\n").splitlines()
    block = []
    for line in lines:
        if not line.startswith("    "):
            break
        block.append(line)
    pairs = (line.split("→") for line in block)
    return {left.strip(): set(right.split()) for left, right in pairs}


@pytest.mark.parametrize(
    ("heading", "table"), [("Job", JOB_TRANSITIONS), ("Account", ACCOUNT_TRANSITIONS)]
)
def test_the_drawing_is_the_table(heading: str, table: dict[str, frozenset[str]]) -> None:
    coded = {str(state): {str(n) for n in following} for state, following in table.items()}
    assert _drawn(heading) == {state: n for state, n in coded.items() if n}


def test_a_final_job_is_left_only_by_a_retry_or_to_make_accounts_anew() -> None:
    assert {state for state in FINAL_JOB if JOB_TRANSITIONS[state]} == {"failed", "completed"}
