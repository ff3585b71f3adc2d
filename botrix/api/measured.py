"""What the ledger and the line tell at a scrape, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from botrix import __version__
from botrix.api.door import Here
from botrix.errors import LineDown
from botrix.exposition import counter, gauge, one
from botrix.ledger import gauges
from botrix.ledger.gauges import Posted, Running
from botrix.ledger.governing import Use
from botrix.model import Lane
from botrix.states import FINAL_ACCOUNT, DirectoryStatus, JobStatus

_JOBS = "Jobs in the ledger, by state."
_ACCOUNTS = "Accounts in the ledger, by what they came to; open are those that have not yet."
_RETRIED = "Attempts of the accounts in the ledger that were made again."
_WAITED = "Since anything happened to the job that is first in a lane; 0 where none waits."
_SILENT = "Since the live session that has been silent longest was first seen at its last beat."
_LIMIT = "Calls at once that a directory bears, of all workers; 0 while it is paused."
_UNSENT = "Since the oldest event that waits for a webhook was noted; 0 where none does."
_MESSAGES = f"Events on their way to webhooks, and those given up; {gauges.MOST} at most."


async def of_the_ledger(here: Here) -> list[Metric]:
    """Raises LedgerDown."""
    engine, tenant = here.queries.engine, here.tenant
    stats = await here.queries.job_stats(tenant)
    return [
        *_outcomes(tenant, stats["jobs"], stats["accounts"]),
        *_used(tenant, await gauges.used_directories(engine, tenant)),
        *_posted(tenant, await gauges.posted(engine, tenant)),
        *_running(here, await gauges.running(engine)),
    ]


def _outcomes(tenant: str, jobs: dict[str, int], accounts: dict[str, int]) -> Iterator[Metric]:
    """Also those of which there are none: an alert has something to compare with. Accounts
    that are leased or unsure are open as well; to count them apart would read each."""
    labels = ("tenant", "status")
    found = {(tenant, status.value): float(jobs.get(status, 0)) for status in JobStatus}
    yield gauge("botrix_jobs", _JOBS, found, labels)
    ends = {status.value: accounts[status] for status in FINAL_ACCOUNT}
    ends = {"open": accounts["count"] - sum(ends.values()), **ends}
    found = {(tenant, status): float(n) for status, n in ends.items()}
    yield gauge("botrix_accounts", _ACCOUNTS, found, labels)
    retried = {(tenant,): float(accounts["retried"])}
    yield gauge("botrix_accounts_retried", _RETRIED, retried, ("tenant",))


def _used(tenant: str, directories: dict[str, Use]) -> Iterator[Metric]:
    labels = ("tenant", "directory")
    keys = {(tenant, name): use for name, use in directories.items()}
    yield gauge(
        "botrix_directory_status", "1 for the state that a directory is in, else 0.",
        {(*key, status.value): float(use.status is status)
         for key, use in keys.items() for status in DirectoryStatus},
        (*labels, "status"),
    )  # fmt: skip
    limits = {key: float(use.limit) for key, use in keys.items() if use.limit is not None}
    yield gauge("botrix_directory_limit", _LIMIT, limits, labels)
    yield gauge(
        "botrix_directory_share", "Calls at once that workers may make now, of that limit.",
        {key: float(use.at_once) for key, use in keys.items()}, labels,
    )  # fmt: skip
    yield gauge(
        "botrix_directory_workers", "Workers that have something to do at a directory.",
        {key: float(use.workers) for key, use in keys.items()}, labels,
    )  # fmt: skip


def _posted(tenant: str, posted: Posted) -> Iterator[Metric]:
    yield gauge(
        "botrix_webhook_messages", _MESSAGES,
        {(tenant, status): float(n) for status, n in posted.messages.items()}, ("tenant", "status"),
    )  # fmt: skip
    yield gauge(
        "botrix_webhook_oldest_seconds", _UNSENT,
        {(tenant,): posted.waited}, ("tenant",),
    )  # fmt: skip
    yield gauge(
        "botrix_webhooks", "Webhooks, by whether events are sent to them.",
        {(tenant, state): float(n) for state, n in posted.receivers.items()}, ("tenant", "state"),
    )  # fmt: skip


def _running(here: Here, running: Running) -> Iterator[Metric]:
    versions = {__version__: 0, **running.versions}  # none is told, too
    yield gauge(
        "botrix_workers", "Live workers, by the version that runs.",
        {(version,): float(n) for version, n in sorted(versions.items())}, ("version",),
    )  # fmt: skip
    yield counter(
        "botrix_sessions_lost_total", "Sessions of workers that were declared lost.",
        {(): float(running.lost)},
    )  # fmt: skip
    yield one("botrix_session_silent_seconds", _SILENT, here.own.beats.oldest(running.beats))
    waited = {(lane,): seconds for lane, seconds in running.waited.items()}
    yield gauge("botrix_lane_oldest_seconds", _WAITED, waited, ("lane",))


async def of_the_line(here: Here) -> list[Metric]:
    """Whether it can be used, and what stands in it."""
    up = ("botrix_line_up", "1 while the line can be used, else 0.")
    try:
        depths = await here.services.line.depths()
        rejected = await here.services.line.rejections()
    except LineDown:
        return [one(*up, 0.0)]
    return [
        one(*up, float(here.services.line.up)),
        gauge(
            "botrix_lane_entries", "Entries in a lane of the line.",
            {(lane.value,): float(depths[lane]) for lane in Lane}, ("lane",),
        ),
        one(
            "botrix_line_rejected_entries",
            "Entries of other programs that could not be used and are kept to be looked at.",
            float(rejected),
        ),
    ]  # fmt: skip
