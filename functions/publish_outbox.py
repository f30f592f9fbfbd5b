"""publish-outbox: publishes what a crash left behind, and the dead messages that an operator wants tried again."""

from __future__ import annotations

from datetime import datetime

import structlog

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import cron, sends
from functions.store.dead_messages import DeadMessages
from functions.store.events import Outbox
from functions.tasks.errors import Unavailable
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS

USERS = 200
"""Users a round."""


@cron("outbox-tick", "@every 5s")
@sends(TASK_EVENTS, REMINDER_EVENTS, redrives=True)
def publish_outbox(
    outbox: Outbox, dead_messages: DeadMessages, sidecar: Sidecar, settings: Settings, now: datetime
) -> None:
    if settings.broker == "in-memory":
        outbox.replay_unseen(now)
    while users := outbox.pending_users(USERS):
        if outbox.publish(users, sidecar.publish_changes) == 0:
            break  # another publisher has them
    for topic in dead_messages.topics():
        try:
            while dead_messages.publish(topic, sidecar.publish_again):
                pass
        except Unavailable as error:  # it holds up no other topic
            structlog.get_logger().warning("publish_failed", topic=topic, error=str(error))
