"""What each type of event in the change log says: the shape of its `data`.

For the documents (docs/events) and for whoever wants a typed view. Consumers here read from `data` what they need and
no more, so a field or a type that they do not know costs nothing and breaks nothing.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field

from functions.tasks.events import Event
from functions.tasks.field_changes import Conflict
from functions.tasks.models import Channel, Reminder, Tag, Task
from functions.tasks.values import Instant


class TaskChange(Event):
    """`task` is the task after the change, as the API answers it."""

    task: Task
    changes: dict[str, tuple[Any, Any]] = Field(
        default={}, description="of each field that changed its old and its new value; left out where none did"
    )
    conflicts: list[Conflict] = Field(
        default=[],
        description="where this edit met others made since the version that it was made on, `yours` being this one's;"
        " left out where it met none",
    )


class TagChange(Event):
    """`tag` is the tag after the change, or as it was when it was deleted."""

    tag: Tag


class ReminderDelivered(Event):
    """What became of one delivery of a reminder: it was sent, or failed for good."""

    task_id: UUID
    title: str
    channel: Channel
    reminder: Reminder
    scheduled_time: Instant
    held_until: Instant | None = Field(default=None, description="the end of the quiet hours that it waited for")
    reason: str | None = Field(default=None, description="why it failed")
    delivered_at: Instant | None = None
    lateness_seconds: float = Field(description="counted from scheduled_time, or from held_until")


class ReminderChanged(Event):
    """What a user did to a reminder. `task` is its task after that, whose version grew."""

    task_id: UUID
    title: str
    reminder: Reminder = Field(description="snoozed: the new one; cancelled: the last one that was cancelled")
    task: Task


EVENT_DATA: dict[str, type[Event]] = {
    "task.created": TaskChange,
    "task.updated": TaskChange,
    "task.completed": TaskChange,
    "task.reopened": TaskChange,
    "task.skipped": TaskChange,
    "task.deleted": TaskChange,
    "tag.created": TagChange,
    "tag.updated": TagChange,
    "tag.deleted": TagChange,
    "reminder.sent": ReminderDelivered,
    "reminder.failed": ReminderDelivered,
    "reminder.snoozed": ReminderChanged,
    "reminder.cancelled": ReminderChanged,
}
"""Every type of event. What is before the dot is its `entity_type`."""
