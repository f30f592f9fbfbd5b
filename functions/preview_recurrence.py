"""preview-recurrence: the next occurrences of a rule, and the rule in words and as RFC 5545 text."""

from __future__ import annotations

from functions.runtime.triggers import http
from functions.store.tasks import Tasks
from functions.tasks.models import Caller
from functions.tasks.recurrence import Preview, PreviewRecurrence, preview


@http("POST", "/api/recurrence/preview", reads=True)
def preview_recurrence(query: PreviewRecurrence, caller: Caller, tasks: Tasks) -> Preview:
    time_zone = query.time_zone or tasks.time_zone(caller)
    return preview(query.recurrence, start=query.due_date, time_zone=time_zone, count=query.count)
