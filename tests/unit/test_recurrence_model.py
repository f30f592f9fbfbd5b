"""The recurrence that callers send: what is accepted, what is refused and how, and what it is in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from functions.tasks.errors import InvalidInput
from functions.tasks.recurrence import Recurrence, describe, preview
from tests.support.series import BERLIN, at, recur


def test_null_fields_are_left_out_and_the_json_form_comes_back_equal() -> None:
    names = ("unit", "days_of_week", "day_of_month", "week_of_month", "end_date", "count", "rrule", "anchor")
    rule = Recurrence.model_validate({"type": "daily", "interval": None} | dict.fromkeys(names))
    assert rule.model_dump(mode="json") == {"type": "daily", "interval": 1, "anchor": "due_date"}
    for given in (
        recur(type="weekly", days_of_week=[0, 3], end_date="2027-01-01", exdates=["2026-12-03"]),
        recur(type="monthly", end_date="2027-01-01T09:00:00+01:00", anchor="completion"),
        recur(rrule=" freq=weekly;byday=mo;wkst=su "),
    ):
        assert Recurrence.model_validate(given.model_dump(mode="json")) == given
        assert Recurrence.model_validate_json(given.model_dump_json()) == given
    assert recur(rrule="FREQ=DAILY").model_dump(mode="json") == {"rrule": "FREQ=DAILY", "anchor": "due_date"}


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("type", {}),
        ("type", {"interval": 2}),
        ("type", {"type": "hourly"}),
        ("type", {"type": "daily", "rrule": "FREQ=DAILY"}),
        ("interval", {"interval": 2, "rrule": "FREQ=DAILY"}),
        ("count", {"count": 2, "rrule": "FREQ=DAILY"}),
        ("unit", {"type": "custom"}),
        ("unit", {"type": "custom", "unit": "hour"}),
        ("unit", {"type": "daily", "unit": "day"}),
        ("interval", {"type": "daily", "interval": 0}),
        ("interval", {"type": "daily", "interval": 10_000}),
        ("interval", {"type": "daily", "interval": True}),
        ("interval", {"type": "daily", "interval": "2"}),
        ("interval", {"type": "daily", "interval": 1.5}),
        ("days_of_week", {"type": "weekly", "days_of_week": []}),
        ("days_of_week", {"type": "weekly", "days_of_week": [1, 1]}),
        ("days_of_week", {"type": "weekly", "days_of_week": [7]}),
        ("days_of_week", {"type": "weekly", "days_of_week": 1}),
        ("week_of_month", {"type": "monthly", "days_of_week": [1]}),
        ("week_of_month", {"type": "monthly", "week_of_month": 1}),
        ("week_of_month", {"type": "monthly", "week_of_month": 6, "days_of_week": [0]}),
        ("week_of_month", {"type": "monthly", "week_of_month": 0, "days_of_week": [0]}),
        ("week_of_month", {"type": "weekly", "week_of_month": 1, "days_of_week": [0]}),
        ("day_of_month", {"type": "weekly", "day_of_month": 1}),
        ("day_of_month", {"type": "monthly", "day_of_month": 0}),
        ("day_of_month", {"type": "monthly", "day_of_month": 32}),
        ("day_of_month", {"type": "monthly", "day_of_month": -2}),
        ("day_of_month", {"type": "monthly", "day_of_month": 1, "week_of_month": 1, "days_of_week": [0]}),
        ("month", {"type": "monthly", "month": 1}),
        ("month", {"type": "yearly", "month": 13}),
        ("end_date", {"type": "daily", "end_date": "2026-02-30"}),
        ("end_date", {"type": "daily", "end_date": "2026-02-20T09:00:00"}),
        ("end_date", {"type": "daily", "end_date": "0000-01-01"}),
        ("end_date", {"type": "daily", "end_date": "10000-01-01"}),
        ("count", {"type": "daily", "count": 0}),
        ("anchor", {"type": "daily", "anchor": "start"}),
        ("exdates", {"type": "daily", "exdates": ["tomorrow"]}),
        ("frequency", {"type": "daily", "frequency": "x"}),
    ],
)
def test_a_refusal_names_the_field(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        Recurrence.model_validate(given)
    assert [error["loc"][0] for error in refused.value.errors()] == [field]


def test_preview_answers_json_of_instants_or_dates() -> None:
    shown = preview(recur(type="monthly", count=2), start=at("2026-01-31 09:00"), time_zone=BERLIN)
    assert shown.model_dump(mode="json") == {
        "occurrences": ["2026-01-31T08:00:00Z", "2026-02-28T08:00:00Z"],
        "text": "every month on the 31st, or the last day of a shorter month, 2 times",
        "rrule": "FREQ=MONTHLY;COUNT=2;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
    }
    all_day = preview(recur(type="daily"), start=date(2026, 1, 31), time_zone=BERLIN, count=2)
    assert all_day.model_dump(mode="json")["occurrences"] == ["2026-01-31", "2026-02-01"]
    assert len(preview(recur(type="daily"), start=date(2026, 1, 31), time_zone=BERLIN, count=500).occurrences) == 500
    for count in (0, 501):
        with pytest.raises(InvalidInput, match="count"):
            preview(recur(type="daily"), start=date(2026, 1, 31), time_zone=BERLIN, count=count)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "daily"}, "every day"),
        ({"type": "daily", "interval": 3}, "every 3 days"),
        ({"type": "daily", "interval": 3, "anchor": "completion"}, "3 days after completion"),
        ({"type": "daily", "count": 1}, "every day, once"),
        ({"type": "daily", "exdates": ["2026-02-01"]}, "every day, except one date"),
        ({"type": "weekly"}, "every week on Saturday"),
        (
            {"type": "weekly", "interval": 2, "days_of_week": [0, 3], "end_date": "2027-03-01"},
            "every 2 weeks on Monday and Thursday until 2027-03-01",
        ),
        ({"type": "weekly", "days_of_week": [0, 1, 2, 3, 4]}, "every weekday"),
        (
            {"type": "weekly", "days_of_week": [0, 3], "anchor": "completion"},
            "every week on Monday and Thursday, counted from completion",
        ),
        ({"type": "monthly"}, "every month on the 31st, or the last day of a shorter month"),
        ({"type": "monthly", "day_of_month": -1}, "every month on the last day"),
        ({"type": "monthly", "day_of_month": 2}, "every month on the 2nd"),
        ({"type": "monthly", "week_of_month": 2, "days_of_week": [1]}, "every month on the 2nd Tuesday"),
        ({"type": "yearly"}, "every year on the 31st of January"),
        (
            {"type": "yearly", "month": 2, "day_of_month": 29},
            "every year on the 29th of February, or the 28th outside leap years",
        ),
        ({"rrule": "FREQ=MONTHLY"}, "every month on the 31st, skipping months without it"),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=1,-1"}, "every month on the 1st and last day"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"}, "every month on the last weekday"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13"}, "every month on the 13th, if it is a Friday"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=5;BYDAY=2SU"}, "every year on the 2nd Sunday of May"),
        ({"rrule": "FREQ=YEARLY;BYDAY=20MO"}, "every year on the 20th Monday of the year"),
        ({"rrule": "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"}, "every year on Monday of week 20"),
        ({"rrule": "FREQ=YEARLY;BYYEARDAY=1,-1"}, "every year on the 1st and last day of the year"),
        ({"rrule": "FREQ=DAILY;BYMONTH=1"}, "every day in January"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231T230000Z"}, "every week on Monday until 2027-01-01"),
    ],
)
def test_in_words(fields: dict[str, Any], words: str) -> None:
    assert describe(recur(**fields), start=at("2026-01-31 09:00"), time_zone=BERLIN) == words


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("FREQ", ""),
        ("FREQ", "INTERVAL=2"),
        ("FREQ", "FREQ=HOURLY"),
        ("FREQ", "FREQ=MINUTELY"),
        ("FREQ", "FREQ=SECONDLY"),
        ("FREQ", "FREQ=FORTNIGHTLY"),
        ("FREQ", "FREQ=DAILY;FREQ=DAILY"),
        ("BYHOUR", "FREQ=DAILY;BYHOUR=9"),
        ("BYMINUTE", "FREQ=DAILY;BYMINUTE=0"),
        ("BYSECOND", "FREQ=DAILY;BYSECOND=0"),
        ("BYEASTER", "FREQ=YEARLY;BYEASTER=0"),
        ("RSCALE", "RSCALE=GREGORIAN;FREQ=DAILY"),
        ("SKIP", "FREQ=MONTHLY;SKIP=BACKWARD"),
        ("X-THING", "FREQ=DAILY;X-THING=1"),
        ("INTERVAL", "FREQ=DAILY;INTERVAL=0"),
        ("INTERVAL", "FREQ=DAILY;INTERVAL=-1"),
        ("INTERVAL", "FREQ=DAILY;INTERVAL=1.5"),
        ("INTERVAL", "FREQ=DAILY;INTERVAL=99999999999999999999"),
        ("COUNT", "FREQ=DAILY;COUNT=0"),
        ("COUNT", "FREQ=DAILY;COUNT=2;COUNT=2"),
        ("COUNT", "FREQ=DAILY;COUNT=2;UNTIL=20270101"),
        ("UNTIL", "FREQ=DAILY;UNTIL=2027-01-01"),
        ("UNTIL", "FREQ=DAILY;UNTIL=20270230"),
        ("UNTIL", "FREQ=DAILY;UNTIL=00000101"),
        ("UNTIL", "FREQ=DAILY;UNTIL=20270101T250000Z"),
        ("BYDAY", "FREQ=WEEKLY;BYDAY=1MO"),
        ("BYDAY", "FREQ=DAILY;BYDAY=-1MO"),
        ("BYDAY", "FREQ=WEEKLY;BYDAY=MON"),
        ("BYDAY", "FREQ=WEEKLY;BYDAY=XX"),
        ("BYDAY", "FREQ=MONTHLY;BYDAY=0MO"),
        ("BYDAY", "FREQ=MONTHLY;BYDAY=6MO"),
        ("BYDAY", "FREQ=YEARLY;BYDAY=54MO"),
        ("BYDAY", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO"),
        ("BYDAY", "FREQ=WEEKLY;BYDAY=MO,"),
        ("BYDAY", "FREQ=WEEKLY;BYDAY="),
        ("BYMONTHDAY", "FREQ=MONTHLY;BYMONTHDAY=0"),
        ("BYMONTHDAY", "FREQ=MONTHLY;BYMONTHDAY=32"),
        ("BYMONTHDAY", "FREQ=WEEKLY;BYMONTHDAY=1"),
        ("BYMONTH", "FREQ=YEARLY;BYMONTH=13"),
        ("BYMONTH", "FREQ=YEARLY;BYMONTH=-1"),
        ("BYMONTH", "FREQ=YEARLY;BYMONTH=5L"),
        ("BYYEARDAY", "FREQ=MONTHLY;BYYEARDAY=1"),
        ("BYYEARDAY", "FREQ=YEARLY;BYYEARDAY=367"),
        ("BYWEEKNO", "FREQ=MONTHLY;BYWEEKNO=1"),
        ("BYWEEKNO", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO"),
        ("BYWEEKNO", "FREQ=YEARLY;BYWEEKNO=1;INTERVAL=2;BYDAY=MO"),
        ("BYSETPOS", "FREQ=MONTHLY;BYSETPOS=1"),
        ("BYSETPOS", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0"),
        ("BYSETPOS", "FREQ=DAILY;BYDAY=MO;BYSETPOS=2"),
        ("WKST", "FREQ=WEEKLY;WKST=1"),
        ("RRULE", "FREQ=DAILY;;COUNT=2"),
        ("RRULE", "RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY"),
        ("RRULE", "RRULE;X=1:FREQ=DAILY"),
        ("DTSTART", "DTSTART:20260101T090000\nRRULE:FREQ=DAILY"),
        ("RDATE", "RRULE:FREQ=DAILY\nRDATE:20260101T090000Z"),
        ("EXRULE", "RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY"),
        ("EXDATE", "RRULE:FREQ=DAILY\nEXDATE:someday"),
        ("EXDATE", "RRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:20260101T090000Z"),
        ("EXDATE", "RRULE:FREQ=DAILY\nEXDATE;VALUE=PERIOD:20260101"),
        ("EXDATE", "RRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20260101T090000Z"),
        ("TZID", "RRULE:FREQ=DAILY\nEXDATE;TZID=Mars/Base:20260101T090000"),
        ("ASCII", "FREQ=DAILY;COUNT=\u0663"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_part(part: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        recur(rrule=text)
    (error,) = refused.value.errors()
    assert error["loc"] == ("rrule",)
    assert part in error["msg"]
