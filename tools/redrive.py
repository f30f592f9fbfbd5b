"""`make redrive`: tries the dead letters of every user again, through the functions that run.

A notification that failed is pending again where its task is open and its device is there; due-reminders sends it at
its next tick. A message that could not be handled is published again by publish-outbox at its next tick.
TICKLER_DATABASE_URL names the database, else the running system's data folder does (TICKLER_DATA, .tickler).
"""

import json
import os
import sys
from pathlib import Path

from functions.store.database import Database
from functions.store.dead_messages import DeadMessages
from functions.store.reminders import Reminders
from functions.tasks.errors import Unavailable


def database_url() -> str | None:
    """The URL of the database; None where neither the environment nor a running system names one."""
    if url := os.environ.get("TICKLER_DATABASE_URL"):
        return url
    try:
        known = json.loads((Path(os.environ.get("TICKLER_DATA") or ".tickler") / "run.json").read_text())
        return str(known["database_url"])
    except (OSError, ValueError, KeyError):
        return None


def main() -> int:
    """Prints how many of which; exit status 1 where the database does not answer, 2 where none is named."""
    url = database_url()
    if url is None:
        print("redrive: nothing runs here; start it with `make run`, or set TICKLER_DATABASE_URL", file=sys.stderr)
        return 2
    database = Database(url, size=1)
    database.open()
    try:
        notifications = Reminders(database).redrive()
        dead_messages = DeadMessages(database)
        messages, waiting = dead_messages.redrive(), dead_messages.counts()
    except Unavailable:
        print("redrive: the database does not answer; check TICKLER_DATABASE_URL", file=sys.stderr)
        return 1
    finally:
        database.close()
    print(f"{notifications} notifications are sent again")
    print(f"{messages} messages are published again")
    for topic, count in waiting.items():
        if topic is not None:
            print(f"  {topic}: {count}")
    if garbage := waiting.get(None):
        print(f"{garbage} cannot be: no events, or too long; see the table dead_messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
