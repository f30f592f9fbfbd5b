"""What must be true of a user's tasks and activity log once the demo is through: pure, given what was read.

Every check answers the list of what is missing, doubled or wrong, each in one line; an empty list is a pass.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from functions.tasks.values import before
from tools.demo_plan import Json, Planned

DELIVERED = ("sent", "late")
SAME_IN_NEXT = ("title", "description", "priority", "time_zone", "all_day", "reminder_offset", "recurrence")

Delivery = tuple[str, datetime, str]
"""The task's id, the reminder's scheduled time, the channel."""


@dataclass(frozen=True)
class Snapshot:
    """All that a user sees: every item of list-tasks and every entry of list-activity."""

    tasks: Sequence[Json]
    activity: Sequence[Json]

    def of_type(self, event_type: str) -> list[Json]:
        return [entry for entry in self.activity if entry["event_type"] == event_type]


def verify(planned: Sequence[Planned], completed: AbstractSet[str], seen: Snapshot) -> list[str]:
    """Everything that is wrong. `planned` are the accepted tasks with the bodies as sent, `completed` the ids
    of those whose completion was acknowledged."""
    return [
        *check_tasks(planned, completed, seen.tasks),
        *check_series(planned, completed, seen.tasks),
        *check_reminders([item for item in planned if item.soon is not None], seen),
        *check_activity(completed, seen),
    ]


def check_tasks(planned: Sequence[Planned], completed: AbstractSet[str], tasks: Sequence[Json]) -> list[str]:
    """Every planned task is listed once, with the fields as sent; no task is there unasked."""
    problems = []
    counts = Counter(task["id"] for task in tasks)
    by_id = {task["id"]: task for task in tasks}
    for item in planned:
        name = f"task {item.id} ({item.body['title']})"
        if item.id not in by_id:
            problems.append(f"{name}: missing")
            continue
        task = by_id[item.id]
        if counts[item.id] > 1:
            problems.append(f"{name}: listed {counts[item.id]} times")
        if (task["status"] == "completed") != (item.id in completed):
            problems.append(f"{name}: is {task['status']}")
        problems += [f"{name}: {fault}" for fault in different_fields(item.body, task)]
    series = {by_id[i]["recurrence_id"] for i in completed if i in by_id} - {None}
    asked = {item.id for item in planned}
    for task in by_id.values():
        if task["id"] not in asked and task["recurrence_id"] not in series:
            problems.append(f"task {task['id']} ({task['title']}): nobody asked for it")
    return problems


def different_fields(body: Json, task: Json) -> list[str]:
    """The fields of `task`, as answered, that are not what `body`, as sent, says."""
    expected = {
        "title": body["title"],
        "description": body.get("description", ""),
        "priority": body.get("priority", "medium"),
        "all_day": body.get("all_day", False),
        "time_zone": body.get("time_zone", task["time_zone"]),
        "due_date": moment(body.get("due_date")),
        "tags": sorted(body.get("tags", [])),
        "reminder_offset": body.get("reminder_offset"),
    }
    found = {name: task[name] for name in expected} | {
        "due_date": moment(task["due_date"]),
        "tags": sorted(tag["name"] for tag in task["tags"]),
    }
    for name, value in body.get("recurrence", {}).items():
        expected[f"recurrence.{name}"] = value
        found[f"recurrence.{name}"] = (task["recurrence"] or {}).get(name)
    if isinstance(expected["due_date"], datetime):
        expected["reminders"] = sorted(scheduled_times(body, expected["due_date"], task["time_zone"]))
        found["reminders"] = sorted(instant(reminder["scheduled_time"]) for reminder in task["reminders"])
    return [
        f"{name} is {plain(found[name])}, not {plain(value)}"
        for name, value in expected.items()
        if found[name] != value
    ]


def scheduled_times(body: Json, due: datetime, zone: str) -> set[datetime]:
    """When the reminders of a task fire, its `reminder_offset` and the further ones."""
    offsets = {body.get("reminder_offset"), *(further["offset"] for further in body.get("reminders", []))}
    return {before(due, offset, ZoneInfo(zone)) for offset in offsets if offset is not None}


def check_series(planned: Sequence[Planned], completed: AbstractSet[str], tasks: Sequence[Json]) -> list[str]:
    """Every completed task of a series has exactly one next occurrence, later than it; none if it ended."""
    problems = []
    by_id = {task["id"]: task for task in tasks}
    series = members(tasks)
    for item in planned:
        if item.id not in completed or not item.recurring or item.id not in by_id:
            continue
        task = by_id[item.id]
        name = f"series of {item.id} ({item.body['title']})"
        following = [one for one in series[task["recurrence_id"]] if one["id"] != item.id]
        wanted = 0 if item.ends else 1
        if len(following) != wanted:
            problems.append(f"{name}: {len(following)} next occurrences, not {wanted}")
        for one in following:
            problems += [f"{name}: next occurrence {fault}" for fault in wrong_next(task, one)]
    return problems


def members(tasks: Iterable[Json]) -> Mapping[str | None, list[Json]]:
    """The tasks of each series, by recurrence_id."""
    series: dict[str | None, list[Json]] = defaultdict(list)
    for task in tasks:
        series[task["recurrence_id"]].append(task)
    return series


def wrong_next(task: Json, following: Json) -> list[str]:
    """What is wrong with the occurrence that follows a completed `task`."""
    faults = [
        f"{name} is {plain(following[name])}, not {plain(task[name])}"
        for name in SAME_IN_NEXT
        if following[name] != task[name]
    ]
    if {tag["id"] for tag in following["tags"]} != {tag["id"] for tag in task["tags"]}:
        faults.append("has other tags")
    if following["status"] != "open":
        faults.append(f"is {following['status']}")
    if following["occurrence"] <= task["occurrence"]:
        faults.append(f"is number {following['occurrence']} after number {task['occurrence']}")
    earlier, later = moment(task["due_date"]), moment(following["due_date"])
    if (task["recurrence"] or {}).get("anchor") == "completion":
        done = instant(task["completed_at"])
        earlier = done if isinstance(later, datetime) else done.astimezone(ZoneInfo(task["time_zone"])).date()
    if type(earlier) is not type(later) or not later > earlier:
        faults.append(f"is due {plain(later)}, not after {plain(earlier)}")
    return faults


def check_reminders(soon: Sequence[Planned], seen: Snapshot) -> list[str]:
    """Every soon reminder was delivered exactly once per channel, in-app among them; none twice or early."""
    problems = []
    counts = Counter(delivery_of(entry) for entry in seen.of_type("reminder.sent"))
    for (task_id, when, channel), count in counts.items():
        if count > 1:
            problems.append(f"reminder of {task_id} at {plain(when)}: delivered {count} times by {channel}")
    for entry in seen.of_type("reminder.sent"):
        task_id, when, channel = delivery_of(entry)
        if instant(entry["details"]["delivered_at"]) < when:
            problems.append(f"reminder of {task_id} at {plain(when)}: delivered early by {channel}")
    by_id = {task["id"]: task for task in seen.tasks}
    times = {item.id: soon_times(item.body) for item in soon}
    channels = {"in_app"} | {channel for task_id, _, channel in counts if task_id in times}
    for item in soon:
        name = f"({item.body['title']})"
        for when in sorted(times[item.id]):
            for channel in sorted(channels):
                if (item.id, when, channel) not in counts:
                    problems.append(f"reminder of {item.id} {name} at {plain(when)}: not by {channel}")
        for reminder in by_id.get(item.id, {}).get("reminders", []):
            if reminder["status"] not in DELIVERED:
                problems.append(f"reminder {reminder['id']} {name}: its status is {reminder['status']}")
    return problems


def soon_times(body: Json) -> set[datetime]:
    """When the reminders of a soon task fire; no time before it was sent."""
    return scheduled_times(body, instant(body["due_date"]), "UTC") if "due_date" in body else set()


def delivery_of(entry: Json) -> Delivery:
    details = entry["details"]
    return details["task_id"], instant(details["scheduled_time"]), details["channel"]


def check_activity(completed: AbstractSet[str], seen: Snapshot) -> list[str]:
    """The log has one entry for each task, completion and tag, and its seq is 1, 2, 3... without a gap."""
    tags = {tag["id"] for task in seen.tasks for tag in task["tags"]}
    problems = [
        *_once_each("task.created", {task["id"] for task in seen.tasks}, seen),
        *_once_each("task.completed", set(completed), seen),
        *_once_each("tag.created", tags, seen),
    ]
    counts = Counter(entry["seq"] for entry in seen.activity)
    problems += [f"activity: {count} times seq {seq}" for seq, count in sorted(counts.items()) if count > 1]
    missing = sorted(set(range(1, max(counts, default=0) + 1)) - set(counts))
    if missing:
        problems.append(f"activity: {len(missing)} seq missing below {max(counts)}: {missing[:10]}")
    return problems


def _once_each(event_type: str, wanted: AbstractSet[str], seen: Snapshot) -> list[str]:
    counts = Counter(str(entry["entity_id"]) for entry in seen.of_type(event_type))
    return [f"activity: no {event_type} of {entity}" for entity in sorted(wanted - set(counts))] + [
        f"activity: {count} times {event_type} of {entity}, not {int(entity in wanted)}"
        for entity, count in sorted(counts.items())
        if count != 1 or entity not in wanted
    ]


def lateness(soon: AbstractSet[str], activity: Iterable[Json]) -> dict[str, list[float]]:
    """Seconds from scheduled to delivered of the soon tasks' reminders, by channel."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in activity:
        if entry["event_type"] == "reminder.sent" and entry["details"]["task_id"] in soon:
            details = entry["details"]
            late = instant(details["delivered_at"]) - instant(details["scheduled_time"])
            found[details["channel"]].append(late.total_seconds())
    return dict(sorted(found.items(), reverse=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` of them do not exceed. 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] if ordered else 0.0


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moment(due: str | None) -> Any:
    """A due date as answered: an aware datetime, a date, or None."""
    if due is None:
        return None
    return instant(due) if "T" in due else date.fromisoformat(due)


def plain(value: Any) -> str:
    """A value in a line of the report."""
    if isinstance(value, list):
        return "[" + ", ".join(plain(one) for one in value) + "]"
    return value.isoformat() if isinstance(value, date) else repr(value)
