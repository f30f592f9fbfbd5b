"""prune-changes: forgets entries of the change log that no device comes back for any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from functions.runtime.settings import Settings
from functions.runtime.triggers import cron
from functions.store.changes import ChangeLog

USERS = 200
"""Users a statement."""
ENTRIES = 500
"""Of each of them, so that no statement takes long."""


@cron("prune-tick", "@every 10m")
def prune_changes(log: ChangeLog, settings: Settings, now: datetime) -> None:
    before = now - timedelta(days=settings.changes_kept_days)
    after: UUID | None = None
    while True:
        last, deleted = log.prune(before, after, USERS, ENTRIES)
        if last is None:
            return
        if deleted == 0:  # else the same users may have more
            after = last
