"""The page shows what the example does, and the example is right."""

from __future__ import annotations

import time
from runpy import run_path

from standardwebhooks import Webhook

from botrix.webhooks.events import EVENTS
from botrix.webhooks.signing import headers, new_secret
from tests.guides import ROOT, blocks

_PAGE = ROOT / "docs" / "webhooks.md"
_EXAMPLE = ROOT / "docs" / "examples" / "webhook_receiver.py"


def test_the_page_shows_the_example() -> None:
    (shown,) = (block.text for block in blocks(_PAGE) if block.language == "python")
    assert shown in _EXAMPLE.read_text()
    assert len(shown.splitlines()) <= 10


def test_the_example_takes_what_is_genuine() -> None:
    genuine = run_path(str(_EXAMPLE))["genuine"]
    new, old, now = new_secret(), new_secret(), int(time.time())
    sent = headers([new, old], "msg_1", now, b"{}")
    assert genuine(new, sent, b"{}")
    assert genuine(old, sent, b"{}")
    Webhook(old).verify(b"{}", sent)
    assert not genuine(new, sent, b"{ }")
    assert not genuine(new_secret(), sent, b"{}")
    assert not genuine(new, headers([new], "msg_1", now - 400, b"{}"), b"{}")


def test_the_page_names_every_event() -> None:
    text = _PAGE.read_text()
    assert [event for event in EVENTS if event not in text] == []
