"""An export: everything that is a user's, in a form that another program reads, and that this one takes back."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from functions.tasks.devices import Device
from functions.tasks.errors import InvalidInput
from functions.tasks.models import Activity, Channel, CreateTask, Input, Tag, Task
from functions.tasks.query import Cursor
from functions.tasks.recurrence_model import Recurrence
from functions.tasks.series import begin_rest
from functions.tasks.user_settings import UserSettings
from functions.tasks.values import Instant


class ExportData(Input):
    """Without `cursor` the first part, else the one after the part that answered it as `next_cursor`."""

    cursor: Cursor | None = None


class ExportedTask(Task):
    """A task as the API answers it. `create` has the inputs of `POST /api/tasks` that make it again, under its id."""

    create: CreateTask


class ExportedDelivery(BaseModel):
    """What became of a reminder on one channel. `address` is an email address, or the id of a device."""

    reminder_id: str
    channel: Channel
    address: str
    status: Literal["pending", "sent", "failed"]
    attempts: int
    not_before: Instant | None
    held_until: Instant | None
    delivered_at: Instant | None
    reason: str | None


class ExportedDigest(BaseModel):
    """What became of the daily digest of one local day."""

    day: date
    status: Literal["pending", "sent", "empty", "failed"]
    attempts: int
    delivered_at: Instant | None
    reason: str | None


class ExportedAccount(BaseModel):
    user_id: str
    name: str
    email: str | None
    created_at: Instant


class Export(BaseModel):
    """A part of an export; the whole of it where `next_cursor` is null. The parts make one file: the first one, with
    the items of the others added to each list.

    A part is of one moment, `seq` in the user's change log. Where all parts have the same one, so is the whole.
    """

    format: Literal["tickler-export"] = "tickler-export"
    format_version: Literal[1] = Field(default=1, description="grows when a reader of the one before would misread it")
    exported_at: Instant
    seq: int
    account: ExportedAccount | None = Field(description="null for a user who never gave a command")
    settings: UserSettings
    devices: list[Device] = []
    tags: list[Tag] = []
    tasks: list[ExportedTask] = []
    activity: list[Activity] = []
    deliveries: list[ExportedDelivery] = []
    digests: list[ExportedDigest] = []
    next_cursor: str | None = None

    @property
    def file_name(self) -> str:
        return f"tickler-export-{self.exported_at:%Y-%m-%d}.json"


def exported_task(task: Task) -> ExportedTask:
    """With what makes it again: of a recurring task that is open, what is left of its series; of a completed one the
    task by itself, as what follows it is another task of the export. Reminders as they were asked for: that one was
    snoozed or cancelled is not among the inputs."""
    create = CreateTask(
        id=task.id,
        title=task.title,
        description=task.description,
        priority=task.priority,
        due_date=task.due_date,
        time_zone=task.time_zone,
        tags=[tag.name for tag in task.tags],
        reminder_offset=task.reminder_offset,
        reminders=task.reminder_specs,
        recurrence=_rest(task) if task.status == "open" else None,
    )
    return ExportedTask(**dict(task), create=create)


def _rest(task: Task) -> Recurrence | None:
    """The recurrence of a new series that goes on from this task as its own would. None where nothing comes."""
    if task.recurrence is None or task.series_start is None:
        return None
    try:
        rest = begin_rest(task, task.id).recurrence
    except InvalidInput:  # its end was before the date that it was moved to
        return None
    return _with_days_of(rest, _first_day(task)) if rest else None


def _first_day(task: Task) -> date:
    zone = ZoneInfo(task.series_time_zone or task.time_zone)
    start = task.series_start
    assert start is not None
    return start.astimezone(zone).date() if isinstance(start, datetime) else start


def _with_days_of(recurrence: Recurrence, first: date) -> Recurrence:
    """Says what the rule leaves to the start of its series, which the new one does not begin on: a task that is due on
    28 February may be of the 31st. One that is counted from completion has no such days."""
    unit = recurrence.unit or (recurrence.type or "").removesuffix("ly")
    if recurrence.anchor == "completion" or recurrence.days_of_week or unit not in ("week", "month", "year"):
        return recurrence
    if unit == "week":
        return recurrence.model_copy(update={"days_of_week": (first.weekday(),)})
    update: dict[str, int] = {} if recurrence.day_of_month else {"day_of_month": first.day}
    if unit == "year" and recurrence.month is None:
        update["month"] = first.month
    return recurrence.model_copy(update=update)
