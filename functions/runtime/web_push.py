"""Web push: RFC 8030 messages, encrypted for the browser (RFC 8291), from a server that says who it is (RFC 8292)."""

from __future__ import annotations

import json
import time
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from functions.runtime.keys import Keys
from functions.runtime.outbound import Outbound
from functions.runtime.settings import Settings
from functions.tasks.devices import decode_key
from functions.tasks.errors import Unavailable, Undeliverable

TTL = 24 * 3600
"""Seconds that a push service keeps a message for a browser that is away (RFC 8030 section 5.2)."""
EXPIRES = 12 * 3600
"""Seconds that a token holds; 24 hours at most (RFC 8292 section 2)."""


class WebPush:
    def __init__(self, settings: Settings, keys: Keys, outbound: Outbound) -> None:
        address = parseaddr(settings.mail_from)[1]
        self._contact = settings.url if settings.url.startswith("https:") else f"mailto:{address}"
        self._keys = keys
        self._outbound = outbound

    def send(self, device: dict[str, Any], message: dict[str, Any], *, topic: str) -> None:
        """Returns once the push service has taken the message; `topic` (32 base64url characters at most) makes a
        repeat take the place of one that still waits.

        Raises Undeliverable for a message that no attempt will bring through (`gone` where the subscription has
        ended: 404 or 410, RFC 8030 section 7.3), Unavailable else.
        """
        answer = self._outbound.post(
            device["endpoint"],
            encrypt(json.dumps(message, ensure_ascii=False).encode(), device["p256dh"], device["auth"]),
            {
                "Authorization": self._authorization(device["endpoint"]),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": str(TTL),
                "Urgency": "high",
                "Topic": topic,
            },
        )
        if answer.accepted:
            return
        reason = f"the push service answered {answer.status}"
        if answer.status in (404, 410):
            raise Undeliverable(f"{reason}: the subscription has ended", gone=True)
        if answer.retryable:
            raise Unavailable(reason, answer.retry_after)
        raise Undeliverable(reason)

    def _authorization(self, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(time.time()) + EXPIRES,
            "sub": self._contact,
        }
        authorization: str = self._keys.vapid.sign(claims)["Authorization"]
        return authorization


def encrypt(plain: bytes, p256dh: str, auth: str) -> bytes:
    """An aes128gcm body (RFC 8188) under a key of its own (RFC 8291 section 3). Raises Undeliverable for keys that
    are none."""
    try:
        body: bytes = http_ece.encrypt(
            plain,
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=decode_key(p256dh),
            auth_secret=decode_key(auth),
            version="aes128gcm",
        )
    except (ValueError, TypeError, http_ece.ECEException) as error:
        raise Undeliverable("the device's keys are not usable") from error
    return body
