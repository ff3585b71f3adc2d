"""Probes directories that are paused: when one can be used again, its jobs go on by themselves."""

from __future__ import annotations

import logging

from botrix.errors import BotrixError, LedgerError
from botrix.ledger.ledger import Ledger
from botrix.services import Directories

_log = logging.getLogger(__name__)


class Prober:
    """One at a time. patience: seconds after which a directory's jobs shall end nevertheless."""

    name = "prober"
    interval = 1.0

    def __init__(self, ledger: Ledger, directories: Directories, patience: float) -> None:
        self._ledger = ledger
        self._directories = directories
        self._patience = patience

    async def tick(self) -> bool:
        due = await self._ledger.due_probe()
        if due is not None:
            problem = await self._problem(*due)
            _log.info("directory %s was probed: %s", due[1], problem or "it can be used")
            await self._ledger.probed(*due, problem, self._patience)
            self._directories.alarm.set()
        return due is not None

    async def _problem(self, tenant_id: str, name: str) -> str:
        try:
            found = await self._directories.probe(tenant_id, name)
        except LedgerError:
            raise
        except BotrixError as error:
            return str(error)
        return "" if found.usable else found.problem
