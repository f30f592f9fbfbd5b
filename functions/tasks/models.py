"""Tasks, tags and reminders, and the commands that change them, as the public API spells them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from functions.tasks.errors import InvalidInput
from functions.tasks.field_changes import Conflict, FieldChange
from functions.tasks.recurrence_model import Recurrence
from functions.tasks.values import (
    Bool,
    Description,
    DueDate,
    Duration,
    Instant,
    Int,
    TagNames,
    Title,
    ZoneName,
    before,
    start_of_day,
)

Status = Literal["open", "completed"]
Priority = Literal["low", "medium", "high", "urgent"]
Channel = Literal["in_app", "email", "web_push", "webhook"]
ReminderChannel = Literal["all", "in_app", "email", "web_push", "webhook"]
ReminderStatus = Literal["pending", "sent", "late", "cancelled", "failed"]
Scope = Literal["this", "following"]
"""Of an edit of a recurring task: this occurrence, or this one and those that follow."""


class Caller(BaseModel, frozen=True):
    """Who a command runs for, what began it, what the token is for (runtime/auth.py), and of which sign-in it is."""

    user_id: UUID
    name: str
    email: str | None = None
    correlation_id: str = ""
    by_message: bool = False  # named by a message, not proved by a token
    scopes: frozenset[str] = Field(default=frozenset(), exclude=True)
    sign_in: UUID | None = Field(default=None, exclude=True)
    expires_at: datetime | None = Field(default=None, exclude=True)  # of the token; for who stays connected


class Input(BaseModel):
    """Base of what callers send: an unknown field is refused, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tag(BaseModel):
    id: UUID
    name: str
    color: str


class ReminderSpec(Input):
    """When to remind: `offset` before the due date, or `at` an instant."""

    offset: Duration | None = None
    at: Instant | None = None
    delivery_channel: ReminderChannel = "all"

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.offset is None) == (self.at is None):
            raise ValueError("give either offset or at")
        return self


class Reminder(BaseModel):
    """One reminder of a task. `status` late means delivered more than a minute after `scheduled_time`."""

    id: UUID
    offset: Duration | None = None
    at: Instant | None = None
    scheduled_time: AwareDatetime
    status: ReminderStatus = "pending"
    delivery_channel: ReminderChannel = "all"
    snoozed_from: UUID | None = Field(default=None, description="the reminder that this one repeats at a later time")
    dismissed: bool = Field(default=False, exclude=True)
    """The user wants no more of it: it stays cancelled when its task is moved or reopened. Kept, not answered."""


class Task(BaseModel):
    """A task as every function answers it."""

    id: UUID
    title: str
    description: str = ""
    status: Status = "open"
    priority: Priority = "medium"
    due_date: DueDate | None = None
    time_zone: str = "UTC"
    all_day: bool = False
    tags: list[Tag] = []
    reminder_offset: Duration | None = None
    reminders: list[Reminder] = []
    recurrence: Recurrence | None = None
    recurrence_id: UUID | None = None
    occurrence: int | None = None
    version: int = 1
    created_at: Instant
    updated_at: Instant
    completed_at: Instant | None = None
    reminder_specs: list[ReminderSpec] = Field(default=[], exclude=True)
    """The further reminders as asked for; `reminders` is what became of them. Kept, not answered, as what follows."""
    series_start: DueDate | None = Field(default=None, exclude=True)
    """The due date of occurrence 1, which every later one is counted from, by the clock of `series_time_zone`."""
    series_time_zone: str | None = Field(default=None, exclude=True)
    follows: UUID | None = Field(default=None, exclude=True)
    """The completed task that this one is the next occurrence of. A task is followed by one at most."""
    followed_by: UUID | None = Field(default=None, exclude=True)
    field_changes: dict[str, FieldChange] = Field(default={}, exclude=True)
    deleted: bool = Field(default=False, exclude=True)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def due_at(self) -> datetime | None:
        """The due instant: for an all-day task, the moment its day begins in its own zone."""
        if self.due_date is None or isinstance(self.due_date, datetime):
            return self.due_date
        return start_of_day(self.due_date, self.zone)

    @property
    def overdue_at(self) -> datetime | None:
        """From when an open task is overdue: at its instant, or once its day is over in its own zone."""
        if self.due_date is None or isinstance(self.due_date, datetime):
            return self.due_date
        return start_of_day(self.due_date + timedelta(days=1), self.zone)

    def scheduled_time(self, spec: ReminderSpec | Reminder) -> datetime | None:
        """When a reminder of this task fires; None for an offset without a due date."""
        if spec.at is not None:
            return spec.at.astimezone(UTC)
        if spec.offset is None or self.due_at is None:
            return None
        return before(self.due_at, spec.offset, self.zone)


