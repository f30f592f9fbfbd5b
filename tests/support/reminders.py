"""What became of reminders, as their user sees it: in the activity log, in the task, and in the mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.client import Client, Json
from tests.support.system import System
from tests.support.waiting import eventually


def due_in(seconds: float) -> str:
    """The instant this many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def deliveries(client: Client, task_id: str | None = None, event_type: str = "reminder.sent") -> list[Json]:
    """The details of this user's delivered reminders (or of one task's), oldest first."""
    query = {"event_type": event_type} | ({"task_id": task_id} if task_id else {})
    return [entry["details"] for entry in reversed(client.activity(**query))]


def channels(client: Client, task_id: str) -> list[str]:
    """By which channels the reminders of a task were delivered, sorted."""
    return sorted(details["channel"] for details in deliveries(client, task_id))


def lateness(details: Json) -> float:
    """Seconds from a reminder's time to its delivery."""
    delivered, scheduled = (datetime.fromisoformat(details[name]) for name in ("delivered_at", "scheduled_time"))
    return (delivered - scheduled).total_seconds()


def wait_delivered(client: Client, task_id: str, *, count: int = 2, timeout: float = 15) -> list[Json]:
    """The deliveries of a task once there are `count` of them."""
    eventually(
        lambda: len(channels(client, task_id)) >= count,
        timeout=timeout,
        what=f"{count} deliveries for task {task_id} of {client.user}",
    )
    return deliveries(client, task_id)


def subjects(system: System, client: Client) -> list[str]:
    """The subjects of the user's mails, sorted, without what every one of them begins with."""
    return sorted(mail.subject.removeprefix("Reminder: ") for mail in system.mails(client.email))


class Sentinel:
    """A reminder that falls due after others: once it is delivered, the others had their time.

    It is what makes "nothing more comes" something to wait for.
    """

    def __init__(self, client: Client, seconds: float) -> None:
        """`seconds` from now; at least one more than those it comes after."""
        self._client = client
        self._task = client.create("sentinel", due_date=due_in(seconds), reminder_offset="PT0S")

    def wait(self) -> None:
        wait_delivered(self._client, self._task["id"])
