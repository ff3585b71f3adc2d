"""What a worker tells at `/metrics`: what it saw itself since it began. What is true of all workers
together the API tells, from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from botrix.exposition import counter, gauge, histogram, of_process, one, rendered
from botrix.histogram import Histogram
from botrix.services import Services
from botrix.worker.measures import MOST, Measures
from botrix.worker.scraped import Shown

STATUSES = ("waiting", "running", "quiet", "draining")
_BY_DIRECTORY = ("tenant", "directory")
_CREATES = "A call that creates at a directory, with its wait for the gate before it."
_JOB = "From a job's acceptance to its end, of those that this worker ended."
_FREED = "Accounts of sessions that are gone, taken back by this worker for others to go on with."


class Measured:
    """late: how late the loop was. All is read when it is asked for."""

    def __init__(
        self, services: Services, measures: Measures, shown: Shown, late: Histogram
    ) -> None:
        self._settings = services.settings
        self._line = services.line
        self._gates = services.directories.gates
        self._measures = measures
        self._shown = shown
        self._late = late

    def text(self, accept: str) -> tuple[bytes, str]:
        """And its type, as the Accept header wishes."""
        return rendered(self._metrics(), accept)

    def _metrics(self) -> Iterator[Metric]:
        yield from self._of_the_session()
        yield from _counted(self._measures)
        yield from _timed(self._measures)
        yield from self._of_directories()
        yield from of_process(self._late)

    def _of_the_session(self) -> Iterator[Metric]:
        session = self._shown.session
        status = session.status if session else "waiting"
        yield gauge(
            "botrix_worker_status", "1 for what this worker does, else 0; it waits for the ledger.",
            {(name,): float(name == status) for name in STATUSES}, ("status",),
        )  # fmt: skip
        yield one(
            "botrix_worker_line_up", "1 while this worker can use the line, else 0.",
            float(self._line.up),
        )  # fmt: skip
        yield one(
            "botrix_worker_lease_age_seconds",
            "Since the last beat that the ledger confirmed; at 90 % of a lease it stops.",
            session.unconfirmed if session else 0.0,
        )
        yield one("botrix_worker_lease_seconds", "What the lease is.", self._settings.lease)
        yield one(
            "botrix_worker_held_accounts", "Accounts that it holds.",
            float(session.held if session else 0),
        )  # fmt: skip
        yield one(
            "botrix_worker_capacity_accounts", "How many it may hold.",
            float(self._settings.capacity),
        )  # fmt: skip
        yield one(
            "botrix_worker_held_oldest_seconds", "For how long it has held the oldest of them.",
            session.oldest if session else 0.0,
        )  # fmt: skip

    def _of_directories(self) -> Iterator[Metric]:
        """Those that are asked through a gate, as many as are told apart."""
        asked = [key for key, gate in self._gates.items() if gate.governed and gate.gated]
        gates = {key: self._gates[key] for key in sorted(asked)[:MOST]}
        for name, what, values in (
            ("limit", "Calls at once that this worker may make there now.",
             {key: float(gate.limit) for key, gate in gates.items()}),
            ("under_way", "Calls that it makes there now.",
             {key: float(gate.under_way) for key, gate in gates.items()}),
            ("waiting", "Calls that wait there for their turn.",
             {key: float(gate.waiting) for key, gate in gates.items()}),
            ("shut", "1 while none may be made there, since it is paused, else 0.",
             {key: float(gate.is_shut) for key, gate in gates.items()}),
        ):  # fmt: skip
            yield gauge(f"botrix_worker_directory_{name}", what, values, _BY_DIRECTORY)


def _counted(measures: Measures) -> Iterator[Metric]:
    by_outcome = (*_BY_DIRECTORY, "outcome")
    for name, what, values, last in (
        ("accounts", "What attempts at accounts came to.", measures.accounts, "outcome"),
        ("jobs", "Jobs that this worker ended.", measures.jobs, "outcome"),
        ("directory_answers", "What came of requests to a directory.", measures.answers, "answer"),
    ):
        yield counter(
            f"botrix_worker_{name}_total", what,
            {(*key, how): float(n) for (key, how), n in sorted(values.items())},
            (*by_outcome[:2], last),
        )  # fmt: skip
    for name, what, n in (
        ("stale_results", "Results that the ledger refused: the lease was gone.", measures.stale),
        ("freed_accounts", _FREED, measures.freed),
        ("put_back_jobs", "Jobs that the line had lost, put back into it.", measures.put_back),
        ("rejected_entries", "Entries of other programs that were no use.", measures.rejected),
        ("lost_sessions", "Sessions of this worker that were lost.", measures.lost),
    ):
        yield counter(f"botrix_worker_{name}_total", what, {(): float(n)})


def _timed(measures: Measures) -> Iterator[Metric]:
    lasted = {(status.value,): seen for status, seen in measures.lasted.items()}
    yield histogram("botrix_worker_job_duration_seconds", _JOB, lasted, ("outcome",))
    yield histogram(
        "botrix_worker_create_duration_seconds", _CREATES, measures.creates, _BY_DIRECTORY
    )
    yield histogram(
        "botrix_worker_flush_duration_seconds", "A transaction that records results.",
        {(): measures.flushes},
    )  # fmt: skip
    yield histogram(
        "botrix_worker_claim_duration_seconds", "A transaction that claims accounts.",
        {(): measures.claims},
    )  # fmt: skip
