"""The change log as an outbox, and the activity log that consumers make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.store.pages import fitting
from functions.tasks.events import ChangeEvent, details_of
from functions.tasks.models import Activity, ActivityPage, Caller
from functions.tasks.query import ListActivity, decode_cursor, encode_cursor

Publish = Callable[[list[ChangeEvent]], None]

REPLAY = timedelta(minutes=1)
"""How far before the last publication a broker that forgets is given events again."""

SEEN_WITHIN = timedelta(seconds=20)
"""How soon after its publication an event is in the activity log, unless it was lost. Longer than all attempts."""


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    def pending_users(self, limit: int) -> list[UUID]:
        """Users with unpublished events."""
        rows = self._database.system.all(
            "select distinct user_id from (select user_id from events where published_at is null limit %s) e",
            (limit,),
        )
        return [row["user_id"] for row in rows]

    def pending(self, users: Iterable[UUID]) -> set[UUID]:
        """Those of `users` that have unpublished events."""
        rows = self._database.system.all(
            "select user_id from unnest(%s::uuid[]) as u (user_id)"
            " where exists (select from events e where e.user_id = u.user_id and e.published_at is null)",
            (list(users),),
        )
        return {row["user_id"] for row in rows}

    def publish(self, users: Iterable[UUID], publish: Publish, limit: int = 500) -> int:
        """Publishes the unpublished events of `users` in order, through `publish`, and marks them.

        A user whom another publisher serves right now is left to it (an advisory lock each, for the
        transaction): so a user's events leave in order of `seq`, whoever publishes them. When `publish` raises,
        nothing is marked. Answers how many events were published; `limit` at most.
        """
        with self._database.system.transaction() as connection:
            # Locked first, read afterwards: the read must see what the last holder of the lock marked.
            mine = [
                row["user_id"]
                for row in connection.execute(
                    "select user_id from unnest(%s::uuid[]) as u (user_id)"
                    " where pg_try_advisory_xact_lock(hashtextextended(user_id::text, 0))",
                    (sorted(set(users)),),
                )
            ]
            rows = connection.execute(
                "select event_id, type, user_id, seq, occurred_at, correlation_id, entity_type, entity_id, data"
                " from events where published_at is null and user_id = any(%s) order by user_id, seq limit %s",
                (mine, limit),
            ).fetchall()
            if rows:
                publish([ChangeEvent.model_construct(**row) for row in rows])
                connection.execute(
                    "update events set published_at = clock_timestamp()"
                    " where (user_id, seq) in (select * from unnest(%s::uuid[], %s::bigint[]))",
                    ([row["user_id"] for row in rows], [row["seq"] for row in rows]),
                )
            return len(rows)

    def replay_unseen(self, now: datetime) -> None:
        """Marks as unpublished what a broker that forgets has lost: recent events that the activity log has not
        seen though they were published a while ago."""
        self._database.system.all(
            "update events e set published_at = null where published_at between %s and %s and not exists ("
            " select from activity a where a.user_id = e.user_id and a.seq = e.seq)",
            (now - 6 * SEEN_WITHIN, now - SEEN_WITHIN),
        )

    def replay_recent(self) -> None:
        """The same at a start, when no consumer has anything under way: the events of the last REPLAY before
        the newest publication, and any that the activity log has not seen."""
        self._database.system.all(
            "update events e set published_at = null"
            " where published_at >="
            "  (select max(published_at) from events where published_at is not null) - %s::interval"
            " or published_at is not null and not exists ("
            "   select from activity a where a.user_id = e.user_id and a.seq = e.seq)",
            (REPLAY,),
        )


class ActivityLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, events: Sequence[ChangeEvent]) -> None:
        """Keeps events, each once: its key is (user_id, seq). One that the change log does not have is of an account
        that was deleted, and is not kept."""
        rows: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for event in events:
            rows[event.user_id].append(
                {
                    **event.model_dump(mode="json", exclude={"data"}),
                    "task_id": str(event.entity_id) if event.entity_type == "task" else event.data.get("task_id"),
                    "details": details_of(event),
                }
            )
        for user_id, of_user in rows.items():  # one, but for a message that is not ours
            self._database.of(user_id).all(
                "insert into activity"
                " (user_id, seq, event_id, event_type, entity_type, entity_id, task_id, occurred_at, details)"
                " select e.user_id, e.seq, e.event_id, e.type, e.entity_type, e.entity_id, e.task_id, e.occurred_at,"
                "  e.details"
                " from jsonb_to_recordset(%s) as e (user_id uuid, seq bigint, event_id uuid, type text,"
                "  entity_type text, entity_id uuid, task_id uuid, occurred_at timestamptz, details jsonb)"
                " join events l on l.user_id = e.user_id and l.seq = e.seq and l.event_id = e.event_id"
                " join users u on u.user_id = e.user_id for key share of u"  # not one that is deleted meanwhile
                " on conflict do nothing",
                (Jsonb(of_user),),
            )

    def page(self, caller: Caller, query: ListActivity) -> ActivityPage:
        """Newest first. Raises InvalidInput for a cursor that is not one."""
        where = ["user_id = %(user_id)s"]
        params: dict[str, Any] = {"user_id": caller.user_id, "rows": query.limit + 1, "offset": query.offset}
        for clause, name, value in (
            ("occurred_at >= %(from)s", "from", query.from_),
            ("occurred_at < %(to)s", "to", query.to),
            ("event_type = any(%(event_type)s)", "event_type", query.event_type or None),
            ("entity_type = any(%(entity_type)s)", "entity_type", query.entity_type or None),
            ("entity_id = %(entity_id)s", "entity_id", query.entity_id),
            ("task_id = %(task_id)s", "task_id", query.task_id),
        ):
            if value is not None:
                where.append(clause)
                params[name] = value
        if query.cursor is not None:
            (params["before"],) = decode_cursor(query.cursor, "seq", ("bigint",))
            where.append("seq < %(before)s")
        rows = self._database.of(caller.user_id).all(
            "select event_id as id, seq, event_type, entity_type, entity_id, occurred_at as timestamp, details"
            " from activity where " + " and ".join(where) + " order by seq desc limit %(rows)s offset %(offset)s",
            params,
        )
        items = fitting([Activity.model_validate(row) for row in rows[: query.limit]])
        more = len(rows) > len(items)
        return ActivityPage(items=items, next_cursor=encode_cursor(["seq", items[-1].seq]) if more else None)
