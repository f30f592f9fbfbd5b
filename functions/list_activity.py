"""list-activity: the caller's activity log, newest first."""

from __future__ import annotations

from functions.runtime.triggers import http
from functions.store.events import ActivityLog
from functions.tasks.models import ActivityPage, Caller
from functions.tasks.query import ListActivity


@http("GET", "/api/activity")
def list_activity(query: ListActivity, caller: Caller, log: ActivityLog) -> ActivityPage:
    return log.page(caller, query)
