"""Web push against a push service that checks who sends and a browser that decrypts."""

from __future__ import annotations

import time
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from functions.runtime.keys import Keys
from functions.runtime.outbound import Outbound
from functions.runtime.settings import Settings
from functions.runtime.web_push import TTL, WebPush, encrypt
from functions.tasks.errors import Unavailable, Undeliverable
from tests.delivery.peers import Browser, Peer, decode, read_vapid


@pytest.fixture
def sender(settings: Settings, keys: Keys, outbound: Outbound) -> WebPush:
    return WebPush(settings, keys, outbound)


def device(peer: Peer, browser: Browser) -> dict[str, Any]:
    return {"endpoint": peer.url("/push/abc"), **browser.keys}


def test_a_message_arrives_encrypted_and_from_who_it_says(sender: WebPush, keys: Keys) -> None:
    browser = Browser()
    with Peer() as peer:
        sender.send(device(peer, browser), {"title": "Süßes 👍", "body": ""}, topic="t" * 32)
    (request,) = peer.requests
    assert browser.read(request) == {"title": "Süßes 👍", "body": ""}
    assert "Süßes".encode() not in request.body
    claims, key = read_vapid(request, peer.url(""))
    assert key == keys.vapid_public
    assert time.time() < claims["exp"] <= time.time() + 24 * 3600  # RFC 8292 section 2
    assert claims["sub"] == "https://tickler.example"
    assert request.headers["ttl"] == str(TTL)
    assert request.headers["urgency"] == "high"
    assert request.headers["topic"] == "t" * 32


def test_two_messages_share_no_key(sender: WebPush) -> None:
    browser = Browser()
    with Peer() as peer:
        for _ in range(2):
            sender.send(device(peer, browser), {"title": "x"}, topic="t")
    one, other = peer.requests
    assert one.body[:16] != other.body[:16]  # salt
    assert one.body[21:86] != other.body[21:86]  # ephemeral public key


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_has_ended_is_gone(sender: WebPush, status: int) -> None:
    with Peer(answers=[(status, {})]) as peer, pytest.raises(Undeliverable, match=str(status)) as failure:
        sender.send(device(peer, Browser()), {}, topic="t")
    assert failure.value.gone


@pytest.mark.parametrize("status", [400, 401, 403, 413, 301])
def test_what_is_refused_for_good_is_no_second_try(sender: WebPush, status: int) -> None:
    with Peer(answers=[(status, {})]) as peer, pytest.raises(Undeliverable, match=str(status)) as failure:
        sender.send(device(peer, Browser()), {}, topic="t")
    assert not failure.value.gone


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_is_refused_for_now_is_tried_again_after_the_delay_asked_for(sender: WebPush, status: int) -> None:
    with Peer(answers=[(status, {"Retry-After": "90"})]) as peer, pytest.raises(Unavailable) as failure:
        sender.send(device(peer, Browser()), {}, topic="t")
    assert failure.value.retry_after == 90


def test_keys_that_are_no_keys_are_no_second_try() -> None:
    for p256dh, auth in (("AAAA", "AAAA"), ("", ""), ("!", "!")):
        with pytest.raises(Undeliverable):
            encrypt(b"x", p256dh, auth)


def test_our_decryption_reads_the_example_of_rfc_8291() -> None:
    """Section 5: so that a mistake that both sides of http_ece share would show."""
    private = ec.derive_private_key(
        int.from_bytes(decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big"), ec.SECP256R1()
    )
    body = decode(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    plain = http_ece.decrypt(
        body, private_key=private, auth_secret=decode("BTBZMqHH6r4Tts7J_aSIgg"), version="aes128gcm"
    )
    assert plain == b"When I grow up, I want to be a watermelon"
