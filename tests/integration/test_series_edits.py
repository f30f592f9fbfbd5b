"""Edits of a series, skipping, snoozing and cancelling, through the edge and through the Dapr API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, refused
from tests.support.reminders import Sentinel, channels, due_in, wait_delivered
from tests.support.waiting import eventually

instant = datetime.fromisoformat


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return unique_user(request.node.name) + "@example.test"


def daily(api: Api, **fields: Any) -> Json:
    given = {"title": "a", "due_date": "2030-05-01T07:00:00Z", "recurrence": {"type": "daily"}} | fields
    return api.ok("create", **given)


def next_of(client: Client, task: Json) -> Json:
    """The open task that there is once this one is completed and its next occurrence is there."""
    client.complete(task["id"])
    (following,) = eventually(lambda: client.tasks(status="open"), what="the next occurrence")
    return dict(following)


class TestSeries:
    def test_this_occurrence_moves_alone(self, api: Api) -> None:
        task = daily(api)
        moved = api.ok("update", task_id=task["id"], due_date="2030-05-01T15:00:00Z")
        assert (moved["recurrence_id"], moved["occurrence"]) == (task["recurrence_id"], 1)
        assert next_of(api.client, moved)["due_date"] == "2030-05-02T07:00:00Z"

    def test_this_one_and_those_that_follow_move(self, api: Api) -> None:
        task = daily(api, recurrence={"type": "daily", "count": 3})
        second = next_of(api.client, task)
        moved = api.ok("update", task_id=second["id"], due_date="2030-05-02T15:00:00Z", scope="following")
        assert moved["occurrence"] == 1
        assert moved["recurrence_id"] != task["recurrence_id"]
        assert moved["recurrence"]["count"] == 2
        assert next_of(api.client, moved)["due_date"] == "2030-05-03T15:00:00Z"

    def test_one_is_skipped(self, api: Api) -> None:
        task = daily(api, reminder_offset="PT1H")
        skipped = api.ok("skip", task_id=task["id"], occurrence=1)
        assert (skipped["id"], skipped["version"], skipped["occurrence"]) == (task["id"], 2, 2)
        assert skipped["due_date"] == "2030-05-02T07:00:00Z"
        assert [r["scheduled_time"] for r in skipped["reminders"]] == ["2030-05-02T06:00:00Z"]
        assert api.ok("skip", task_id=task["id"], occurrence=1) == skipped
        entry = eventually(lambda: api.client.activity(event_type="task.skipped"), what="the log has it")
        assert entry[0]["details"]["changes"]["occurrence"] == [1, 2]
        refused(api("complete", task_id=task["id"], occurrence=1), 409, code=10)

    def test_a_task_that_does_not_recur_is_not_skipped(self, api: Api) -> None:
        task = api.ok("create", title="a", due_date="2030-05-01")
        refused(api("skip", task_id=task["id"]), 400, code=3, field="task_id")
        assert "recur" in refused(api("skip", task_id=task["id"]), 400)["message"]

    def test_one_is_deleted_or_the_rest(self, api: Api) -> None:
        task = daily(api)
        assert api.ok("delete", task_id=task["id"], scope="this", occurrence=1)["occurrence"] == 2
        assert api.ok("delete", task_id=task["id"]) == {"id": task["id"], "deleted": True}
        assert api.client.tasks() == []

    def test_the_last_one_that_is_skipped_is_gone(self, api: Api) -> None:
        task = daily(api, recurrence={"type": "daily", "count": 1})
        assert api.ok("skip", task_id=task["id"]) == {"id": task["id"], "deleted": True}


class TestReminders:
    def test_are_listed(self, api: Api) -> None:
        task = api.ok("create", title="a", due_date="2030-05-01T07:00:00Z", reminder_offset="PT1H")
        assert api.ok("reminders", task_id=task["id"])["items"] == task["reminders"]

    def test_a_snoozed_one_fires_at_its_new_time_only(self, api: Api) -> None:
        soon = due_in(2)
        task = api.ok("create", title="later", due_date=soon, reminder_offset="PT0S")
        until = due_in(4)
        snoozed = api.ok("snooze", reminder_id=task["reminders"][0]["id"], until=until)
        assert (snoozed["status"], snoozed["snoozed_from"]) == ("pending", task["reminders"][0]["id"])
        sent = wait_delivered(api.client, task["id"])
        assert {instant(details["scheduled_time"]) for details in sent} == {instant(until)}
        assert channels(api.client, task["id"]) == ["email", "in_app"]

    def test_one_that_was_sent_is_sent_again(self, api: Api) -> None:
        task = api.ok("create", title="again", due_date=due_in(1), reminder_offset="PT0S")
        wait_delivered(api.client, task["id"])
        api.ok("snooze", reminder_id=task["reminders"][0]["id"], until=due_in(1))
        wait_delivered(api.client, task["id"], count=4)
        assert channels(api.client, task["id"]) == ["email", "email", "in_app", "in_app"]
        assert [r["status"] for r in api.client.get(task["id"])["reminders"]] == ["sent", "sent"]

    def test_one_that_was_cancelled_stays_away(self, api: Api) -> None:
        task = api.ok("create", title="never", due_date=due_in(2), reminder_offset="PT0S")
        cancelled = api.ok("cancel", reminder_id=task["reminders"][0]["id"])
        assert cancelled["status"] == "cancelled"
        assert api.ok("cancel", reminder_id=cancelled["id"]) == cancelled
        api.ok("update", task_id=task["id"], due_date=due_in(3))
        Sentinel(api.client, 4).wait()
        assert channels(api.client, task["id"]) == []
        log = api.client.activity(task_id=task["id"], event_type="reminder.cancelled")
        assert [entry["details"]["title"] for entry in log] == ["never"]

    def test_of_a_completed_task_are_not_snoozed(self, api: Api) -> None:
        task = api.ok("create", title="a", due_date="2030-05-01T07:00:00Z", reminder_offset="PT1H")
        api.ok("complete", task_id=task["id"])
        refused(api("snooze", reminder_id=task["reminders"][0]["id"], minutes=5), 400, code=3, field="reminder_id")

    @pytest.mark.parametrize(
        ("inputs", "field"),
        [
            ({}, "minutes"),
            ({"minutes": 0}, "minutes"),
            ({"minutes": 10_081}, "minutes"),
            ({"minutes": 5, "until": "2030-01-01T00:00:00Z"}, "minutes"),
            ({"until": "2030-01-01"}, "until"),
            ({"until": (datetime.now(UTC) - timedelta(days=1)).isoformat()}, "until"),
        ],
    )
    def test_are_not_snoozed_to_no_time(self, api: Api, inputs: Json, field: str) -> None:
        task = api.ok("create", title="a", due_date="2030-05-01T07:00:00Z", reminder_offset="PT1H")
        refused(api("snooze", reminder_id=task["reminders"][0]["id"], **inputs), 400, code=3, field=field)
