"""The channels that leave the house: one `send` for all of them."""

from __future__ import annotations

import contextlib
from uuid import UUID

from functions.runtime.keys import Keys
from functions.runtime.mailer import Mailer
from functions.runtime.outbound import Outbound
from functions.runtime.settings import Settings
from functions.runtime.web_push import WebPush
from functions.runtime.webhook import Webhook
from functions.store.devices import Devices
from functions.tasks.delivery import delivery_id, email_of, push_of, webhook_of
from functions.tasks.errors import NotFound, Undeliverable
from functions.tasks.events import Delivery

DIGEST = "digest"
"""What the unsubscribe token of a digest names in place of an address."""


class Channels:
    def __init__(self, settings: Settings, devices: Devices, mailer: Mailer, outbound: Outbound, keys: Keys) -> None:
        self._url = settings.url
        self._devices = devices
        self._mailer = mailer
        self._keys = keys
        self._web_push = WebPush(settings, keys, outbound)
        self._webhook = Webhook(outbound)

    def send(self, delivery: Delivery) -> None:
        """Returns once the other side has taken the notification.

        Raises Unavailable where a later attempt may succeed, else Undeliverable with the reason; a device that
        is gone is removed.
        """
        if delivery.channel == "email":
            link = self.unsubscribe_url(delivery.user_id, delivery.address)
            self._mailer.send(email_of(delivery, unsubscribe_url=link))
            return
        try:
            device = self._devices.get(delivery.user_id, UUID(delivery.address))
        except NotFound:
            raise Undeliverable("the device was removed") from None
        try:
            if delivery.channel == "web_push":
                self._web_push.send(device, push_of(delivery, url=self._url), topic=delivery_id(delivery).hex)
            else:
                self._webhook.send(device, webhook_of(delivery, url=self._url))
        except Undeliverable as error:
            if error.gone:
                with contextlib.suppress(NotFound):
                    self._devices.remove(delivery.user_id, device["device_id"])
            raise

    def unsubscribe_url(self, user_id: UUID, what: str) -> str:
        """Ends mails to an address, or with DIGEST the digest."""
        return f"{self._url}/api/unsubscribe?token={self._keys.unsubscribe_token(user_id, what)}"
