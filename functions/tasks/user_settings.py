"""A user's settings: their zone, and when and how they want to be told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input
from functions.tasks.values import Bool, ZoneName, from_wall

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


def _clock(value: Any) -> time:
    """A time of the 24-hour clock, to the minute."""
    if isinstance(value, time):
        return value
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return time.fromisoformat(value)
    raise PydanticCustomError("clock", "must be a time of day, e.g. 07:30")


Clock = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": _CLOCK.pattern, "examples": ["07:30"]}),
]


class QuietHours(Input):
    """From `start` until before `end`, by the clock of the user's zone; over midnight where start is after end."""

    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise PydanticCustomError("quiet_hours", "start and end must differ")
        return self

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """The instant at which the quiet hours that `now` is in end; None outside them.

        By the wall clock: where a change of DST skips or repeats the end, its first instant (see from_wall).
        """
        local = now.astimezone(zone)
        clock = local.time()
        if self.start < self.end:
            quiet, days = self.start <= clock < self.end, 0
        else:
            quiet, days = clock >= self.start or clock < self.end, 1 if clock >= self.start else 0
        if not quiet:
            return None
        ends = from_wall(datetime.combine(local.date() + timedelta(days=days), self.end), zone)
        return ends if ends > now else None


class UserSettings(BaseModel):
    """`email_notifications`: whether reminders go by email at all. `quiet_hours`: when email, web push and
    webhooks wait until they end. `digest_at`: when a day's digest goes to `email`; null for none."""

    email: str | None = None
    time_zone: str = "UTC"
    email_notifications: bool = True
    quiet_hours: QuietHours | None = None
    digest_at: Clock | None = None


class ManageSettings(Input):
    """The named fields change; none, and the settings are answered as they are. Null ends quiet hours, or the
    digest."""

    time_zone: ZoneName | None = None
    email_notifications: Bool | None = None
    quiet_hours: QuietHours | None = None
    digest_at: Clock | None = None


def plan_settings(command: ManageSettings, settings: UserSettings) -> UserSettings:
    """The settings with the command's fields. Raises InvalidInput."""
    values = {name: getattr(command, name) for name in command.model_fields_set}
    for name in ("time_zone", "email_notifications"):
        if name in values and values[name] is None:
            raise InvalidInput(name, "must not be null")
    if values.get("digest_at") is not None and settings.email is None:
        raise InvalidInput("digest_at", "needs an email address, and this user has none")
    return settings.model_copy(update=values)


def next_digest(settings: UserSettings, after: datetime) -> datetime | None:
    """When the first digest after that moment is due; None for a user who wants none."""
    if settings.digest_at is None:
        return None
    zone = ZoneInfo(settings.time_zone)
    day = after.astimezone(zone).date()
    for days in range(3):
        moment = from_wall(datetime.combine(day + timedelta(days=days), settings.digest_at), zone)
        if moment > after:
            return moment.astimezone(UTC)
    raise AssertionError("a day lasts less than 72 hours")
