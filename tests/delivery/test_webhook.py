"""Webhooks against a receiver that verifies the signature."""

from __future__ import annotations

import time

import pytest

from functions.runtime.outbound import Outbound
from functions.runtime.webhook import Webhook, new_secret, signature
from functions.tasks.errors import Unavailable, Undeliverable
from tests.delivery.peers import Peer, verify_webhook

MESSAGE = {"id": "5b0f3f4e", "type": "reminder.due", "title": "Süßes"}


def test_a_body_arrives_signed(outbound: Outbound) -> None:
    secret = new_secret()
    with Peer() as peer:
        Webhook(outbound).send({"endpoint": peer.url("/hook"), "secret": secret}, MESSAGE)
    (request,) = peer.requests
    assert verify_webhook(request, secret) == MESSAGE
    assert abs(time.time() - int(request.headers["x-tickler-timestamp"])) < 10
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(AssertionError):
        verify_webhook(request, new_secret())


def test_the_signature_is_what_the_documentation_says() -> None:
    """The value is of `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`."""
    expected = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature("secret", 1_700_000_000, b"{}") == f"t=1700000000,v1={expected}"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_success(outbound: Outbound, status: int) -> None:
    with Peer(answers=[(status, {})]) as peer:
        Webhook(outbound).send({"endpoint": peer.url(), "secret": "s"}, MESSAGE)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (302, Undeliverable), (400, Undeliverable), (401, Undeliverable), (404, Undeliverable), (410, Undeliverable),
        (408, Unavailable), (429, Unavailable), (500, Unavailable), (503, Unavailable),
    ],
)  # fmt: skip
def test_other_answers_are_failures_for_good_or_for_now(
    outbound: Outbound, status: int, failure: type[Exception]
) -> None:
    with Peer(answers=[(status, {})]) as peer, pytest.raises(failure, match=str(status)) as raised:
        Webhook(outbound).send({"endpoint": peer.url(), "secret": "s"}, MESSAGE)
    assert getattr(raised.value, "gone", False) is (status == 410)


def test_secrets_differ() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
