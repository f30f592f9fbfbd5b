"""bury-message: keeps a message that no attempt handled, whatever its bytes; `make redrive` publishes it again."""

from __future__ import annotations

from datetime import datetime

import structlog

from functions.runtime.triggers import on
from functions.store.dead_messages import DeadMessages
from functions.tasks.dead_messages import read_dead_message
from functions.tasks.events import MESSAGE_DLQ, RawMessage


@on(MESSAGE_DLQ, dead_letter=None, raw=True)
def bury_message(message: RawMessage, dead_messages: DeadMessages, now: datetime) -> None:
    dead = read_dead_message(message.data)
    dead_messages.bury(dead, now)
    structlog.get_logger().error("buried", dead_id=str(dead.id), dead_topic=dead.topic, dead_event_id=dead.event_id)
