"""Daily digests: one a user and local day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.store.database import Database
from functions.store.task_lists import DUE
from functions.store.users import COLUMNS, settings_of
from functions.tasks.digest import DigestTask, DueDigest, digest_day, window_end
from functions.tasks.user_settings import next_digest

LEASE = timedelta(seconds=60)
"""How long an attempt at a digest is left to whoever began it. Longer than an attempt can take."""

READ = 500
"""Tasks that one digest looks at, the earliest due first."""


class Digests:
    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, now: datetime, limit: int) -> int:
        """Makes a pending digest for up to `limit` users whose time has come, and sets their next time; answers
        for how many. Concurrent calls never get the same user (`skip locked`)."""
        with self._database.system.transaction() as connection:
            due = connection.execute(
                f"select user_id, next_digest_at, {COLUMNS} from users where next_digest_at <= %s"
                " order by next_digest_at limit %s for update skip locked",
                (now, limit),
            ).fetchall()
            for row in due:
                settings = settings_of(row)
                day = digest_day(settings, row["next_digest_at"], now)
                connection.execute(
                    "with made as (insert into digests (user_id, day) select %(user)s, %(day)s"
                    "  where %(day)s::date is not null on conflict do nothing)"
                    " update users set next_digest_at = %(next)s where user_id = %(user)s",
                    {"user": row["user_id"], "day": day, "next": next_digest(settings, now)},
                )
            return len(due)

    def claim(self, now: datetime) -> DueDigest | None:
        """A pending digest that nobody else is sending, the longest not attempted first; None when there is none.
        One whose day is over, or whose user wants none any more, is settled as failed instead."""
        while True:
            row = self._database.system.one(
                f"""
                with next as (
                    select user_id, day from digests
                    where status = 'pending' and (attempted_at is null or attempted_at <= %(expired)s)
                    order by attempts, day, user_id limit 1 for update skip locked)
                update digests d set attempts = d.attempts + 1, attempted_at = %(now)s
                from next, users u
                where d.user_id = next.user_id and d.day = next.day and u.user_id = d.user_id
                returning d.user_id, d.day, {COLUMNS}
                """,
                {"now": now, "expired": now - LEASE},
            )
            if row is None:
                return None
            settings = settings_of(row)
            digest = DueDigest(user_id=str(row["user_id"]), day=row["day"], settings=settings)
            today = now.astimezone(ZoneInfo(settings.time_zone)).date()
            if settings.digest_at is None or settings.email is None:
                self.record(digest, "failed", now, "not wanted any more, or no address")
            elif digest.day < today:
                self.record(digest, "failed", now, "its day is over")
            else:
                return digest

    def tasks(self, digest: DueDigest) -> list[DigestTask]:
        """The user's open tasks that are due by the end of the day after, the earliest first."""
        end = window_end(digest.day, ZoneInfo(digest.settings.time_zone))
        rows = self._database.of(UUID(digest.user_id)).all(
            "select title, due_at, due_on, overdue_at from tasks t"
            " where user_id = %s and deleted_at is null and status = 'open'"
            f" and {DUE} < %s order by {DUE}, task_id limit %s",
            (digest.user_id, end + timedelta(days=1), READ),
        )
        return [DigestTask(**row) for row in rows]

    def record(
        self,
        digest: DueDigest,
        status: Literal["pending", "sent", "empty", "failed"],
        now: datetime,
        reason: str | None = None,
    ) -> None:
        """Notes how an attempt ended, once; `pending` for one that may be made again."""
        self._database.of(UUID(digest.user_id)).all(
            "update digests set status = %(status)s, reason = %(reason)s,"
            " attempted_at = case when %(status)s = 'pending' then %(now)s - %(pause)s::interval end,"
            " delivered_at = case when %(status)s = 'sent' then %(now)s::timestamptz end"
            " where user_id = %(user)s and day = %(day)s and status = 'pending'",
            {
                "status": status,
                "reason": reason,
                "now": now,
                "pause": LEASE - timedelta(seconds=30),
                "user": digest.user_id,
                "day": digest.day,
            },
        )