class TaskFields(Input):
    """What a caller may set on a task."""

    title: Title
    description: Description = ""
    status: Status = "open"
    priority: Priority = "medium"
    due_date: DueDate | None = None
    time_zone: ZoneName | None = None
    all_day: Bool | None = None
    tags: TagNames = []
    reminder_offset: Duration | None = None
    reminders: Annotated[list[ReminderSpec], Field(max_length=20)] = []
    recurrence: Recurrence | None = None


class CreateTask(TaskFields):
    """`id` is the caller's own, so that a repeat creates nothing new; without one the server makes it."""

    id: UUID | None = None
    status: Literal["open"] = "open"


def _without_default(schema: dict[str, Any]) -> None:
    """For a field whose absence is no value at all: the document names no default that the API would refuse."""
    schema.pop("default", None)


class UpdateTask(TaskFields):
    """The named fields change (PATCH), or all of them (PUT: those not named take their defaults, but for `status`
    and `time_zone`, which stay).

    `version`, when given, must be the latest one, else 409. `base_version` instead is the one that the edit was made
    on, at `made_at`: of what was changed since and is named here, the later edit stays. `add_tags` and `remove_tags`
    change the tags whatever they are now. `scope` says how far another `due_date`, `time_zone` or `all_day` of a
    recurring task reaches; another `recurrence` is always for this one and those that follow.
    """

    task_id: UUID
    version: Annotated[Int, Field(ge=1)] | None = None
    base_version: Annotated[Int, Field(ge=1)] | None = None
    made_at: Instant | None = None
    add_tags: TagNames = []
    remove_tags: TagNames = []
    scope: Scope = "this"
    title: Title = Field(default="", json_schema_extra=_without_default)
    replace: Bool = Field(default=False, description="true for PUT: what is not named takes its default")

    @model_validator(mode="before")
    @classmethod
    def _no_null_where_required(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for field in ("title", "description", "status", "priority", "tags", "reminders"):
                if field in data and data[field] is None:
                    raise InvalidInput(field, "must not be null")
            if data.get("version") is not None and data.get("base_version") is not None:
                raise InvalidInput("base_version", "give either version or base_version")
            for field in ("add_tags", "remove_tags"):
                if data.get(field) and ("tags" in data or data.get("replace") is True):
                    raise InvalidInput(field, "is not for a command that sets all tags")
            if data.get("replace") is True and "title" not in data:
                raise InvalidInput("title", "is required")
        return data


class TaskRef(Input):
    task_id: UUID


class VersionedRef(TaskRef):
    """`version`, when given, must be the latest one, else 409."""

    version: Annotated[Int, Field(ge=1)] | None = None


class OccurrenceRef(VersionedRef):
    """`occurrence`, when given, must be the one that the task is at, else 409. One that was skipped already is not
    skipped again: so naming it makes a repeat harmless."""

    occurrence: Annotated[Int, Field(ge=1)] | None = None


class CompleteTask(OccurrenceRef):
    """`action` is the last part of the REST path: complete, reopen or skip."""

    action: Literal["complete", "reopen", "skip"] = "complete"


class DeleteTask(OccurrenceRef):
    """`scope` this skips one occurrence of a recurring task; following deletes the task, and with it what is left
    of its series."""

    scope: Scope = "following"


class Deleted(BaseModel):
    id: UUID
    deleted: Literal[True] = True


class Page(BaseModel):
    """An HTML page, for a link that a person opens outside the app."""

    html: str


class UpdatedTask(Task):
    """The task after an edit, and where that met others' edits since its `base_version`."""

    conflicts: list[Conflict] = Field(default=[], exclude_if=lambda found: not found)


class TaskDetail(Task):
    """One task with its history: what the activity log has of it, newest first, 100 entries at most."""

    history: list[Activity] = []


class Activity(BaseModel):
    """One entry of the activity log."""

    id: UUID
    seq: int
    event_type: str
    entity_type: str
    entity_id: UUID
    timestamp: Instant
    details: dict[str, Any]


class ActivityPage(BaseModel):
    items: list[Activity]
    next_cursor: str | None = None


class TaskPage(BaseModel):
    items: list[Task]
    next_cursor: str | None = None


def resolve_due(due_date: date | datetime | None, all_day: bool | None) -> bool:
    """Whether a task is all-day: as said, else as its due date is written. Raises InvalidInput if they differ."""
    is_day = due_date is not None and not isinstance(due_date, datetime)
    if all_day is None or due_date is None:
        return is_day
    if all_day != is_day:
        wanted = "a date (YYYY-MM-DD)" if all_day else "an RFC 3339 date-time"
        raise InvalidInput("due_date", f"must be {wanted} when all_day is {str(all_day).lower()}")
    return is_day
