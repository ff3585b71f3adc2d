"""CPU time of the two verbs that a job costs on SQLite, and of what tells of it, an account each.

    python -m benchmarks.spent [JOBS [COUNT]]

Nothing else runs in this process meanwhile, so that neither waiting nor another program is counted.
To compare two releases, run both in turns, and compare medians.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from botrix.api.generate import new_job_id
from botrix.audit import Actor
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Asked, Claim, Room, Submission, Verdict
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from botrix.model import SLICE, LeasedAccount, NewJob, Outcome, OutcomeKind, Result
from botrix.retry import Backoff, decide
from botrix.services import Services
from botrix.settings import Settings
from botrix.worker.events import shown, update

_CREATED = Outcome(OutcomeKind.CREATED, "entry")


async def _spent(jobs: int, count: int) -> Counter[str]:
    """Microseconds an account, by part."""
    spent: Counter[str] = Counter()
    with TemporaryDirectory() as name:
        settings = Settings.read({}, data=Path(name))
        await asyncio.to_thread(upgrade, settings.ledger_url)
        async with Services(settings) as services:
            waiting = await _entered(services, jobs, count)
            left = jobs * count
            while left:
                asked, waiting = waiting[:SLICE], waiting[SLICE:]
                began = time.process_time()
                claim = await services.ledger.claim("s", asked, Room(SLICE), services.plan)
                claimed = time.process_time()
                results = _results(claim.accounts)
                decided = time.process_time()
                done = await services.ledger.record("s", results)
                recorded = time.process_time()
                by_job = {one.job_id: one for one in results}
                for job in (*claim.started, *done.jobs):
                    update(job, shown(by_job[job.id]))
                spent["claim"] += claimed - began
                spent["decide"] += decided - claimed
                spent["record"] += recorded - decided
                spent["tell"] += time.process_time() - recorded
                waiting += _again(asked, claim)
                left -= len(results)
    return Counter({part: seconds / (jobs * count) * 1e6 for part, seconds in spent.items()})


async def _entered(services: Services, jobs: int, count: int) -> list[Asked]:
    queries = Queries(create_engine(services.settings.ledger_url))
    await queries.add_directory("default", "noop", "simulated", "{}", Actor("benchmark", "here"))
    await queries.close()
    await services.ledger.open_session("s", "worker-1", "here", 1, "0")
    asked: list[Asked] = []
    for start in range(0, jobs, 500):
        numbers = range(start, min(start + 500, jobs))
        new = [Submission(NewJob(new_job_id(), count, directory="noop")) for _ in numbers]
        asked += [Asked(one.job_id, one.place) for one in await services.ledger.submit(new)]
    return asked


def _results(accounts: list[LeasedAccount]) -> list[Result]:
    backoff, rng = Backoff(), random.Random()
    return [decide(account, _CREATED, backoff, rng) for account in accounts]


def _again(asked: list[Asked], claim: Claim) -> list[Asked]:
    """Those with work left, and those for which there was no room."""
    pairs = zip(asked, claim.rulings, strict=True)
    return [
        one if ruling.verdict is Verdict.OVER else Asked(one.id, ruling.back)
        for one, ruling in pairs
        if ruling.verdict is Verdict.OVER or ruling.back is not None
    ]


def main() -> int:
    jobs, count = (int(text) for text in (sys.argv[1:] + ["20000", "1"][len(sys.argv) - 1 :])[:2])
    spent = asyncio.run(_spent(jobs, count))
    parts = "  ".join(f"{part} {us:.1f}" for part, us in spent.items())
    print(f"CPU us an account: {parts}  all {sum(spent.values()):.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
