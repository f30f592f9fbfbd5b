"""Webhooks: a JSON body, signed with the device's secret.

    X-Tickler-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">
    X-Tickler-Timestamp: <t>
    X-Tickler-Delivery:  <id, the same each time one delivery is sent>

The receiver computes the same over the bytes it got, compares in constant time, and refuses an old `t`.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from hashlib import sha256
from typing import Any

from functions.runtime.outbound import Outbound
from functions.tasks.errors import Unavailable, Undeliverable


class Webhook:
    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def send(self, device: dict[str, Any], message: dict[str, Any]) -> None:
        """Returns once the receiver has answered 2xx.

        Raises Undeliverable for an answer that will not change (a redirect among them; `gone` for a 410),
        Unavailable else.
        """
        body = json.dumps(message, ensure_ascii=False).encode()
        timestamp = int(time.time())
        answer = self._outbound.post(
            device["endpoint"],
            body,
            {
                "Content-Type": "application/json",
                "X-Tickler-Delivery": message["id"],
                "X-Tickler-Timestamp": str(timestamp),
                "X-Tickler-Signature": signature(device["secret"], timestamp, body),
            },
        )
        if answer.accepted:
            return
        reason = f"the webhook answered {answer.status}"
        if answer.status == 410:
            raise Undeliverable(reason, gone=True)
        if answer.retryable:
            raise Unavailable(reason, answer.retry_after)
        if 300 <= answer.status < 400:
            reason += ", and redirects are not followed"
        raise Undeliverable(reason)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"
