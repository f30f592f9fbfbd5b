"""publish-outbox: publishes what a crash left behind."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import cron, sends
from functions.store.events import Outbox
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS

USERS = 200
"""Users a round."""


@cron("outbox-tick", "@every 5s")
@sends(TASK_EVENTS, REMINDER_EVENTS)
def publish_outbox(outbox: Outbox, sidecar: Sidecar, settings: Settings, now: datetime) -> None:
    if settings.broker == "in-memory":
        outbox.replay_unseen(now)
    while users := outbox.pending_users(USERS):
        if outbox.publish(users, sidecar.publish_changes) == 0:
            return  # another publisher has them
