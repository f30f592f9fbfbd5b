"""The demo's sample, and how its relative dates become real."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from functions.tasks.models import CreateTask
from functions.tasks.planning import plan_completion, plan_create, plan_next
from tools.demo_plan import SAMPLE, Json, body_of, load_sample, next_day, plan, resolve_due

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HOME, ENTRIES = load_sample()
RECURRENCES = [entry["recurrence"] for entry in ENTRIES if "recurrence" in entry]


# the sample


def test_sample__has_at_least_300_tasks_of_distinct_titles() -> None:
    assert len(ENTRIES) >= 300
    assert not [title for title, count in Counter(entry["title"] for entry in ENTRIES).items() if count > 1]


def test_sample__zones_are_known_and_many() -> None:
    zones = {HOME} | {entry.get("time_zone", HOME) for entry in ENTRIES}
    assert zones <= available_timezones()
    assert zones >= {
        "Africa/Casablanca",
        "America/New_York",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "Asia/Tokyo",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "UTC",
    }


def test_sample__tags_are_lower_case_words_that_recur() -> None:
    tags = Counter(tag for entry in ENTRIES for tag in entry.get("tags", []))
    assert 20 <= len(tags) <= 30
    assert all(tag == tag.lower().strip() and count > 1 for tag, count in tags.items())
    assert all(len(set(entry["tags"])) == len(entry["tags"]) for entry in ENTRIES if "tags" in entry)


def test_sample__uses_every_priority_kind_of_due_date_and_awkward_text() -> None:
    assert {entry.get("priority") for entry in ENTRIES} == {None, "low", "medium", "high", "urgent"}
    assert sum("due" not in entry for entry in ENTRIES) >= 15
    assert sum("due" in entry and "time" not in entry["due"] for entry in ENTRIES) >= 50
    assert sum("reminder_offset" in entry for entry in ENTRIES) >= 100
    assert sum("reminders" in entry for entry in ENTRIES) >= 15
    text = "".join(entry["title"] + entry.get("description", "") for entry in ENTRIES)
    assert all(piece in text for piece in ('"', "<b>", "&", "\n", "ß", "東京", "🐈‍⬛"))


KINDS: dict[str, tuple[int, Callable[[Json], Any]]] = {
    "daily": (10, lambda rule: rule.get("type") == "daily"),
    "weekly": (20, lambda rule: rule.get("type") == "weekly"),
    "weekly on several days": (8, lambda rule: len(rule.get("days_of_week", [])) > 1),
    "every n weeks": (5, lambda rule: rule.get("type") == "weekly" and rule.get("interval", 1) > 1),
    "monthly": (20, lambda rule: rule.get("type") == "monthly"),
    "monthly on the 31st": (3, lambda rule: rule.get("day_of_month") == 31),
    "monthly on the last day": (3, lambda rule: rule.get("day_of_month") == -1),
    "n-th weekday": (8, lambda rule: rule.get("week_of_month", 0) > 0),
    "last Friday": (3, lambda rule: rule.get("week_of_month") == -1 and rule["days_of_week"] == [4]),
    "yearly": (20, lambda rule: rule.get("type") == "yearly"),
    "custom day": (2, lambda rule: rule.get("unit") == "day"),
    "custom week": (2, lambda rule: rule.get("unit") == "week"),
    "custom month": (2, lambda rule: rule.get("unit") == "month"),
    "custom year": (2, lambda rule: rule.get("unit") == "year"),
    "rrule": (10, lambda rule: "rrule" in rule),
    "from completion": (10, lambda rule: rule.get("anchor") == "completion"),
    "until": (5, lambda rule: "end_date" in rule),
    "count": (5, lambda rule: "count" in rule),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sample__has_recurring_tasks_of_each_kind(kind: str) -> None:
    least, is_kind = KINDS[kind]
    assert sum(bool(is_kind(rule)) for rule in RECURRENCES) >= least


def test_sample__has_tasks_due_on_leap_days() -> None:
    yearly = [entry for entry in ENTRIES if entry.get("recurrence", {}).get("type") == "yearly"]
    assert sum(entry["due"].get("next") == "02-29" for entry in yearly) >= 2


@pytest.mark.parametrize("now", [NOW, datetime(2028, 2, 28, 23, 30, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)])
def test_sample__is_accepted_by_create_task_on_any_day(now: datetime) -> None:
    for entry in ENTRIES:
        CreateTask.model_validate(body_of(entry, HOME, now))


def test_sample__a_series_that_ends_is_due_before_its_end() -> None:
    ending = [entry for entry in ENTRIES if entry.get("ends")]
    assert len(ending) >= 3
    for days in range(14):
        for entry in ending:
            body = body_of(entry, HOME, NOW + timedelta(days=days))
            assert body["due_date"][:10] <= body["recurrence"].get("end_date", "9999")


def test_sample__is_plain_json_with_one_task_a_line() -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    tasks = [json.loads(line.rstrip(",")) for line in lines if line.startswith('{"title"')]
    assert tasks == ENTRIES


# dates


@pytest.mark.parametrize(
    ("due", "zone", "expected"),
    [
        ({"days": 3, "time": "09:00"}, "Europe/Berlin", "2026-03-31T09:00:00+02:00"),
        ({"days": -1, "time": "09:00"}, "Europe/Berlin", "2026-03-27T09:00:00+01:00"),
        ({"days": 0, "time": "09:00"}, "Asia/Tokyo", "2026-03-28T09:00:00+09:00"),
        ({"days": 0, "time": "09:00"}, "Pacific/Kiritimati", "2026-03-29T09:00:00+14:00"),
        ({"days": 1, "time": "02:30"}, "Europe/Berlin", "2026-03-29T03:30:00+02:00"),  # skipped by DST
        ({"days": 211, "time": "02:30"}, "Europe/Berlin", "2026-10-25T02:30:00+02:00"),  # there twice
        (
            {"days": 8, "time": "01:45"},
            "Australia/Lord_Howe",
            "2026-04-05T01:45:00+11:00",
        ),  # twice, by 30 minutes
        ({"days": 191, "time": "02:15"}, "Australia/Lord_Howe", "2026-10-05T02:15:00+11:00"),
        (
            {"days": 190, "time": "02:15"},
            "Australia/Lord_Howe",
            "2026-10-04T02:45:00+11:00",
        ),  # a gap of 30 minutes
        ({"days": 3}, "Europe/Berlin", "2026-03-31"),
        ({"next": "fri", "days": -14, "time": "16:00"}, "UTC", "2026-03-20T16:00:00+00:00"),
    ],
)
def test_resolve_due__is_a_wall_time_in_the_zone(due: Json, zone: str, expected: str) -> None:
    assert resolve_due(due, ZoneInfo(zone), NOW) == expected


@pytest.mark.parametrize(
    ("rule", "today", "expected"),
    [
        ("sat", date(2026, 3, 28), date(2026, 4, 4)),  # after today, a Saturday
        ("mon,thu", date(2026, 3, 28), date(2026, 3, 30)),
        ("31", date(2026, 3, 31), date(2026, 4, 30)),
        ("last", date(2028, 2, 1), date(2028, 2, 29)),
        ("15", date(2026, 3, 14), date(2026, 3, 15)),
        ("2 tue", date(2026, 3, 28), date(2026, 4, 14)),
        ("last fri", date(2026, 3, 28), date(2026, 4, 24)),
        ("last mon,tue,wed,thu,fri", date(2026, 5, 1), date(2026, 5, 29)),
        ("02-29", date(2026, 3, 28), date(2028, 2, 29)),
        ("02-29", date(2096, 2, 29), date(2104, 2, 29)),
    ],
)
def test_next_day__names_a_day_after_today(rule: str, today: date, expected: date) -> None:
    assert next_day(rule, today) == expected


def test_next_day__refuses_a_day_that_never_comes() -> None:
    with pytest.raises(ValueError, match="02-30"):
        next_day("02-30", NOW.date())


# the plan


def test_plan__sends_every_entry_once_and_completes_all_kinds() -> None:
    planned = plan(NOW, 48)
    assert [item.body["title"] for item in planned] == [entry["title"] for entry in ENTRIES]
    assert len({item.id for item in planned}) == len(planned)
    completed = [item for item in planned if item.complete]
    assert len(completed) >= 60
    assert sum(item.recurring for item in completed) >= 40
    assert all(item.complete for item in planned if item.ends)
    rules = [item.body["recurrence"] for item in completed if item.recurring]
    assert {rule.get("type", "rrule") for rule in rules} == {
        "daily",
        "weekly",
        "monthly",
        "yearly",
        "custom",
        "rrule",
    }
    assert any(rule.get("anchor") == "completion" for rule in rules)


def test_plan__knows_which_series_end() -> None:
    for hours in range(0, 14 * 24, 11):
        now = NOW + timedelta(hours=hours)
        for item in plan(now, 0):
            if item.complete and item.recurring:
                task = plan_create(CreateTask.model_validate(item.body), time_zone="UTC", now=now).task
                completed = plan_completion(task, completed=True, version=None, now=now)
                assert completed is not None
                assert (plan_next(completed.task, now=now) is None) == item.ends, item.body


def test_plan__soon_tasks_are_due_5_to_20_seconds_after_they_are_sent() -> None:
    soon = [item for item in plan(NOW, 48) if item.soon is not None]
    assert len(soon) == 48
    assert min(item.soon or 0 for item in soon) == 5
    assert max(item.soon or 0 for item in soon) == 20
    assert {item.body["reminder_offset"] for item in soon} == {"PT0S", "PT2S"}
    assert not any(item.complete or item.recurring or "due_date" in item.body for item in soon)


def test_plan__refuses_more_soon_tasks_than_there_are() -> None:
    with pytest.raises(ValueError, match="tasks that can be due soon"):
        plan(NOW, 10_000)
    assert not [item for item in plan(NOW, 0) if item.soon is not None]
