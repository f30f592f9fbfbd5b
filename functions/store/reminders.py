"""Reminders that are due, and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.store.users import COLUMNS, settings_of
from functions.tasks.delivery import Key, Recipient
from functions.tasks.events import ATTEMPTS, Delivery, DueReminder
from functions.tasks.values import uuid7

LEASE = timedelta(seconds=60)
"""How long a claimed reminder, or an attempt at a delivery, is left to whoever claimed it. Longer than all
attempts at a message together."""

MAX_ATTEMPTS = ATTEMPTS
"""Attempts at a delivery, in which a receiver may ask to wait."""


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
        rows = self._database.system.all(
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

    def release(self, reminders: Sequence[DueReminder]) -> None:
        """Gives up these claims, so that the next tick has them."""
        self._database.system.all(
            "update reminders set claimed_at = null where status = 'pending'"
            " and (user_id, reminder_id) in (select * from unnest(%s::uuid[], %s::uuid[]))",
            ([r.user_id for r in reminders], [r.reminder_id for r in reminders]),
        )

    def release_expired(self, now: datetime, lease: timedelta = LEASE) -> None:
        """Gives up the claims older than `lease`: their messages were lost with whoever held them."""
        self._database.system.all(
            "update reminders set claimed_at = null"
            " where status = 'pending' and claimed_at is not null and claimed_at <= %s",
            (now - lease,),
        )

    def next_due(self, before: datetime) -> datetime | None:
        """When the next pending reminder is due, if that is before `before`."""
        row = self._database.system.one(
            "select min(scheduled_time) as next from reminders"
            " where status = 'pending' and claimed_at is null and scheduled_time < %s",
            (before,),
        )
        return row["next"] if row else None

    def recipients(self, reminders: list[DueReminder]) -> dict[Key, Recipient]:
        """For each of these reminders that is still pending, its user's settings and devices."""
        rows = self._database.system.all(
            f"""
            select r.reminder_id, u.user_id, {COLUMNS}, (
                select coalesce(jsonb_agg(jsonb_build_array(kind,
                    case when kind = 'email' then endpoint else device_id::text end) order by kind, endpoint), '[]')
                from devices x where x.user_id = u.user_id) as devices
            from unnest(%s::uuid[], %s::uuid[]) as d (user_id, reminder_id)
            join reminders r using (user_id, reminder_id) join users u using (user_id) where r.status = 'pending'
            """,
            ([r.user_id for r in reminders], [r.reminder_id for r in reminders]),
        )
        users: dict[UUID, Recipient] = {}
        for row in rows:
            if row["user_id"] not in users:
                devices = [(channel, address) for channel, address in row["devices"]]
                users[row["user_id"]] = Recipient(settings_of(row), devices)
        return {(row["user_id"], row["reminder_id"]): users[row["user_id"]] for row in rows}

    def plan_deliveries(self, deliveries: list[Delivery], now: datetime) -> list[Delivery]:
        """Keeps a row for each delivery, once; answers those of these reminders that are still to be made, in order.

        A reminder's deliveries are planned when it is first routed: a device that came later does not get it,
        and one that was planned and is not among `deliveries` any more is answered all the same. A reminder of
        which all that is pending waits for a later time (`not_before`) is claimed until that time.
        """
        if not deliveries:
            return []
        rows = self._database.system.all(
            """
            with wanted as (
                select distinct * from jsonb_to_recordset(%(deliveries)s)
                    as w (user_id uuid, reminder_id uuid, channel text, address text, not_before timestamptz)),
            known as materialized (
                select user_id, reminder_id, channel, address, status, not_before from deliveries
                where (user_id, reminder_id) in (select user_id, reminder_id from wanted)),
            planned as (
                insert into deliveries (user_id, reminder_id, channel, address, not_before, held_until)
                select user_id, reminder_id, channel, address, not_before, not_before
                from wanted w join reminders r using (user_id, reminder_id)  -- not one that is deleted meanwhile
                where not exists (select from known k where k.user_id = w.user_id and k.reminder_id = w.reminder_id)
                for key share of r
                on conflict do nothing
                returning user_id, reminder_id, channel, address, not_before),
            held_again as (
                update deliveries x set not_before = w.not_before, held_until = w.not_before
                from wanted w
                where w.not_before is not null and x.status = 'pending'
                    and x.user_id = w.user_id and x.reminder_id = w.reminder_id
                    and x.channel = w.channel and x.address = w.address),
            pending as (
                select * from planned union all
                select k.user_id, k.reminder_id, k.channel, k.address, coalesce(w.not_before, k.not_before)
                from known k left join wanted w using (user_id, reminder_id, channel, address)
                where k.status = 'pending'),
            held as (
                update reminders r set claimed_at = h.until - %(lease)s::interval
                from (select user_id, reminder_id, min(not_before) as until from pending
                      group by user_id, reminder_id having bool_and(coalesce(not_before > %(now)s, false))) h
                where r.user_id = h.user_id and r.reminder_id = h.reminder_id and r.status = 'pending')
            select * from pending
            """,
            {"deliveries": _dump(deliveries), "now": now, "lease": LEASE},
        )
        due = {(d.user_id, d.reminder_id): d for d in deliveries}
        order = {delivery.key: number for number, delivery in enumerate(deliveries)}
        return [
            due[row["user_id"], row["reminder_id"]].model_copy(
                update={"channel": row["channel"], "address": row["address"], "not_before": row["not_before"]}
            )
            for row in sorted(rows, key=lambda row: order.get(_key(row), len(order)))
        ]

    def begin_attempts(self, deliveries: list[Delivery], now: datetime) -> list[Delivery]:
        """Claims the deliveries that are pending, of a pending reminder, not held, and attempted by nobody else."""
        rows = self._database.system.all(
            """
            update deliveries x set attempts = x.attempts + 1, attempted_at = %(now)s
            from jsonb_to_recordset(%(deliveries)s) as d (user_id uuid, reminder_id uuid, channel text, address text)
            where x.user_id = d.user_id and x.reminder_id = d.reminder_id and x.channel = d.channel
                and x.address = d.address and x.status = 'pending'
                and (x.attempted_at is null or x.attempted_at <= %(expired)s)
                and coalesce(x.not_before <= %(now)s, true)
                and exists (
                    select from reminders r
                    where r.user_id = x.user_id and r.reminder_id = x.reminder_id and r.status = 'pending')
            returning x.user_id, x.reminder_id, x.channel, x.address
            """,
            {"now": now, "expired": now - LEASE, "deliveries": _dump(deliveries)},
        )
        claimed = {_key(row) for row in rows}
        return [delivery for delivery in deliveries if delivery.key in claimed]

    def end_attempt(self, delivery: Delivery, reason: str) -> None:
        """Notes a failed attempt, so that the next one may begin at once."""
        self._database.of(delivery.user_id).all(
            "update deliveries set attempted_at = null, reason = %s"
            " where user_id = %s and reminder_id = %s and channel = %s and address = %s and status = 'pending'",
            (reason, *delivery.key),
        )

    def postpone(self, delivery: Delivery, until: datetime, reason: str) -> bool:
        """Notes a failed attempt and holds the delivery until a time that its receiver named; False, and nothing
        held, once it was attempted MAX_ATTEMPTS times."""
        rows = self._database.of(delivery.user_id).all(
            "update deliveries set attempted_at = null, not_before = %s, reason = %s"
            " where user_id = %s and reminder_id = %s and channel = %s and address = %s and status = 'pending'"
            " and attempts < %s returning 1",
            (until, reason, *delivery.key, MAX_ATTEMPTS),
        )
        return bool(rows)

    def record(
        self,
        deliveries: list[Delivery],
        status: Literal["sent", "failed"],
        now: datetime,
        correlation_id: str,
        reason: str | None = None,
    ) -> int:
        """Records outcomes, each once, with its event; answers how many were new."""
        if not deliveries:
            return 0
        items = [{**d.model_dump(mode="json"), "event_id": str(uuid7(now))} for d in deliveries]
        row = self._database.system.one(
            "select record_deliveries(%s, %s, %s, %s, %s) as recorded",
            (Jsonb(items), status, reason, now, correlation_id),
        )
        self._database.changed({delivery.user_id for delivery in deliveries})
        return row["recorded"] if row else 0

    def redrive(self, user_id: UUID | None = None, reminder_id: UUID | None = None) -> int:
        """Makes failed deliveries pending again, of one user or of all; answers how many."""
        database = self._database.system if user_id is None else self._database.of(user_id)
        row = database.one("select redrive_deliveries(%s, %s) as redriven", (user_id, reminder_id))
        return row["redriven"] if row else 0

    def forget_claims(self) -> None:
        """Gives up every claim and attempt: for a start with a broker that forgot what was under way."""
        self._database.system.all(
            "update reminders set claimed_at = null where status = 'pending' and claimed_at is not null"
        )
        self._database.system.all(
            "update deliveries set attempted_at = null where status = 'pending' and attempted_at is not null"
        )


def _dump(deliveries: list[Delivery]) -> Jsonb:
    fields = {"user_id", "reminder_id", "channel", "address", "not_before"}
    return Jsonb([d.model_dump(mode="json", include=fields) for d in deliveries])


def _key(row: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    return row["user_id"], row["reminder_id"], row["channel"], row["address"]
