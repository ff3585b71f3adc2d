"""What a session does, as spans in the traces of the jobs that it does it for.

Each span of a worker hangs on what asked for the job, not on another span of a worker: one that a
killed worker never sent leaves none behind without a parent. What is done for several jobs at once
is a span in the trace of each; the first has the calls, and the others are linked to it. Of a large
job some accounts are told of, each with all its attempts: nobody reads a trace of a million spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from botrix import traces
from botrix.ledger.ledger import Claim, Recorded
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Result
from botrix.states import Stage
from botrix.traces import Attributes, Span

_FIRST, _EVERY = 100, 1000
_WELL = frozenset(
    {OutcomeKind.CREATED, OutcomeKind.EXISTING, OutcomeKind.LOOKED, OutcomeKind.DELETED}
)
_NAMES = {Stage.PLAN: "look", Stage.CHECK: "look", Stage.REMOVE: "remove"}


class Told:
    """A span for each job of some accounts or results, by its id; the first is what is done now."""

    def __init__(self, name: str, some: Sequence[LeasedAccount | Result], began: float | None):
        self.spans: dict[str, Span] = {}
        parents = {one.job_id: one.traceparent for one in some if is_told(one.index)}
        sizes = Counter(one.job_id for one in some)
        first: list[str] = []
        for job, parent in parents.items():
            if parent is not None:
                about: Attributes = {"botrix.job.id": job, "botrix.accounts": sizes[job]}
                span = traces.span(name, parent, attributes=about, links=first, began=began)
                self.spans[job] = span
                first = first or [span.traceparent]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for span in reversed(self.spans.values()):
            self._stack.enter_context(span)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def note(self, attributes: Mapping[str, Attributes]) -> None:
        """By job."""
        for job, span in self.spans.items():
            span.note(attributes.get(job, {}))

    def came_to(self, batch: Sequence[LeasedAccount], outcomes: Sequence[Outcome]) -> None:
        for job, span in self.spans.items():
            kinds = Counter(o.kind for a, o in zip(batch, outcomes, strict=True) if a.job_id == job)
            span.note({f"botrix.{kind}": n for kind, n in kinds.items()})
            for kind, _ in kinds.most_common():
                if kind not in _WELL:
                    span.went_wrong(kind)
                    break


class _Nothing(Told):
    """Where nothing is traced: each batch passes here, so that there is nothing to be done."""

    def __init__(self) -> None:
        super().__init__("", (), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def came_to(self, batch: Sequence[LeasedAccount], outcomes: Sequence[Outcome]) -> None:
        pass


_NOTHING = _Nothing()


def is_told(index: int) -> bool:
    """Whether traces tell of the account of this index."""
    return index < _FIRST or index % _EVERY == 0


def claimed(claim: Claim, session: str, began: float) -> None:
    """began: by time.time(), when the ledger was asked."""
    if traces.active() and claim.accounts:
        with Told("claim", claim.accounts, began) as told:
            told.note({job: {"botrix.session": session} for job in told.spans})


def attempt_at(batch: Sequence[LeasedAccount]) -> Told:
    """One attempt; the accounts are of one directory."""
    if not traces.active():
        return _NOTHING
    first = batch[0]
    told = Told(_NAMES.get(first.stage, "create"), batch, None)
    attempts: Counter[str] = Counter()
    for one in batch:
        attempts[one.job_id] = max(attempts[one.job_id], one.attempt)
    told.note(
        {
            job: {"botrix.directory": first.directory, "botrix.attempt": attempt}
            for job, attempt in attempts.items()
        }
    )
    return told


def recording(batch: Sequence[Result]) -> Told:
    """One transaction of the recorder."""
    return Told("record", batch, None) if traces.active() else _NOTHING


def recorded(told: Told, done: Recorded) -> None:
    """What the results came to: a job's state then, and how many were refused as stale."""
    if told.spans:
        stale = Counter(job for job, _ in done.stale)
        told.note({job: {"botrix.stale": n} for job, n in stale.items()})
        told.note({job.id: {"botrix.job.status": job.status} for job in done.jobs})
