"""What a process holds in memory although it may never use it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "library", ["aiohttp", "liquid", "mimesis", "anyascii", "pyrage", "opentelemetry.sdk.trace"]
)
def test_the_api_loads_no_library_before_it_is_needed(library: str) -> None:
    """Each takes 5 to 20 MB."""
    look = f"import sys, botrix.api.app; sys.exit({library!r} in sys.modules)"
    assert subprocess.run((sys.executable, "-c", look), check=False).returncode == 0


def test_a_worker_loads_no_client_of_http_before_it_is_needed() -> None:
    """It takes 10 MB, and only some directories, and webhooks, need it."""
    modules = "botrix.worker.daemon, botrix.ledger.sqlite, botrix.creators.simulated"
    look = f"import sys, {modules}; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run((sys.executable, "-c", look), check=False).returncode == 0
