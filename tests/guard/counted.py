"""`python -m tests.guard.counted GROUP FOLDER [URL]`: counts one group in a process of its own,
into FOLDER/counts.json. URL: of a PostgreSQL database; without one, of FOLDER/ledger.sqlite.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.guard.still import stand_still


def main(group: str, folder: Path, url: str) -> None:
    stand_still()
    from tests.guard import api, ledger, line, worker

    path = folder / "ledger.sqlite"
    match group, bool(url):
        case "ledger", False:
            counts = asyncio.run(ledger.on_sqlite(path))
        case "ledger", True:
            counts = asyncio.run(ledger.on_postgres(url))
        case "pages", True:
            counts = asyncio.run(ledger.pages_of_postgres(url))
        case "line", False:
            counts = asyncio.run(line.verbs(folder))
        case "worker", False:
            counts = asyncio.run(worker.on_sqlite(folder, path))
        case "worker", True:
            counts = asyncio.run(worker.on_postgres(folder, url))
        case "api", False:
            counts = api.on_sqlite(folder, path)
        case "api", True:
            counts = api.on_postgres(folder, url)
        case _:
            raise SystemExit(f"there is no group {group!r}")
    (folder / "counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
