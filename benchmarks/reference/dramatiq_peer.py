"""The named reference: Dramatiq, the fastest Python peer on a broker, with an actor that does
nothing but note when the first and the last message came. Runs in an environment of its own.

    python dramatiq_peer.py fill SOCKET N     puts N messages into the broker
    dramatiq dramatiq_peer -p 1 -t 4          works them off
"""

from __future__ import annotations

import itertools
import os
import sys
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

_client = redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"])
dramatiq.set_broker(RedisBroker(client=_client))
_total = int(os.environ["BENCH_COUNT"])
_seen = itertools.count(1)
_times: list[float] = []


@dramatiq.actor
def account(number: int) -> None:
    n = next(_seen)
    if n in (1, _total):
        _times.append(time.time())
    if n == _total:
        with open(os.environ["BENCH_RESULT"] + ".new", "w") as file:
            file.write(str(_total / (_times[1] - _times[0])))
        os.rename(os.environ["BENCH_RESULT"] + ".new", os.environ["BENCH_RESULT"])


if __name__ == "__main__":
    broker = dramatiq.get_broker()
    for number in range(_total):
        broker.enqueue(account.message(number))
    sys.exit(0)
