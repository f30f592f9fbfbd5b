"""LISTEN: hearing of users' new seqs from PostgreSQL itself (ChangeLog.notify), on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from psycopg import AsyncConnection, Error

from functions.store.changes import NOTIFIED
from functions.tasks.errors import Outage


async def listen(url: str, listening: Callable[[], None], heard: Callable[[UUID, int], None]) -> None:
    """Calls `heard` with user and seq for each notification, after `listening` once from when on none is missed.

    Goes on until it is cancelled. Raises Outage when the database does not answer, or no longer.
    """
    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, connect_timeout=5, keepalives_idle=10, keepalives_interval=5, keepalives_count=2
        )
        async with connection:
            await connection.execute(f"listen {NOTIFIED}".encode())
            listening()
            async for notification in connection.notifies():
                user_id, _, seq = notification.payload.partition(" ")
                with suppress(ValueError):  # whoever may connect may notify
                    heard(UUID(user_id), int(seq))
    except (Error, OSError) as error:
        raise Outage("the database does not answer: try again") from error
    raise Outage("the database closed the connection")
