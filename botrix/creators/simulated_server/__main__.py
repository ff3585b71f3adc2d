"""Runs until it is told to end. Prints its address once it listens."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path

from aiohttp import web

from botrix.creators.simulated_server.quirks import Quirks, read_quirks
from botrix.creators.simulated_server.server import SimulatedServer


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description="The simulated directory, over HTTP.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--token", default="T")
    known = ", ".join(f.name for f in fields(Quirks))
    parser.add_argument("--quirks", default="{}", help=f"JSON of: {known}")
    given = parser.parse_args()
    server = SimulatedServer(given.log, given.token, read_quirks(json.loads(given.quirks)))
    web.run_app(server.app(), host="127.0.0.1", port=given.port, access_log=None,
                shutdown_timeout=1.0, print=lambda _: print(f"http://127.0.0.1:{given.port}",
                flush=True))  # fmt: skip


if __name__ == "__main__":
    main()
