"""What the demo sends: the sample of `tools/sample/tasks.json`, its relative dates made real.

A due date in the sample is `{"days": n}` from today, `{"next": ...}` a day of the calendar after today (see
`next_day`), or both added up. With `"time"` it is a wall time in the task's zone; without it, all-day.
"""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from functions.tasks.values import from_wall, uuid7

SAMPLE = Path(__file__).parent / "sample" / "tasks.json"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FIRST_SOON, LAST_SOON = 5.0, 20.0
"""Seconds after its creation at which the first and the last of the soon tasks are due."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """One task that the demo creates: `body` is the input of create-task, with an id of the demo's own."""

    body: Json
    soon: float | None = None
    """Seconds from sending it to its due date, which is only then set; None for the sample's own due date."""
    complete: bool = False
    ends: bool = False
    """Completing it ends its series: no next occurrence."""

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def recurring(self) -> bool:
        return "recurrence" in self.body


def load_sample(path: Path = SAMPLE) -> tuple[str, list[Json]]:
    """The household's zone, and the entries of every area in order."""
    sample = json.loads(path.read_text(encoding="utf-8"))
    return sample["time_zone"], [entry for area in sample["areas"].values() for entry in area]


def next_day(rule: str, today: date) -> date:
    """The first day after `today` that `rule` names. Raises ValueError for a rule that names none.

    `mon,thu` a weekday; `15`, `31`, `last` a day of the month (its last day where it is shorter);
    `2 tue`, `last fri`, `last mon,tue,wed,thu,fri` the n-th of those weekdays in the month;
    `02-29` a day of the year.
    """
    fits = _rule(rule)
    for days in range(1, 8 * 366 + 2):  # a leap day is at most eight years away
        day = today + timedelta(days=days)
        if fits(day):
            return day
    raise ValueError(f"no day is {rule!r}")


def _rule(rule: str) -> Callable[[date], bool]:
    first, _, names = rule.partition(" ")
    if names:
        wanted = _weekdays(names)
        index = -1 if first == "last" else int(first) - 1
        return lambda day: _nth_of_month(day, wanted, index) == day.day
    if "-" in rule:
        month, day_of_month = (int(part) for part in rule.split("-"))
        return lambda day: (day.month, day.day) == (month, day_of_month)
    if rule == "last" or rule.isdigit():
        wish = 31 if rule == "last" else int(rule)
        return lambda day: day.day == min(wish, monthrange(day.year, day.month)[1])
    weekdays = _weekdays(rule)
    return lambda day: day.weekday() in weekdays


def _weekdays(names: str) -> set[int]:
    return {WEEKDAYS.index(name) for name in names.split(",")}


def _nth_of_month(day: date, weekdays: set[int], index: int) -> int | None:
    length = monthrange(day.year, day.month)[1]
    days = [number for number in range(1, length + 1) if day.replace(day=number).weekday() in weekdays]
    return days[index] if -len(days) <= index < len(days) else None


def resolve_day(due: Json, today: date) -> date:
    start = next_day(due["next"], today) if "next" in due else today
    return start + timedelta(days=due.get("days", 0))


def resolve_due(due: Json, zone: ZoneInfo, now: datetime) -> str:
    """A due date of the sample as the API takes it: RFC 3339 with the zone's offset, or a date if all-day.

    A wall time that the zone skips moves forward by the gap, one that it has twice is the first of the two.
    """
    day = resolve_day(due, now.astimezone(zone).date())
    if "time" not in due:
        return day.isoformat()
    wall = datetime.combine(day, time.fromisoformat(due["time"]))
    return from_wall(wall, zone).astimezone(zone).isoformat()


def body_of(entry: Json, home: str, now: datetime) -> Json:
    """The input of create-task for one entry: all that the API knows of it, with real dates and an id."""
    body: Json = {"id": str(uuid7(now))} | _without(entry, "due", "ends")
    zone = ZoneInfo(entry.get("time_zone", home))
    if "due" in entry:
        body["time_zone"] = zone.key
        body["due_date"] = resolve_due(entry["due"], zone, now)
        body["all_day"] = "time" not in entry["due"]
    recurrence = entry.get("recurrence", {})
    if "end_date" in recurrence:
        end = resolve_day(recurrence["end_date"], now.astimezone(zone).date())
        body["recurrence"] = recurrence | {"end_date": end.isoformat()}
    return body


def soon_body(body: Json, place: int) -> Json:
    """The same task with a reminder at its due date, or two seconds before, or at both: by turns."""
    reminders: list[Json] = [
        {"reminder_offset": "PT0S"},
        {"reminder_offset": "PT2S"},
        {"reminder_offset": "PT0S"},
        {"reminder_offset": "PT2S", "reminders": [{"offset": "PT0S"}]},
    ]
    kept = _without(body, "due_date", "reminder_offset", "reminders")
    return kept | {"all_day": False} | reminders[place % len(reminders)]


def _without(entry: Json, *names: str) -> Json:
    return {name: value for name, value in entry.items() if name not in names}


def plan(now: datetime, soon: int) -> list[Planned]:
    """Every entry of the sample once, in order. `soon` of those that do not recur, spread over the list, fall
    due while the demo runs; a quarter of the recurring ones (and all that end) and some others get completed.

    Raises ValueError if the sample has fewer tasks that can be due soon.
    """
    home, entries = load_sample()
    single = [i for i, entry in enumerate(entries) if "recurrence" not in entry]
    recurring = [i for i, entry in enumerate(entries) if "recurrence" in entry]
    if not 0 <= soon <= len(single):
        raise ValueError(f"the sample has {len(single)} tasks that can be due soon")
    places = {single[n * len(single) // soon]: n for n in range(soon)}
    done = {*recurring[::4], *[i for i in single if i not in places][::6]}
    done |= {i for i in recurring if entries[i].get("ends")}
    step = (LAST_SOON - FIRST_SOON) / max(soon - 1, 1)
    planned = []
    for index, entry in enumerate(entries):
        body = body_of(entry, home, now)
        if index in places:
            place = places[index]
            planned.append(Planned(soon_body(body, place), soon=FIRST_SOON + step * place))
        else:
            planned.append(Planned(body, complete=index in done, ends=bool(entry.get("ends"))))
    return planned


def due_in(seconds: float, now: datetime) -> str:
    """The instant `seconds` after `now`, in whole milliseconds."""
    return (now.astimezone(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
