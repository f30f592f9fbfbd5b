"""Recurrence: completing makes the next occurrence, once, within two seconds, until the series ends."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.bad_inputs import WITHOUT_OCCURRENCES
from tests.support.client import Api, Client, Json, expect
from tests.support.system import System
from tests.support.waiting import eventually

MAX_SPAWN = 2.0


def series(client: Client, task: Json) -> list[Json]:
    """The occurrences of a task's series that are there, in order."""
    found = [one for one in client.tasks() if one["recurrence_id"] == task["recurrence_id"]]
    return sorted(found, key=lambda one: one["occurrence"])


def following(client: Client, task: Json) -> Json:
    """The occurrence that follows a completed one, which must come within two seconds."""
    later = eventually(
        lambda: [one for one in series(client, task) if one["occurrence"] > task["occurrence"]],
        timeout=MAX_SPAWN,
        what=f"the occurrence after number {task['occurrence']} of {task['title']!r}",
    )
    assert len(later) == 1, later
    return later[0]


def all_consumed(client: Client) -> None:
    """Waits until all that happened until now was consumed: a later event of the same topic was."""
    marker = client.create("marker", due_date="2030-01-01", recurrence={"type": "daily"})
    following(client, client.complete(marker["id"]))


def daily(client: Client, **fields: Any) -> Json:
    return client.create(
        **{"title": "daily", "due_date": "2030-05-01T07:00:00Z", "recurrence": {"type": "daily"}, **fields}
    )


def test_complete__makes_the_next_occurrence_within_two_seconds(client: Client) -> None:
    task = client.create(
        "Water the plants",
        description="all of them",
        priority="high",
        due_date="2027-03-25T09:00:00+01:00",
        time_zone="Europe/Berlin",
        tags=["home", "plants"],
        reminder_offset="PT1H",
        reminders=[{"offset": "P1D"}, {"at": "2027-03-20T00:00:00Z"}],
        recurrence={"type": "weekly", "interval": 1},
    )
    started = time.monotonic()
    completed = client.complete(task["id"])
    following_one = following(client, completed)
    assert time.monotonic() - started < MAX_SPAWN
    same = {"title", "description", "priority", "time_zone", "all_day", "tags", "reminder_offset", "recurrence"}
    same.add("recurrence_id")
    assert {name: following_one[name] for name in same} == {name: task[name] for name in same}
    assert following_one["occurrence"] == 2
    assert following_one["status"] == "open"
    assert following_one["version"] == 1
    assert following_one["completed_at"] is None
    # 09:00 stays 09:00 over the change to summer time on 2027-03-28.
    assert datetime.fromisoformat(following_one["due_date"]) == datetime(2027, 4, 1, 7, tzinfo=UTC)
    times = [datetime.fromisoformat(reminder["scheduled_time"]) for reminder in following_one["reminders"]]
    assert times == [datetime(2027, 3, 31, 7, tzinfo=UTC), datetime(2027, 4, 1, 6, tzinfo=UTC)]
    assert {reminder["status"] for reminder in following_one["reminders"]} == {"pending"}
    assert client.get(task["id"])["status"] == "completed"


def test_complete__by_patch_makes_the_next_occurrence_too(client: Client) -> None:
    task = daily(client)
    following(client, client.patch(task["id"], status="completed"))


def test_complete__of_an_all_day_task_makes_an_all_day_one(client: Client) -> None:
    task = daily(client, due_date="2027-03-27", time_zone="Pacific/Kiritimati")
    assert following(client, client.complete(task["id"]))["due_date"] == "2027-03-28"


def test_complete__twice_makes_one_next_occurrence(client: Client) -> None:
    task = daily(client)
    for _ in range(3):
        completed = client.complete(task["id"])
    following(client, completed)
    client.complete(task["id"])
    all_consumed(client)
    assert [one["occurrence"] for one in series(client, task)] == [1, 2]


