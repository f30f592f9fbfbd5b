"""relay-sync: tells the hubs of each change, and they tell the user's open devices."""

from __future__ import annotations

from itertools import groupby

from functions.runtime.fanout import Fanout
from functions.runtime.triggers import on
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS, Changes


@on(TASK_EVENTS)
@on(REMINDER_EVENTS)
def relay_sync(changes: Changes, fanout: Fanout) -> None:
    for user_id, events in groupby(changes.events, key=lambda event: event.user_id):
        fanout.tell(user_id, list(events))
