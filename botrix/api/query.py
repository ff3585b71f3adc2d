"""What a query may hold: what its route knows, each once. A mistyped filter that is passed over
answers as if nothing had been asked for, and `limit=1&limit=1000` means two things to two readers.
"""

from __future__ import annotations

from collections import Counter

from fastapi import Request
from fastapi.dependencies.models import Dependant

from botrix.api.problems import Problem


async def only_known(request: Request) -> None:
    """Raises Problem. Probes and scrapers may add what they like to their paths."""
    if not request.scope["query_string"] or not request.url.path.startswith("/api/"):
        return
    known = _names(request.scope["route"].dependant)
    asked = Counter(name for name, _ in request.query_params.multi_items())
    unknown = sorted(asked.keys() - known)
    if unknown:
        there_are = ", ".join(sorted(known)) or "none"
        raise _refused(f"there is no query parameter {unknown[0][:80]!a}; there are: {there_are}")
    doubled = [name for name, n in asked.items() if n > 1]
    if doubled:
        raise _refused(f"query parameter {doubled[0]!a} is given twice; give it once")


def _names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_names(inner) for inner in dependant.dependencies))


def _refused(detail: str) -> Problem:
    return Problem(422, "Cannot be used", detail)
