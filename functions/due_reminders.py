"""due-reminders: claims the reminders whose time has come and publishes them, to the moment.

A tick owns the second that follows it: it waits for each reminder that falls due in that second.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import cron, sends
from functions.store.reminders import Reminders
from functions.tasks.errors import Unavailable
from functions.tasks.events import REMINDER_DUE, DueReminder, ReminderDue
from functions.tasks.values import uuid7

TICK = timedelta(seconds=1)
CLAIM = 1000
"""Reminders a claim; all that are due are drained within the tick."""
BATCH = 100
"""Reminders a message."""
POLL = 0.2
"""Seconds after which a reminder is seen that was set for this very second."""


@cron("reminder-tick", "@every 1s")
@sends(REMINDER_DUE)
def due_reminders(reminders: Reminders, sidecar: Sidecar, now: datetime) -> None:
    reminders.release_expired(now)
    end = now + TICK
    while now < end:
        if claimed := reminders.claim_due(now, CLAIM):
            try:
                publish(sidecar, claimed, now)
            except Unavailable:
                reminders.release(claimed)
                raise
        else:
            following = reminders.next_due(end) or end
            time.sleep(max(0.0, min(POLL, (following - now).total_seconds())))
        now = datetime.now(UTC)


def publish(sidecar: Sidecar, claimed: Sequence[DueReminder], now: datetime) -> None:
    """A user's reminders go in one message where they can: it is keyed by its first one's user."""
    ordered = sorted(claimed, key=lambda reminder: (reminder.user_id, reminder.scheduled_time))
    messages = []
    for first in range(0, len(ordered), BATCH):
        identity = str(uuid7(now))
        batch = ordered[first : first + BATCH]
        messages.append((str(batch[0].user_id), identity, ReminderDue(correlation_id=identity, reminders=batch)))
    structlog.get_logger().info("due", reminders=len(ordered))
    sidecar.send(REMINDER_DUE, messages)
