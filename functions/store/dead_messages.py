"""Messages that could not be handled: kept, and on the operator's word published again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from functions.store.database import Database
from functions.tasks.dead_messages import DeadMessage, ids_in

Publish = Callable[[str, Sequence[DeadMessage]], None]

BATCH = 100
"""Messages published at once."""
BATCH_BYTES = 2_000_000
"""Their length, but for one that is longer by itself: a sidecar takes 4 MiB at once."""

_LOCK = 7_400_712
"""The advisory lock that those who publish dead messages again take turns by."""


class DeadMessages:
    def __init__(self, database: Database) -> None:
        self._database = database

    def bury(self, message: DeadMessage, now: datetime) -> None:
        """Keeps a message, once. One that was published again and failed again is as it was before.

        One that names a user whose account was deleted, and who is not there again, is not kept.
        """
        self._database.system.all(
            "insert into dead_messages (id, topic, event_id, data, buried_at) select %s, %s, %s, %s::bytea, %s"
            " where not exists (select from unnest(%s::uuid[]) as named (user_id)"
            "  join deleted_users d on d.user_hash = user_hash(named.user_id)"
            "  where not exists (select from users u where u.user_id = named.user_id))"
            " on conflict (id) do update"
            " set data = excluded.data, buried_at = excluded.buried_at, redrive_at = null, redriven_at = null",
            (message.id, message.topic, message.event_id, message.data, now, ids_in(message.data)),
        )

    def counts(self) -> dict[str | None, int]:
        """How many were not published again yet, by topic; None for those that name no topic, and stay."""
        rows = self._database.system.all(
            "select topic, count(*) as messages from dead_messages where redriven_at is null group by 1 order by 1"
        )
        return {row["topic"]: row["messages"] for row in rows}

    def redrive(self) -> int:
        """Has all that were not published again yet published again; answers how many those are."""
        return len(
            self._database.system.all(
                "update dead_messages set redrive_at = clock_timestamp()"
                " where redrive_at is null and redriven_at is null and topic is not null returning 1"
            )
        )

    def topics(self) -> list[str]:
        """The topics that messages are to be published on again."""
        rows = self._database.system.all(
            "select distinct topic from dead_messages where redrive_at is not null order by 1"
        )
        return [row["topic"] for row in rows]

    def publish(self, topic: str, publish: Publish) -> int:
        """Publishes a batch of what is to be published on this topic again, the oldest first, through `publish`;
        answers how many. When that raises, nothing is noted: they are published another time.

        No message is locked meanwhile: one that fails again is buried again while others are still being published.
        """
        with self._database.system.transaction() as connection:
            turn = connection.execute("select pg_try_advisory_xact_lock(%s) as mine", (_LOCK,)).fetchone()
            if not turn["mine"]:
                return 0
            rows = connection.execute(
                "select * from (select id, topic, event_id, data, redrive_at, octet_length(data) as bytes,"
                "  sum(octet_length(data)) over (order by buried_at, id) as bytes_so_far from dead_messages"
                "  where redrive_at is not null and topic = %s order by buried_at, id limit %s) d"
                " where bytes_so_far <= %s or bytes_so_far = bytes",
                (topic, BATCH, BATCH_BYTES),
            ).fetchall()
            if rows:
                publish(topic, [DeadMessage(row["id"], row["data"], row["topic"], row["event_id"]) for row in rows])
                connection.execute(
                    "update dead_messages d set redrive_at = null, redriven_at = clock_timestamp()"
                    " from unnest(%s::uuid[], %s::timestamptz[]) as r (id, redrive_at)"
                    " where d.id = r.id and d.redrive_at = r.redrive_at",
                    ([row["id"] for row in rows], [row["redrive_at"] for row in rows]),
                )
            return len(rows)
