"""What counts as a difference."""

from __future__ import annotations

import pytest

from botrix.creators.creator import Sighting, Whose
from botrix.ledger.reconciling import Row
from botrix.model import Person
from botrix.reconcile.comparing import compared, same_name
from botrix.reconcile.findings import What

ROW = Row("j", 0, 1, "e1", False, Person("ann", "ann@x.example", "Zoë", "Ång", "Zoë Ång"))
SAME = {"email": "ann@x.example", "given_name": "Zoë", "family_name": "Ång"}


@pytest.mark.parametrize(
    ("seen", "what", "reason"),
    [
        (Sighting(Whose.OURS, "e1"), None, ""),
        (Sighting(Whose.OURS, "e1", fields=SAME, active=True), None, ""),
        (Sighting(Whose.OURS, "e1", fields={"email": "ANN@X.example"}), None, ""),
        (Sighting(Whose.OURS, "e1", fields={"given_name": "Zoe\u0308 "}), None, ""),
        (Sighting(Whose.UNPROVEN, "e1", fields=SAME), None, ""),
        (Sighting(Whose.OURS, "e1", fields={"given_name": "zoë"}), What.CHANGED, "given_name"),
        (Sighting(Whose.OURS, "e1", fields={"email": ""}), What.CHANGED, "email"),
        (Sighting(Whose.OURS, "e2"), What.CHANGED, "id"),
        (Sighting(Whose.OURS, "e1", active=False), What.CHANGED, "disabled"),
        (Sighting(Whose.FOREIGN, "e1"), What.CHANGED, "tag"),
        (Sighting(Whose.OTHER_JOB, "e1", tag="botrix:k:1"), What.CHANGED, "tag"),
        (Sighting(Whose.UNPROVEN, "e1", fields={"email": "x"}), What.CHANGED, "email"),
        (Sighting(Whose.FOREIGN, "e2"), What.MISSING, "name taken"),
        (Sighting(Whose.OTHER_JOB, "e2", tag="botrix:k:1"), What.MISSING, "name taken"),
        (Sighting(Whose.UNPROVEN, "e2"), What.MISSING, "name taken"),
        (Sighting(Whose.NOBODY), What.MISSING, "nobody"),
        (Sighting(Whose.UNSURE, detail="no answer"), What.UNSURE, "not told"),
    ],
)
def test_what_differs(seen: Sighting, what: What | None, reason: str) -> None:
    found = compared(ROW, seen)
    assert (found and found.what, found.reason if found else "") == (what, reason)


def test_all_that_differs_is_told_and_can_be_taken_over() -> None:
    fields = {"email": "new@x", "family_name": "Ång", "display_name": "Zoë New"}
    found = compared(ROW, Sighting(Whose.OURS, "e2", fields=fields, active=False))
    assert found is not None
    assert found.reason == "email, display_name, id, disabled"
    assert found.seen == {"email": "new@x", "display_name": "Zoë New", "entry_id": "e2"}
    assert "email is 'new@x', not 'ann@x.example'" in found.detail


def test_a_name_is_the_same_in_any_case() -> None:
    assert same_name("Ann", "ann")
    assert not same_name("ann", "anne")
