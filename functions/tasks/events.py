"""The events that functions publish and consume. Consumers ignore fields that they do not know."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from functions.tasks.models import Caller, Channel, ReminderChannel
from functions.tasks.values import Instant, PlainText

TASK_CREATE = "task.create"
TASK_EVENTS = "task.events"
REMINDER_EVENTS = "reminder.events"
REMINDER_DUE = "reminder.due"
NOTIFICATION_SEND = "notification.send"
NOTIFICATION_WEB_PUSH = "notification.send.web-push"
NOTIFICATION_WEBHOOK = "notification.send.webhook"
NOTIFICATION_DLQ = "notification.dlq"
MESSAGE_DLQ = "message.dlq"

ATTEMPTS = 4
"""How often a message is handled that fails, before it goes to the dead-letter topic of its subscription."""

SEND_TOPICS: dict[Channel, str] = {
    "email": NOTIFICATION_SEND,
    "web_push": NOTIFICATION_WEB_PUSH,
    "webhook": NOTIFICATION_WEBHOOK,
}
"""The channels that leave the system, a topic each: a webhook that is slow holds up no mail."""


class Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ChangeEvent(Event):
    """One entry of a user's change log: `seq` is gapless per user, in commit order."""

    event_id: UUID
    type: str
    user_id: UUID
    seq: int
    occurred_at: Instant
    correlation_id: str = ""
    entity_type: str
    entity_id: UUID
    data: dict[str, Any] = {}


class Changes(Event):
    """On `task.events` and `reminder.events`: a run of one user's change log, in order, so that a consumer that
    is behind catches up by fewer, longer messages.

    `type` says what `data` has (functions/tasks/event_data.py, docs/events). On `task.events` are those of tasks and
    tags, on `reminder.events` those of reminders. A type that a consumer does not know is not for it.
    """

    events: Annotated[list[ChangeEvent], Field(min_length=1)]


class Command(Event):
    """On a topic of commands (`task.create`): what an import or another system asks for on behalf of a user.

    `command` has the inputs of the function. Without an `id` of its own, one is derived from the CloudEvent's,
    so that a redelivery creates nothing new.
    """

    user_id: UUID
    name: PlainText = ""
    email: PlainText | None = None
    correlation_id: PlainText = ""
    command: dict[str, Any]


class DueReminder(Event):
    """A reminder whose time has come, with what a notification says."""

    user_id: UUID
    reminder_id: UUID
    task_id: UUID
    title: str
    due_date: str | None = None
    time_zone: str = "UTC"
    scheduled_time: AwareDatetime
    delivery_channel: ReminderChannel = "all"


class ReminderDue(Event):
    """On `reminder.due`: a batch, so that a burst of reminders is a few messages."""

    correlation_id: str = ""
    reminders: Annotated[list[DueReminder], Field(min_length=1)]


class Delivery(DueReminder):
    """One reminder to one channel and address: the natural key of a notification."""

    channel: Channel
    address: str = Field(
        default="", description="where to: an email address, the id of a web push or webhook device; empty for in_app"
    )
    not_before: AwareDatetime | None = Field(default=None, description="held until then")
    test: bool = Field(default=False, description="of no reminder: what a user asked for, to see that it arrives")

    @property
    def key(self) -> tuple[UUID, UUID, str, str]:
        """What makes it the same delivery: user, reminder, channel and address."""
        return self.user_id, self.reminder_id, self.channel, self.address


class NotificationSend(Event):
    """On the topics of SEND_TOPICS: one delivery that leaves the system."""

    correlation_id: str = ""
    delivery: Delivery


class RawMessage(Event):
    """On `message.dlq`: a message as it was on its own topic, byte for byte; where it was one, a CloudEvent in JSON."""

    data: bytes


def caller_of(event: ChangeEvent) -> Caller:
    """The user of a change, for what a consumer does on their behalf."""
    return Caller(user_id=event.user_id, name="", correlation_id=event.correlation_id, by_message=True)


def topic_of(event_type: str) -> str:
    """The topic that a change of this type is published on."""
    return REMINDER_EVENTS if event_type.startswith("reminder.") else TASK_EVENTS


def details_of(event: ChangeEvent) -> dict[str, Any]:
    """What the activity log keeps of a change: enough to read it years later, without the whole task. Of a type that
    is not known here, all that it says beside the task."""
    task = event.data.get("task")
    if event.entity_type == "task" and isinstance(task, dict):
        kept = {name: task.get(name) for name in ("title", "due_date", "recurrence_id", "occurrence", "version")}
        return kept | ({"changes": event.data["changes"]} if "changes" in event.data else {})
    return {name: value for name, value in event.data.items() if name != "task"}
