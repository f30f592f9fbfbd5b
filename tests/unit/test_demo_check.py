"""What the demo finds when it verifies: all that is missing, doubled or not as sent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tools.demo_check import Snapshot, lateness, percentile, verify
from tools.demo_plan import Json, Planned


def task_of(body: Json, **changes: Any) -> Json:
    """The answer of a server that keeps what it was sent."""
    task = {
        "description": "",
        "status": "open",
        "priority": "medium",
        "time_zone": "UTC",
        "all_day": False,
        "reminder_offset": None,
        "reminders": [],
        "recurrence": None,
        "recurrence_id": None,
        "occurrence": None,
        "completed_at": None,
    }
    return copy.deepcopy(task | body | {"tags": [{"id": "tag-1", "name": "work"}]} | changes)


class World:
    """A recurring task that was completed, the next occurrence, and a soon task with its deliveries."""

    def __init__(self) -> None:
        weekly = {"type": "weekly", "days_of_week": [0]}
        report: Json = {
            "id": "a",
            "title": "Report",
            "tags": ["work"],
            "due_date": "2026-03-30T09:00:00+02:00",
        }
        report |= {"recurrence": weekly, "time_zone": "Europe/Berlin"}
        call: Json = {
            "id": "b",
            "title": "Call",
            "tags": ["work"],
            "due_date": "2026-03-28T12:00:05.000+00:00",
        }
        call |= {"reminder_offset": "PT2S", "reminders": [{"offset": "PT0S"}]}
        self.planned = [Planned(report, complete=True), Planned(call, soon=5.0)]
        series = {"recurrence": weekly | {"interval": 1}, "recurrence_id": "a"}
        done = {
            "status": "completed",
            "completed_at": "2026-03-28T12:00:01Z",
            "due_date": "2026-03-30T07:00:00Z",
        }
        self.tasks = [
            task_of(report, **series, **done, occurrence=1),
            task_of(report, **series, id="c", occurrence=2, due_date="2026-04-06T07:00:00Z"),
            task_of(
                call,
                due_date="2026-03-28T12:00:05Z",
                reminders=[
                    {"id": "r1", "scheduled_time": "2026-03-28T12:00:03Z", "status": "sent"},
                    {"id": "r2", "scheduled_time": "2026-03-28T12:00:05Z", "status": "late"},
                ],
            ),
        ]
        self.activity: list[Json] = []
        self.log("tag.created", "tag-1")
        for task_id in "abc":
            self.log("task.created", task_id)
        self.log("task.completed", "a")
        for reminder, second in (("r1", 3), ("r2", 5)):
            for channel in ("in_app", "email"):
                when = f"2026-03-28T12:00:0{second}"
                details = {"task_id": "b", "channel": channel, "scheduled_time": f"{when}Z"}
                self.log("reminder.sent", reminder, **details, delivered_at=f"{when}.250000Z")

    def log(self, event_type: str, entity_id: str, **details: Any) -> None:
        seq = len(self.activity) + 1
        self.activity.append({"seq": seq, "event_type": event_type, "entity_id": entity_id, "details": details})

    def problems(self) -> list[str]:
        return verify(self.planned, {"a"}, Snapshot(self.tasks, self.activity))


def test_verify__passes_when_all_is_there_once() -> None:
    assert World().problems() == []


def _drop_task(world: World) -> None:
    del world.tasks[2]


def _double_task(world: World) -> None:
    world.tasks.append(world.tasks[2])


def _reopen(world: World) -> None:
    world.tasks[0]["status"] = "open"


def _stranger(world: World) -> None:
    world.tasks.append(task_of({"id": "x", "title": "Stranger", "due_date": None}))


def _lose_next(world: World) -> None:
    del world.tasks[1]


def _double_next(world: World) -> None:
    world.tasks.append(world.tasks[1] | {"id": "d", "occurrence": 3})


def _lose_delivery(world: World) -> None:
    world.activity = [e for e in world.activity if (e["entity_id"], e["details"].get("channel")) != ("r2", "email")]


def _double_delivery(world: World) -> None:
    world.log("reminder.sent", "r1", **world.activity[-4]["details"])


def _deliver_early(world: World) -> None:
    world.activity[-1]["details"]["delivered_at"] = "2026-03-28T12:00:04.999Z"


def _leave_pending(world: World) -> None:
    world.tasks[2]["reminders"][0]["status"] = "pending"


def _lose_entry(world: World) -> None:
    del world.activity[2]


def _double_completed(world: World) -> None:
    world.log("task.completed", "a")


def _double_tag(world: World) -> None:
    world.log("tag.created", "tag-1")


def _log_a_stranger(world: World) -> None:
    world.log("task.created", "x")


def _repeat_seq(world: World) -> None:
    world.activity.append(world.activity[0])


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_drop_task, "task b (Call): missing"),
        (_double_task, "task b (Call): listed 2 times"),
        (_reopen, "task a (Report): is open"),
        (_stranger, "task x (Stranger): nobody asked for it"),
        (_lose_next, "series of a (Report): 0 next occurrences, not 1"),
        (_double_next, "series of a (Report): 2 next occurrences, not 1"),
        (_lose_delivery, "reminder of b (Call) at 2026-03-28T12:00:05+00:00: not by email"),
        (_double_delivery, "reminder of b at 2026-03-28T12:00:03+00:00: delivered 2 times by in_app"),
        (_deliver_early, "reminder of b at 2026-03-28T12:00:05+00:00: delivered early by email"),
        (_leave_pending, "reminder r1 (Call): its status is pending"),
        (_lose_entry, "activity: no task.created of b"),
        (_lose_entry, "activity: 1 seq missing below 9: [3]"),
        (_double_completed, "activity: 2 times task.completed of a, not 1"),
        (_double_tag, "activity: 2 times tag.created of tag-1, not 1"),
        (_log_a_stranger, "activity: 1 times task.created of x, not 0"),
        (_repeat_seq, "activity: 2 times seq 1"),
    ],
)
def test_verify__names_what_is_missing_or_doubled(break_it: Callable[[World], None], said: str) -> None:
    world = World()
    break_it(world)
    assert said in world.problems()


@pytest.mark.parametrize(
    ("index", "field", "value", "said"),
    [
        (2, "title", "call", "title is 'call', not 'Call'"),
        (
            2,
            "due_date",
            "2026-03-28T12:00:06Z",
            "due_date is 2026-03-28T12:00:06+00:00, not 2026-03-28T12:00:05+00:00",
        ),
        (2, "due_date", "2026-03-28", "due_date is 2026-03-28, not 2026-03-28T12:00:05+00:00"),
        (2, "tags", [], "tags is [], not ['work']"),
        (2, "reminders", [], "reminders is [], not [2026-03-28T12:00:03+00:00, 2026-03-28T12:00:05+00:00]"),
        (0, "recurrence", None, "recurrence.type is None, not 'weekly'"),
        (1, "title", "Report 2", "next occurrence title is 'Report 2', not 'Report'"),
        (1, "status", "completed", "next occurrence is completed"),
        (1, "occurrence", 1, "next occurrence is number 1 after number 1"),
        (1, "tags", [], "next occurrence has other tags"),
        (
            1,
            "due_date",
            "2026-03-30T07:00:00Z",
            "is due 2026-03-30T07:00:00+00:00, not after 2026-03-30T07:00:00+00:00",
        ),
        (1, "due_date", "2026-04-06", "is due 2026-04-06, not after 2026-03-30T07:00:00+00:00"),
    ],
)
def test_verify__names_a_field_that_is_not_as_sent(index: int, field: str, value: Any, said: str) -> None:
    world = World()
    world.tasks[index][field] = value
    assert any(said in problem for problem in world.problems())


def test_verify__a_series_that_ends_has_no_next_occurrence() -> None:
    world = World()
    world.planned[0] = Planned(world.planned[0].body, complete=True, ends=True)
    assert "series of a (Report): 1 next occurrences, not 0" in world.problems()


def test_verify__from_completion_the_next_may_be_due_before_the_completed_one() -> None:
    world = World()
    for task in world.tasks[:2]:
        task["recurrence"]["anchor"] = "completion"
    world.tasks[1]["due_date"] = "2026-03-29T07:00:00Z"
    assert world.problems() == []
    world.tasks[1]["due_date"] = "2026-03-28T07:00:00Z"
    assert any("not after 2026-03-28T12:00:01+00:00" in problem for problem in world.problems())


def test_lateness__is_from_scheduled_to_delivered_by_channel() -> None:
    assert lateness({"b"}, World().activity) == {"in_app": [0.25, 0.25], "email": [0.25, 0.25]}
    assert lateness({"a"}, World().activity) == {}


def test_percentile__is_the_nearest_rank() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert [percentile(hundred, p) for p in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([3.0, 1.0], 50) == 1.0
    assert percentile([], 99) == 0.0
