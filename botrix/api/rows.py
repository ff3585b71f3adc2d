"""A row of a roster on its way to become an account, for imports and for previews."""

from __future__ import annotations

from botrix.errors import InvalidInput
from botrix.identity import Planner
from botrix.model import Person
from botrix.repeats import Naming, RosterRow, is_numbered, shortened
from botrix.roster import Row


def planned(planner: Planner, row: Row, password: str) -> RosterRow:
    """With all that the row leaves out. Raises InvalidInput."""
    person = planner.person_from_row(row.person)
    if row.naming is None:
        return RosterRow(row.number, person, password)
    named, most = row.naming.named, row.naming.most

    def under(name: str) -> Person:
        return planner.person_from_row(named(name))

    if len(person.username) > most:
        cut = shortened(person.username, most)
        if cut is None:
            raise InvalidInput(f"no username of {most} characters can be made of it")
        person = under(cut)
    had = row.naming.had
    if had is not None and is_numbered(person.username, most, had):
        return RosterRow(row.number, under(had), password)
    return RosterRow(row.number, person, password, Naming(most, under))
