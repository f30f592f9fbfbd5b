"""Users and their settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.tasks.errors import Unavailable
from functions.tasks.models import Caller
from functions.tasks.user_settings import QuietHours, UserSettings, next_digest

COLUMNS = "email, time_zone, email_notifications, quiet_start, quiet_end, digest_at"
RETRIES = 10
"""How often a change is planned again on settings that another command changed meanwhile."""


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database

    def settings(self, caller: Caller) -> UserSettings:
        """The caller's settings; the defaults for one who never gave a command."""
        row = self._database.of(caller.user_id).one(
            f"select {COLUMNS} from users where user_id = %s", (caller.user_id,)
        )
        return settings_of(row) if row else UserSettings(email=caller.email)

    def change(self, caller: Caller, plan: Callable[[UserSettings], UserSettings], now: datetime) -> UserSettings:
        """Reads, plans and writes. What waits for the end of quiet hours that are no more is routed again.

        Raises Unavailable when other commands were faster each time.
        """
        for _ in range(RETRIES):
            settings = self.settings(caller)
            planned = plan(settings)
            if planned == settings:
                return settings
            row = self._database.of(caller.user_id).one(
                "select save_settings(%s, %s, %s) as saved",
                (
                    Jsonb(caller.model_dump(mode="json")),
                    Jsonb(_columns(settings)),
                    Jsonb(_columns(planned) | {"next_digest_at": _text(next_digest(planned, now))}),
                ),
            )
            if row is not None and row["saved"]:
                return planned
        raise Unavailable("the settings are being changed: try again")

    def delete(self, user_id: UUID) -> None:
        """Deletes the user and everything that is theirs; the second time there is nothing left to do."""
        self._database.system.all("select delete_user(%s)", (user_id,))

    def end_digest(self, user_id: UUID) -> None:
        """Sends that user no further digest."""
        self._database.of(user_id).all(
            "update users set digest_at = null, next_digest_at = null where user_id = %s", (user_id,)
        )


def settings_of(row: dict[str, Any]) -> UserSettings:
    """The settings in a row that has COLUMNS."""
    quiet = row["quiet_start"] is not None
    return UserSettings(
        email=row["email"],
        time_zone=row["time_zone"],
        email_notifications=row["email_notifications"],
        quiet_hours=QuietHours(start=row["quiet_start"], end=row["quiet_end"]) if quiet else None,
        digest_at=row["digest_at"],
    )


def _columns(settings: UserSettings) -> dict[str, Any]:
    quiet = settings.quiet_hours
    return {
        "time_zone": settings.time_zone,
        "email_notifications": settings.email_notifications,
        "quiet_start": _text(quiet.start if quiet else None),
        "quiet_end": _text(quiet.end if quiet else None),
        "digest_at": _text(settings.digest_at),
    }


def _text(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
