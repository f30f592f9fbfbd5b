"""Devices: where, beyond the app itself, a user's notifications go."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.tasks.devices import LIMIT, Device, Registration
from functions.tasks.errors import AlreadyExists, InvalidInput, NotFound
from functions.tasks.models import Caller
from functions.tasks.values import uuid7


class Devices:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, caller: Caller) -> list[Device]:
        """The caller's devices, the oldest first, without secrets."""
        rows = self._database.of(caller.user_id).all(
            "select device_id as id, kind, name, endpoint, created_at from devices where user_id = %s"
            " order by created_at, device_id",
            (caller.user_id,),
        )
        return [Device.model_validate(row) for row in rows]

    def register(self, caller: Caller, device: Registration, secret: str | None, now: datetime) -> Device:
        """Makes a device, or gives the one of this endpoint its new name and keys; `secret` is kept and answered
        only when it is made.

        Raises InvalidInput for one more than LIMIT, AlreadyExists for an endpoint of another kind.
        """
        values = {**device.model_dump(), "device_id": str(uuid7(now)), "secret": secret, "created_at": now.isoformat()}
        row = self._database.of(caller.user_id).one(
            "select * from save_device(%s, %s, %s)",
            (Jsonb(caller.model_dump(mode="json")), Jsonb(values), LIMIT),
        )
        assert row is not None
        if row["outcome"] == "full":
            raise InvalidInput("endpoint", f"a user has at most {LIMIT} devices: remove one first")
        if row["outcome"] == "exists":
            raise AlreadyExists("this endpoint is registered as another kind of device")
        return Device.model_validate(row["device"])

    def remove(self, user_id: UUID, device_id: UUID) -> None:
        """Raises NotFound."""
        if not self._database.of(user_id).all(
            "delete from devices where user_id = %s and device_id = %s returning 1", (user_id, device_id)
        ):
            raise NotFound("device")

    def get(self, user_id: UUID, device_id: UUID) -> dict[str, Any]:
        """One device with its keys and its secret, for who sends to it. Raises NotFound."""
        row = self._database.of(user_id).one(
            "select device_id, kind, endpoint, p256dh, auth, secret from devices where user_id = %s and device_id = %s",
            (user_id, device_id),
        )
        if row is None:
            raise NotFound("device")
        return row

    def unsubscribe(self, user_id: UUID, address: str) -> None:
        """Ends reminders by email to this address: removes its device, and where it is the user's own, switches
        email off. The second time there is nothing left to do."""
        self._database.of(user_id).all(
            "with removed as ("
            "  delete from devices where user_id = %(user)s and kind = 'email' and endpoint = %(address)s)"
            " update users set email_notifications = false where user_id = %(user)s and email = %(address)s",
            {"user": user_id, "address": address},
        )
