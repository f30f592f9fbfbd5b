"""Reminders that are due, and their deliveries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.tasks.events import Delivery, DueReminder
from functions.tasks.values import uuid7

LEASE = timedelta(seconds=60)
"""How long a claimed reminder, or an attempt at a delivery, is left to whoever claimed it. Longer than all
attempts that Dapr makes at a message together."""


class Reminders:
    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_due(self, now: datetime, limit: int) -> list[DueReminder]:
        """Claims up to `limit` pending reminders whose time has come, the earliest first.

        Concurrent claims never get the same one (`skip locked`); one whose claim is older than LEASE and that
        was still not delivered is claimed again.
        """
        # The limit is part of the text, and the tasks are joined last: so the planner knows that it is about a few
        # rows, in a generic plan too, and reads none but those by their keys.
        rows = self._database.all(
            f"""
            with due as materialized (
                select user_id, reminder_id from reminders
                where status = 'pending' and claimed_at is null and scheduled_time <= %(now)s
                order by scheduled_time limit {limit:d} for update skip locked),
            claimed as (
                update reminders r set claimed_at = %(now)s from due
                where r.user_id = due.user_id and r.reminder_id = due.reminder_id
                returning r.*)
            select c.user_id, c.reminder_id, c.task_id, t.title, t.time_zone, c.scheduled_time, c.delivery_channel,
                coalesce(to_jsonb(t.due_on), to_jsonb(t.due_at)) as due_date
            from claimed c join tasks t on t.user_id = c.user_id and t.task_id = c.task_id
            """,
            {"now": now},
        )
        return [DueReminder.model_validate(row) for row in rows]

    def release_expired(self, now: datetime, lease: timedelta = LEASE) -> None:
        """Gives up the claims older than `lease`: their messages were lost with whoever held them."""
        self._database.all(
            "update reminders set claimed_at = null"
            " where status = 'pending' and claimed_at is not null and claimed_at <= %s",
            (now - lease,),
        )

    def next_due(self, before: datetime) -> datetime | None:
        """When the next pending reminder is due, if that is before `before`."""
        row = self._database.one(
            "select min(scheduled_time) as next from reminders"
            " where status = 'pending' and claimed_at is null and scheduled_time < %s",
            (before,),
        )
        return row["next"] if row else None

    def addresses(self, reminders: list[DueReminder]) -> dict[tuple[Any, Any], str | None]:
        """For each of these reminders that is still pending, its user's email address."""
        rows = self._database.all(
            "select r.user_id, r.reminder_id, u.email from unnest(%s::uuid[], %s::uuid[]) as d (user_id, reminder_id)"
            " join reminders r using (user_id, reminder_id) join users u using (user_id) where r.status = 'pending'",
            ([r.user_id for r in reminders], [r.reminder_id for r in reminders]),
        )
        return {(row["user_id"], row["reminder_id"]): row["email"] for row in rows}

    def plan_deliveries(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Keeps a row for each delivery, once; answers those that are still to be made."""
        rows = self._database.all(
            """
            insert into deliveries (user_id, reminder_id, channel, address)
            select distinct user_id, reminder_id, channel, address
            from jsonb_to_recordset(%s) as d (user_id uuid, reminder_id uuid, channel text, address text)
            on conflict (user_id, reminder_id, channel, address) do update set status = deliveries.status
            returning user_id, reminder_id, channel, address, status
            """,
            (_dump(deliveries),),
        )
        pending = {_key(row) for row in rows if row["status"] == "pending"}
        return [d for d in deliveries if (d.user_id, d.reminder_id, d.channel, d.address) in pending]

    def begin_attempts(self, deliveries: list[Delivery], now: datetime) -> list[Delivery]:
        """Claims the deliveries that are pending, of a pending reminder, and that nobody else is attempting."""
        rows = self._database.all(
            """
            update deliveries x set attempts = x.attempts + 1, attempted_at = %(now)s
            from jsonb_to_recordset(%(deliveries)s) as d (user_id uuid, reminder_id uuid, channel text, address text)
            where x.user_id = d.user_id and x.reminder_id = d.reminder_id and x.channel = d.channel
                and x.address = d.address and x.status = 'pending'
                and (x.attempted_at is null or x.attempted_at <= %(expired)s)
                and exists (
                    select from reminders r
                    where r.user_id = x.user_id and r.reminder_id = x.reminder_id and r.status = 'pending')
            returning x.user_id, x.reminder_id, x.channel, x.address
            """,
            {"now": now, "expired": now - LEASE, "deliveries": _dump(deliveries)},
        )
        claimed = {_key(row) for row in rows}
        return [d for d in deliveries if (d.user_id, d.reminder_id, d.channel, d.address) in claimed]

    def end_attempt(self, delivery: Delivery, reason: str) -> None:
        """Notes a failed attempt, so that the next one may begin at once."""
        self._database.all(
            "update deliveries set attempted_at = null, reason = %s"
            " where user_id = %s and reminder_id = %s and channel = %s and address = %s and status = 'pending'",
            (reason, delivery.user_id, delivery.reminder_id, delivery.channel, delivery.address),
        )

    def record(
        self,
        deliveries: list[Delivery],
        status: Literal["sent", "failed"],
        now: datetime,
        correlation_id: str,
        reason: str | None = None,
    ) -> int:
        """Records outcomes, each once, with its event; answers how many were new."""
        items = [{**d.model_dump(mode="json"), "event_id": str(uuid7(now))} for d in deliveries]
        row = self._database.one(
            "select record_deliveries(%s, %s, %s, %s, %s) as recorded",
            (Jsonb(items), status, reason, now, correlation_id),
        )
        self._database.on_change({delivery.user_id for delivery in deliveries})
        return row["recorded"] if row else 0

    def forget_claims(self) -> None:
        """Gives up every claim and attempt: for a start with a broker that forgot what was under way."""
        self._database.all("update reminders set claimed_at = null where status = 'pending' and claimed_at is not null")
        self._database.all(
            "update deliveries set attempted_at = null where status = 'pending' and attempted_at is not null"
        )


def _dump(deliveries: list[Delivery]) -> Jsonb:
    fields = {"user_id", "reminder_id", "channel", "address"}
    return Jsonb([d.model_dump(mode="json", include=fields) for d in deliveries])


def _key(row: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    return row["user_id"], row["reminder_id"], row["channel"], row["address"]
