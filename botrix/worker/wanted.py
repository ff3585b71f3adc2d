"""What a directory is asked to create or remove for an account: its password is unsealed here."""

from __future__ import annotations

import logging

from botrix.creators.creator import Wanted
from botrix.errors import SettingsError
from botrix.model import LeasedAccount, Outcome, OutcomeKind
from botrix.sealing import Sealer
from botrix.states import Stage
from botrix.worker.staged import LOOKS

_log = logging.getLogger(__name__)
_KEY_AGAIN = 30.0


def wanted_of(account: LeasedAccount, sealer: Sealer, must_change: bool) -> Wanted | Outcome:
    """Or what it came to: the key may be put back, but an erased password is gone. must_change:
    the password at the first sign-in."""
    tag, password = account.tag, ""
    if account.stage is Stage.REMOVE:
        known = (account.unguessable, False, account.entry_id)
        return Wanted(tag, account.person, password, *known)
    looked_for = account.find_only or account.stage in LOOKS
    if account.sealed is None and not looked_for:
        return Outcome(OutcomeKind.REJECTED, reason="password erased")
    try:
        if account.sealed is not None and not looked_for:
            password = sealer.unseal(account.sealed, account.tenant_id, tag)
    except SettingsError as error:
        _log.warning("an account waits: %s", error, extra={"job": account.job_id})
        kind = OutcomeKind.UNKNOWN if account.find_first else OutcomeKind.RETRY
        return Outcome(
            kind, reason="sealing key", detail=str(error), retry_after=_KEY_AGAIN, counted=False
        )
    return Wanted(tag, account.person, password, account.unguessable, must_change)
