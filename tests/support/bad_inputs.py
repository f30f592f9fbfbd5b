"""Inputs that must be refused: for each, the field that the answer has to name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.client import Json


@dataclass(frozen=True)
class Bad:
    """One bad input: what is wrong with it (`why`), the inputs, and the field that must be named."""

    why: str
    inputs: Json
    field: str
    without: tuple[str, ...] = ()
    """Inputs of a good call that this one lacks."""

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"


def cases(name: str, values: dict[str, Any], also: Json | None = None) -> list[Bad]:
    """The same field with each of these values, beside the inputs of `also`."""
    return [Bad(why, {**(also or {}), name: value}, name) for why, value in values.items()]


NOT_TEXT: dict[str, Any] = {"a number": 5, "a list": ["x"], "an object": {"a": 1}, "a boolean": True}
NOT_AN_INSTANT: dict[str, Any] = {
    "words": "tomorrow",
    "empty": "",
    "no offset": "2026-11-23T09:00:00",
    "month 13": "2026-13-01T00:00:00Z",
    "February 30": "2026-02-30T00:00:00Z",
    "hour 25": "2026-11-23T25:00:00Z",
    "year 0": "0000-01-01T00:00:00Z",
    "year 1": "0001-01-01T00:00:00Z",
    "year 10000": "10000-01-01T00:00:00Z",
    "a signed year": "+2026-01-01T00:00:00Z",
    "a number": 1795419310,
    "a boolean": True,
    "a list": [],
    "other digits": "\u0662\u0660\u0662\u0666-11-23T09:00:00Z",
    "a NUL": "2026-11-23T09:00:00Z\x00",
    "a line break": "2026-11-23T09:00:00Z\n",
    "a week date": "2026-W01-1T00:00:00Z",
    "an offset of a day": "2026-11-23T09:00:00+24:00",
    "before 1900 in UTC": "1900-01-01T00:00:00+14:00",
    "after 9999 in UTC": "9999-12-31T23:59:59-12:00",
    "the last instant of a calendar": "9999-12-31T23:59:59Z",
}
DATES: dict[str, Any] = {
    "February 29 of a common year": "2027-02-29",
    "day 0": "2026-11-00",
    "the date of year 0": "0000-01-01",
    "the date of year 10000": "10000-01-01",
}
ZONES: dict[str, Any] = {
    **NOT_TEXT,
    "unknown": "Mars/Olympus",
    "empty": "",
    "a path": "../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a path to a zone": "Europe/../Europe/Berlin",
    "this machine's": "localtime",
    "a folder": "Europe",
    "a NUL": "Europe/Berlin\x00",
    "a tab file": "zone.tab",
    "too long": "A" * 100_000,
}
DURATIONS: dict[str, Any] = {
    **NOT_TEXT,
    "words": "1 hour",
    "empty": "",
    "no part": "P",
    "no time": "PT",
    "a month": "P1M",
    "a year": "P1Y",
    "a negative one": "-PT1H",
    "a negative part": "PT-1H",
    "a fraction": "PT1.5H",
    "too long": "P99999W",
    "many digits": "PT" + "9" * 5000 + "S",
    "a NUL": "PT1H\x00",
}
UUIDS: dict[str, Any] = {
    **NOT_TEXT,
    "a word": "x",
    "empty": "",
    "too short": "01a20755-2b2e-72df-a017",
    "no hex": "z1a20755-2b2e-72df-a017-54e56045e179",
    "a NUL": "01a20755-2b2e-72df-a017-54e56045e17\x00",
    "SQL": "' or 1=1 --",
}
COUNTS: dict[str, Any] = {"text": "x", "a fraction": 1.5, "a boolean": True, "a list": [1], "an object": {}}

TASK_FIELDS: list[Bad] = [
    *cases("title", {**NOT_TEXT, "null": None, "empty": "", "blank": " \t ", "501 characters": "x" * 501}),
    *cases("title", {"a NUL": "a\x00b", "a line break": "a\nBcc: x@example.com", "a DEL": "a\x7f"}),
    *cases("description", {**NOT_TEXT, "null": None, "20,001 characters": "x" * 20_001, "a NUL": "\x00"}),
    *cases("status", {**NOT_TEXT, "null": None, "unknown": "done", "upper case": "OPEN", "empty": ""}),
    *cases("priority", {**NOT_TEXT, "null": None, "unknown": "asap", "upper case": "HIGH", "empty": ""}),
    *cases("due_date", {**NOT_AN_INSTANT, **DATES}),
    *cases("time_zone", ZONES),
    *cases("all_day", {"a word": "yes", "a number": 1, "text": "true", "a list": []}),
    Bad("a date that is not all-day", {"due_date": "2027-01-01", "all_day": False}, "due_date"),
    Bad("an instant that is all-day", {"due_date": "2027-01-01T00:00:00Z", "all_day": True}, "due_date"),
    *cases("tags", {"text": "work", "null": None, "a number": 5, "an object": {"a": 1}, "51 of them": ["x"] * 51}),
    *cases(
        "tags",
        {f"holds {why}": ["ok", value] for why, value in {**NOT_TEXT, "null": None, "nothing": ""}.items()},
    ),
    *cases("tags", {"a comma": ["a,b"], "51 characters": ["x" * 51], "a NUL": ["\x00"], "a line break": ["a\nb"]}),
    *cases("reminder_offset", DURATIONS, {"due_date": "2027-01-01T00:00:00Z"}),
    Bad("no due date to be before", {"due_date": None, "reminder_offset": "PT1H"}, "reminder_offset"),
    *cases("reminders", {"text": "PT1H", "null": None, "an object": {"offset": "PT1H"}, "holds text": ["PT1H"]}),
    *cases("reminders", {"neither": [{}], "both": [{"offset": "PT1H", "at": "2027-01-01T00:00:00Z"}]}),
    *cases("reminders", {"no due date": [{"offset": "PT1H"}]}, {"due_date": None}),
    *cases("reminders", {f"at {why}": [{"at": value}] for why, value in NOT_AN_INSTANT.items()}),
    *cases(
        "reminders",
        {
            "21 of them": [{"at": f"2027-01-01T00:00:{n:02}Z"} for n in range(21)],
            "an unknown field": [{"offset": "PT1H", "colour": 1}],
            "an unknown channel": [{"offset": "PT1H", "delivery_channel": "pigeon"}],
            "a bad offset": [{"offset": "soon"}],
        },
        {"due_date": "2027-01-01T00:00:00Z"},
    ),
    Bad("an unknown field", {"colour": "red"}, "colour"),
    Bad("a field of the answer", {"created_at": "2027-01-01T00:00:00Z"}, "created_at"),
    Bad("a prototype", {"__proto__": {"status": "completed"}}, "__proto__"),
]

_RECURRENCES: dict[str, Any] = {
    "text": "daily",
    "a list": [],
    "nothing": {},
    "an unknown type": {"type": "hourly"},
    "an unknown field": {"type": "daily", "colour": 1},
    "interval 0": {"type": "daily", "interval": 0},
    "interval -1": {"type": "daily", "interval": -1},
    "half an interval": {"type": "daily", "interval": 1.5},
    "interval as text": {"type": "daily", "interval": "2"},
    "a huge interval": {"type": "daily", "interval": 10**30},
    "weekday 7": {"type": "weekly", "days_of_week": [7]},
    "weekday -1": {"type": "weekly", "days_of_week": [-1]},
    "a weekday by name": {"type": "weekly", "days_of_week": ["mon"]},
    "no weekday": {"type": "weekly", "days_of_week": []},
    "a weekday twice": {"type": "weekly", "days_of_week": [1, 1]},
    "day 0": {"type": "monthly", "day_of_month": 0},
    "day 32": {"type": "monthly", "day_of_month": 32},
    "day -2": {"type": "monthly", "day_of_month": -2},
    "week 6": {"type": "monthly", "week_of_month": 6, "days_of_week": [0]},
    "custom without unit": {"type": "custom", "interval": 2},
    "an unknown unit": {"type": "custom", "unit": "fortnight"},
    "a unit for weekly": {"type": "weekly", "unit": "week"},
    "count 0": {"type": "daily", "count": 0},
    "a huge count": {"type": "daily", "count": 10**30},
    "a bad end": {"type": "daily", "end_date": "never"},
    "an end in year 0": {"type": "daily", "end_date": "0000-01-01"},
    "an unknown anchor": {"type": "daily", "anchor": "moon"},
    "an empty rule": {"rrule": ""},
    "a rule by the second": {"rrule": "FREQ=SECONDLY"},
    "an unknown frequency": {"rrule": "FREQ=OFTEN"},
    "an unknown part": {"rrule": "FREQ=DAILY;COLOUR=RED"},
    "a part without a frequency": {"rrule": "BYDAY=MO"},
    "a negative count": {"rrule": "FREQ=DAILY;COUNT=-1"},
    "a count of many digits": {"rrule": "FREQ=DAILY;COUNT=" + "9" * 5000},
    "a bad weekday": {"rrule": "FREQ=WEEKLY;BYDAY=XX"},
    "a bad day of the month": {"rrule": "FREQ=MONTHLY;BYMONTHDAY=40"},
    "a bad until": {"rrule": "FREQ=DAILY;UNTIL=99999999T000000Z"},
    "a NUL in the rule": {"rrule": "FREQ=DAILY\x00"},
    "a rule that is too long": {"rrule": "FREQ=DAILY;BYMONTHDAY=" + ",".join(["1"] * 20_000)},
    "a rule and a type": {"rrule": "FREQ=DAILY", "type": "daily"},
}
WITHOUT_OCCURRENCES: dict[str, Json] = {
    "an end before the start": {"type": "daily", "end_date": "2020-01-01"},
    "no day that exists": {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"},
}
"""Rules that say something, though it is nothing that a task could be due on."""
RECURRENCES: list[Bad] = [
    *cases("recurrence", {**_RECURRENCES, **WITHOUT_OCCURRENCES}, {"due_date": "2027-01-01T00:00:00Z"}),
    Bad("no due date", {"due_date": None, "recurrence": {"type": "daily"}}, "recurrence"),
]
PREVIEWS: list[Bad] = [
    *cases("recurrence", {**_RECURRENCES, "null": None}),
    *cases("due_date", {**NOT_AN_INSTANT, **DATES, "null": None}),
    *cases("time_zone", ZONES),
    *cases("count", {**COUNTS, "0": 0, "-1": -1, "501": 501, "huge": 10**30}),
    Bad("an unknown field", {"colour": "red"}, "colour"),
    Bad("left out", {}, "recurrence", without=("recurrence",)),
    Bad("left out", {}, "due_date", without=("due_date",)),
]
NOT_TITLED = Bad("left out", {}, "title", without=("title",))
VERSIONS = cases("version", {**COUNTS, "0": 0, "-1": -1, "a number as text": "1"})

LIST_TASKS: list[Bad] = [
    *cases("status", {"unknown": "done"}),
    *cases("priority", {"unknown": "asap", "one of two": "low,asap"}),
    *(bad for name in ("due_before", "due_after") for bad in cases(name, NOT_AN_INSTANT)),
    *cases("tags", {"a NUL": "a\x00", "51 characters": "x" * 51, "51 of them": ",".join(map(str, range(51)))}),
    *cases("tags_any", {"a NUL": "a\x00", "51 characters": "x" * 51}),
    *cases("overdue", {"a word": "maybe", "a number": 1}),
    *cases("search", {"a NUL": "a\x00", "501 characters": "x" * 501}),
    *cases("sort_by", {"unknown": "id", "SQL": "title; drop table tasks", "empty": ""}),
    *cases("sort_order", {"unknown": "up"}),
    *cases("limit", {"0": 0, "-1": -1, "201": 201, "a word": "x", "a fraction": 1.5, "huge": 10**30}),
    *cases("cursor", {"no cursor": "x", "a NUL": "\x00", "too long": "x" * 10_000, "SQL": "' or 1=1 --"}),
    Bad("an unknown parameter", {"colour": "red"}, "colour"),
]
LIST_ACTIVITY: list[Bad] = [
    *(bad for name in ("from", "to") for bad in cases(name, NOT_AN_INSTANT)),
    *cases("event_type", {"a NUL": "a\x00"}),
    *cases("entity_type", {"a NUL": "a\x00"}),
    *cases("limit", {"0": 0, "-1": -1, "201": 201, "a word": "x", "huge": 10**30}),
    *cases("offset", {"-1": -1, "a word": "x", "huge": 10**30}),
    *cases("cursor", {"no cursor": "x", "a NUL": "\x00", "too long": "x" * 10_000}),
    Bad("an unknown parameter", {"colour": "red"}, "colour"),
]
TAG_FIELDS: list[Bad] = [
    *cases("name", {**NOT_TEXT, "empty": "", "blank": "  ", "51 characters": "x" * 51, "a comma": "a,b"}),
    *cases("name", {"a NUL": "\x00", "a line break": "a\nb"}),
    *cases("color", {**NOT_TEXT, "a word": "red", "short": "#12345", "long": "#1234567", "no hex": "#12345g"}),
    *cases("color", {"a line break after it": "#123456\n"}),
    Bad("an unknown field", {"colour": "red"}, "colour"),
]