def test_complete__at_once_from_many_clients_makes_one_next_occurrence(system: System, user: str) -> None:
    client = system.client(user)
    tasks = [daily(client, title=f"daily {number}") for number in range(5)]
    clients = [system.client(user) for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        for task in tasks:
            assert len({str(one) for one in pool.map(lambda c, t=task: c.complete(t["id"]), clients)}) == 1
    all_consumed(client)
    for task in tasks:
        assert [one["occurrence"] for one in series(client, task)] == [1, 2]
    assert len(client.activity(event_type="task.completed")) == len(tasks) + 1


def test_chain__each_completion_makes_the_next(client: Client) -> None:
    task = daily(client)
    for number in range(2, 6):
        task = following(client, client.complete(task["id"]))
        assert task["occurrence"] == number
    assert [one["due_date"] for one in series(client, task)] == [f"2030-05-0{day}T07:00:00Z" for day in range(1, 6)]


def test_reopen__withdraws_the_untouched_next_occurrence_and_completing_makes_it_again(client: Client) -> None:
    task = daily(client)
    first = following(client, client.complete(task["id"]))
    client.reopen(task["id"])
    assert [one["occurrence"] for one in series(client, task)] == [1]
    expect(client.rest("GET", f"/api/tasks/{first['id']}"), 404)
    again = following(client, client.complete(task["id"]))
    assert (again["occurrence"], again["due_date"]) == (first["occurrence"], first["due_date"])
    all_consumed(client)
    assert [one["occurrence"] for one in series(client, task)] == [1, 2]


def test_reopen__at_once_after_completing_leaves_no_next_occurrence(client: Client) -> None:
    """The next one is made after the answer: undone in between, it must not come."""
    tasks = [daily(client, title=f"undone {number}") for number in range(10)]
    for task in tasks:
        client.complete(task["id"])
        client.reopen(task["id"])
    all_consumed(client)
    for task in tasks:
        assert [(one["occurrence"], one["status"]) for one in series(client, task)] == [(1, "open")]


def test_reopen__keeps_a_next_occurrence_that_was_touched(client: Client) -> None:
    task = daily(client)
    next_one = following(client, client.complete(task["id"]))
    client.patch(next_one["id"], title="changed by its user")
    client.reopen(task["id"])
    client.complete(task["id"])
    all_consumed(client)
    assert [(one["occurrence"], one["title"]) for one in series(client, task)] == [
        (1, "daily"),
        (2, "changed by its user"),
    ]


def test_count__ends_the_series(client: Client) -> None:
    task = daily(client, recurrence={"type": "daily", "count": 3})
    for _ in range(2):
        task = following(client, client.complete(task["id"]))
    client.complete(task["id"])
    all_consumed(client)
    assert [(one["occurrence"], one["status"]) for one in series(client, task)] == [
        (number, "completed") for number in (1, 2, 3)
    ]


def test_end_date__ends_the_series(client: Client) -> None:
    """It is inclusive: the occurrence on that very day is the last one."""
    task = daily(client, due_date="2030-05-01", recurrence={"type": "daily", "end_date": "2030-05-02"})
    task = following(client, client.complete(task["id"]))
    assert task["due_date"] == "2030-05-02"
    client.complete(task["id"])
    all_consumed(client)
    assert [one["due_date"] for one in series(client, task)] == ["2030-05-01", "2030-05-02"]


def test_missed_cycles__are_skipped_to_the_next_one_in_the_future(client: Client) -> None:
    zone = ZoneInfo("Europe/Berlin")
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    start = (today - timedelta(days=10)).replace(hour=12)
    task = daily(client, due_date=start.isoformat(), time_zone=zone.key)
    next_one = following(client, client.complete(task["id"]))
    due = datetime.fromisoformat(next_one["due_date"]).astimezone(zone)
    assert datetime.now(UTC) < due < datetime.now(UTC) + timedelta(days=1, hours=1)
    assert due.hour == 12
    assert next_one["occurrence"] == (due.date() - start.date()).days + 1


def test_anchor__completion_counts_from_the_day_of_completing(client: Client) -> None:
    recurrence = {"type": "custom", "unit": "day", "interval": 3, "anchor": "completion"}
    task = daily(client, due_date="2020-01-01T09:00:00Z", recurrence=recurrence)
    completed = client.complete(task["id"])
    next_one = following(client, completed)
    done = datetime.fromisoformat(completed["completed_at"])
    expected = (done + timedelta(days=3)).replace(hour=9, minute=0, second=0, microsecond=0)
    assert datetime.fromisoformat(next_one["due_date"]) == expected
    assert next_one["occurrence"] == 2


def test_month_end__the_31st_is_the_last_day_of_shorter_months_and_comes_back(client: Client) -> None:
    task = daily(client, due_date="2031-01-31", recurrence={"type": "monthly"})
    dates = [task["due_date"]]
    for _ in range(3):
        task = following(client, client.complete(task["id"]))
        dates.append(task["due_date"])
    assert dates == ["2031-01-31", "2031-02-28", "2031-03-31", "2031-04-30"]


def test_rrule__says_the_same_in_its_own_words(client: Client) -> None:
    task = daily(client, due_date="2030-05-01", recurrence={"rrule": "FREQ=MONTHLY;BYDAY=1WE"})
    assert task["recurrence"]["rrule"] == "FREQ=MONTHLY;BYDAY=1WE"
    assert following(client, client.complete(task["id"]))["due_date"] == "2030-06-05"


def test_delete__of_a_completed_occurrence_leaves_the_next_one(client: Client) -> None:
    task = daily(client)
    next_one = following(client, client.complete(task["id"]))
    client.delete(task["id"])
    assert [one["id"] for one in series(client, task)] == [next_one["id"]]


def test_delete__of_the_next_occurrence_does_not_bring_it_back(client: Client) -> None:
    task = daily(client)
    next_one = following(client, client.complete(task["id"]))
    client.delete(next_one["id"])
    all_consumed(client)
    assert [one["occurrence"] for one in series(client, task)] == [1]


def test_recurrence__taken_away_before_completing_makes_no_next_occurrence(client: Client) -> None:
    task = daily(client)
    client.patch(task["id"], recurrence=None)
    client.complete(task["id"])
    all_consumed(client)
    assert [one["title"] for one in client.tasks() if one["title"] == "daily"] == ["daily"]


def test_preview__says_when_and_what_a_recurrence_means(api: Api) -> None:
    """The instants keep their local time over the change to winter time; the first one is the due date itself."""
    answer = api.ok(
        "preview",
        recurrence={"type": "weekly", "days_of_week": [4, 6]},
        due_date="2027-10-29T09:00:00+02:00",
        time_zone="Europe/Berlin",
        count=3,
    )
    assert [datetime.fromisoformat(one) for one in answer["occurrences"]] == [
        datetime(2027, 10, 29, 7, tzinfo=UTC),
        datetime(2027, 10, 31, 8, tzinfo=UTC),
        datetime(2027, 11, 5, 8, tzinfo=UTC),
    ]
    assert "Friday" in answer["text"]
    assert "Sunday" in answer["text"]
    again = api.ok(
        "preview",
        recurrence={"rrule": answer["rrule"]},
        due_date="2027-10-29T09:00:00+02:00",
        time_zone="Europe/Berlin",
        count=3,
    )
    assert again["occurrences"] == answer["occurrences"]


def test_preview__of_days_and_as_many_as_may_be(api: Api) -> None:
    answer = api.ok("preview", recurrence={"type": "monthly"}, due_date="2027-01-31", count=500)
    assert len(answer["occurrences"]) == 500
    assert answer["occurrences"][:4] == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]
    ends = api.ok("preview", recurrence={"type": "daily", "count": 2}, due_date="2027-01-31", count=500)
    assert ends["occurrences"] == ["2027-01-31", "2027-02-01"]
    begins_later = api.ok("preview", recurrence={"rrule": "FREQ=WEEKLY;BYDAY=MO"}, due_date="2027-01-31", count=1)
    assert begins_later["occurrences"] == ["2027-02-01"]


@pytest.mark.parametrize("why", WITHOUT_OCCURRENCES)
def test_preview__of_a_rule_without_occurrences_shows_none(api: Api, why: str) -> None:
    answer = api.ok("preview", recurrence=WITHOUT_OCCURRENCES[why], due_date="2027-01-01")
    assert answer["occurrences"] == []


def test_preview__is_what_completing_then_does(client: Client) -> None:
    recurrence = {"type": "monthly", "days_of_week": [0], "week_of_month": -1}
    task = daily(client, due_date="2031-01-27", recurrence=recurrence)
    dates = [task["due_date"]]
    for _ in range(3):
        task = following(client, client.complete(task["id"]))
        dates.append(task["due_date"])
    answer = Api(client, "rest").ok("preview", recurrence=recurrence, due_date="2031-01-27", count=4)
    assert answer["occurrences"] == dates
    assert len(client.tasks()) == 4, "a preview makes nothing"
