"""Signatures, by the published vector and by the library of those who wrote the specification."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from botrix.errors import SettingsError
from botrix.sealing import Sealer
from botrix.webhooks.signing import headers, new_secret, seal, signature, unseal


def test_the_published_vector() -> None:
    """Of the reference implementations of Standard Webhooks."""
    secret, ident = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = signature(secret, ident, 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_has_as_many_bytes_as_it_may() -> None:
    drawn = {new_secret() for _ in range(50)}
    assert len(drawn) == 50
    assert all(24 <= len(b64decode(one.removeprefix("whsec_"))) <= 64 for one in drawn)


@given(body=st.text(max_size=200))
def test_each_of_two_secrets_verifies(body: str) -> None:
    new, old, now = new_secret(), new_secret(), int(datetime.now(UTC).timestamp())
    sent = headers([new, old], "msg_1", now, body.encode())
    for secret in (new, old):
        Webhook(secret).verify(body, sent, json_parse=False)
    for wrong in ({**sent, "webhook-id": "msg_2"}, {**sent, "webhook-timestamp": str(now + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(body, wrong, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, sent, json_parse=False)


def test_a_sealed_secret_opens_for_its_webhook_alone() -> None:
    sealer = Sealer(b"k" * 32)
    sealed = seal(sealer, "t", "wh_1", "whsec_x")
    assert "whsec" not in sealed
    assert unseal(sealer, "t", "wh_1", [sealed]) == ["whsec_x"]
    for tenant, webhook in (("t", "wh_2"), ("other", "wh_1")):
        with pytest.raises(SettingsError):
            unseal(sealer, tenant, webhook, [sealed])
    with pytest.raises(SettingsError):
        unseal(sealer, "t", "wh_1", ["no base64"])
