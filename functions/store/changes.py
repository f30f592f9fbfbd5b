"""The change log as devices read it, and how long it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from functions.store.database import Database, Statements
from functions.tasks.errors import InvalidInput
from functions.tasks.events import ChangeEvent
from functions.tasks.models import Caller, Tag, Task
from functions.tasks.query import decode_cursor, encode_cursor
from functions.tasks.sync import Snapshot, Window

PART_BYTES = 1_000_000
"""An answer is closed once what it holds is so long: a sidecar carries 4 MiB, and an event is far less than what is
left of that."""

NOTIFIED = "tickler_changes"
"""The channel of NOTIFY on which hubs hear of a user's new seq where there is no Redis (append_event has it too)."""

_FIRST = UUID(int=0)
_CURSORS = {"sync tags": ("bigint", "uuid"), "sync tasks": ("bigint", "uuid")}


class ChangeLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, user_id: UUID, seq: int, limit: int, max_bytes: int = PART_BYTES) -> Window:
        """The entries after `seq`: `limit` at most, and none that begins beyond `max_bytes` of those before it. Of one
        moment, as where the log begins and ends is."""
        return _windows(self._database.of(user_id), {user_id: seq}, limit, max_bytes)[user_id]

    def of_several(self, after: Mapping[UUID, int], limit: int, max_bytes: int) -> dict[UUID, Window]:
        """The same for several users, each after a seq of their own, in one statement."""
        return _windows(self._database.system, after, limit, max_bytes)

    def current(self, users: Iterable[UUID]) -> dict[UUID, int]:
        """The last seq of each of these users; 0 for one who never gave a command, or is gone."""
        rows = self._database.system.all(
            "select u.user_id, coalesce(k.seq, 0) as seq from unnest(%s::uuid[]) as u (user_id)"
            " left join users k on k.user_id = u.user_id",
            (list(users),),
        )
        return {row["user_id"]: row["seq"] for row in rows}

    def notify(self, user_id: UUID, seq: int) -> None:
        """Tells whoever listens (listening.py) that the user's log goes until `seq`. It need not survive a crash, so it
        waits for no disk."""
        self._database.of(user_id).all(
            "select set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)", (NOTIFIED, f"{user_id} {seq}")
        )

    def snapshot(self, caller: Caller, cursor: str | None, limit: int) -> Snapshot:
        """A page of the caller's tags and tasks. The seq is read before everything else, so what any page lacks comes
        after it. Raises InvalidInput for a cursor that is not one."""
        if cursor is None:
            section, seq, after = "sync tags", self.after(caller.user_id, 0, 1).current, _FIRST
            if seq == 0:
                return Snapshot(seq=0)
        else:
            section, seq, after = _position(cursor)
        tags: list[Tag] = []
        if section == "sync tags":
            rows = self._database.of(caller.user_id).all(
                "select tag_id as id, name, color from tags where user_id = %s and tag_id > %s"
                " order by tag_id limit %s",
                (caller.user_id, after, limit + 1),
            )
            tags = [Tag.model_validate(row) for row in rows[:limit]]
            if len(rows) > limit:
                return Snapshot(tags=tags, seq=seq, next_cursor=encode_cursor(["sync tags", seq, tags[-1].id]))
            after = _FIRST
        tasks, more = self._tasks(caller, after, limit)
        next_cursor = encode_cursor(["sync tasks", seq, tasks[-1].id]) if more else None
        return Snapshot(tasks=tasks, tags=tags, seq=seq, next_cursor=next_cursor)

    def _tasks(self, caller: Caller, after: UUID, limit: int) -> tuple[list[Task], bool]:
        rows = self._database.of(caller.user_id).all(
            "select task, read from ("
            "  select task_id, task, count(*) over () as read, sum(bytes) over (order by task_id) - bytes as before"
            "  from ("
            "   select t.task_id, j.task, octet_length(j.task::text) as bytes"
            "   from tasks t cross join lateral (select task_json(t) as task offset 0) j"
            "   where t.user_id = %(user)s and t.task_id > %(after)s and t.deleted_at is null"
            "   order by t.task_id limit %(rows)s) b) w"
            " where before < %(bytes)s order by task_id",
            {"user": caller.user_id, "after": after, "rows": limit + 1, "bytes": PART_BYTES},
        )
        tasks = [Task.model_validate(row["task"]) for row in rows[:limit]]
        return tasks, bool(rows) and rows[0]["read"] > len(tasks)

    def prune(self, before: datetime, after: UUID | None, users: int, entries: int) -> tuple[UUID | None, int]:
        """Deletes what is older than `before` from the beginning of the logs of the next `users` users after `after`
        by id, `entries` of each at most: what was published and is in the activity log, up to the first entry that is
        not. So a log never has a hole, and where it begins says what is gone. Answers the last of these users, None
        where there are no more, and how many entries were deleted."""
        (row,) = self._database.system.all(
            "with batch as ("
            "  select user_id from users where user_id > %(after)s order by user_id limit %(users)s),"
            " old as (select b.user_id from batch b where %(before)s > ("
            "  select f.occurred_at from events f where f.user_id = b.user_id order by f.seq limit 1)),"
            " gone as (select o.user_id, h.seq from old o cross join lateral ("
            "  select seq, bool_and(done) over (order by seq) as done from ("
            "   select e.seq, case when e.occurred_at < %(before)s and e.published_at < %(before)s then"
            "    exists (select from activity a where a.user_id = e.user_id and a.seq = e.seq) else false end as done"
            "   from events e where e.user_id = o.user_id order by e.seq limit %(entries)s) f) h where h.done),"
            " deleted as (delete from events e using gone g where e.user_id = g.user_id and e.seq = g.seq returning 1)"
            " select (select user_id from batch order by user_id desc limit 1) as last,"
            "  (select count(*) from deleted) as deleted",
            {"after": after or _FIRST, "before": before, "users": users, "entries": entries},
        )
        return row["last"], row["deleted"]


def _windows(database: Statements, after: Mapping[UUID, int], limit: int, max_bytes: int) -> dict[UUID, Window]:
    rows = database.all(
        "select a.user_id as owner, a.after, coalesce(u.seq, 0) as current,"
        " coalesce((select k.seq from events k where k.user_id = u.user_id order by k.seq limit 1),"
        "  coalesce(u.seq, 0) + 1) as kept_from, e.*"
        " from unnest(%(users)s::uuid[], %(after)s::bigint[]) as a (user_id, after)"
        " left join users u on u.user_id = a.user_id"
        " left join lateral ("
        "  select *, sum(bytes) over (order by seq) - bytes as before from ("
        "   select event_id, type, user_id, seq, occurred_at, correlation_id, entity_type, entity_id, data,"
        "    octet_length(data::text) as bytes"
        "   from events where user_id = u.user_id and seq > a.after order by seq limit %(rows)s) w"
        " ) e on e.before < %(bytes)s order by a.user_id, e.seq",
        {"users": list(after), "after": list(after.values()), "rows": limit, "bytes": max_bytes},
    )
    windows = {row["owner"]: Window(row["after"], [], row["current"], row["kept_from"]) for row in rows}
    for row in rows:
        if row["seq"] is not None:
            windows[row["owner"]].events.append(ChangeEvent.model_validate(row))
    return windows


def _position(cursor: str) -> tuple[str, int, UUID]:
    for section, kinds in _CURSORS.items():
        try:
            seq, after = decode_cursor(cursor, section, kinds)
        except InvalidInput:
            continue
        return section, seq, after
    raise InvalidInput("cursor", "is not one that a snapshot answered")
