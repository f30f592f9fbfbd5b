"""sync-changes: what changed in the caller's list since a seq, in order; without one, the whole list in pages."""

from __future__ import annotations

from functions.runtime.triggers import http
from functions.store.changes import ChangeLog
from functions.tasks.models import Caller
from functions.tasks.sync import Snapshot, SyncChanges, SyncedChanges


@http("GET", "/api/sync")
def sync_changes(query: SyncChanges, caller: Caller, log: ChangeLog) -> SyncedChanges | Snapshot:
    if query.after is None:
        return log.snapshot(caller, query.cursor, query.limit)
    return log.after(caller.user_id, query.after, query.limit).synced()
