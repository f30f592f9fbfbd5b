"""The series of a recurrence: what it falls on, what follows a completed occurrence, and edits."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import pytest

from functions.tasks.recurrence import (
    Occurrence,
    next_occurrence,
    occurrences,
    starts_on_rule,
)
from tests.support.series import BERLIN, NEW_YORK, at, complete, days, dues, recur, walls


def test_what_is_left_out_comes_from_the_start() -> None:
    assert days(recur(type="weekly"), "2026-11-25", 3) == ["2026-11-25", "2026-12-02", "2026-12-09"]
    assert days(recur(type="monthly"), "2026-11-25", 2) == ["2026-11-25", "2026-12-25"]
    assert days(recur(type="yearly"), "2026-11-25", 2) == ["2026-11-25", "2027-11-25"]
    local = recur(type="monthly")  # 23:30 on the 1st in New York is the 2nd in UTC
    assert walls(local, at("2026-11-01 23:30", NEW_YORK), NEW_YORK, 2) == ["2026-11-01 23:30", "2026-12-01 23:30"]


def test_end_date_and_count_together_end_at_whichever_is_first() -> None:
    assert days(recur(type="daily", end_date="2026-11-25", count=9), "2026-11-24") == ["2026-11-24", "2026-11-25"]
    assert days(recur(type="daily", end_date="2026-12-25", count=1), "2026-11-24") == ["2026-11-24"]


def test_daily_on_some_days_of_the_week_is_daily_without_the_others() -> None:
    assert days(recur(type="daily", days_of_week=[0, 4]), "2026-11-23", 3) == ["2026-11-23", "2026-11-27", "2026-11-30"]


def test_feb_29_is_feb_28_in_other_years_and_comes_back() -> None:
    seen = days(recur(type="yearly"), "2096-02-29", 9)
    assert seen[:2] == ["2096-02-29", "2097-02-28"]
    assert seen[-1] == "2104-02-29"
    assert "2100-02-28" in seen  # not a leap year
    assert days(recur(type="custom", unit="year", interval=4), "2028-02-29", 3)[1:] == ["2032-02-29", "2036-02-29"]


def test_weekly_on_several_days_with_an_interval_counts_weeks_from_monday() -> None:
    rule = recur(type="weekly", interval=2, days_of_week=[0, 6])
    assert days(rule, "2026-11-25", 4) == ["2026-11-29", "2026-12-07", "2026-12-13", "2026-12-21"]


def test_nth_and_last_weekdays() -> None:
    second_tuesday = recur(type="monthly", week_of_month=2, days_of_week=[1])
    assert days(second_tuesday, "2026-11-01", 3) == ["2026-11-10", "2026-12-08", "2027-01-12"]
    last_friday = recur(type="monthly", week_of_month=-1, days_of_week=[4], interval=2)
    assert days(last_friday, "2026-11-01", 2) == ["2026-11-27", "2027-01-29"]
    fifth = recur(type="monthly", week_of_month=5, days_of_week=[0])
    assert days(fifth, "2026-11-01", 3) == ["2026-11-30", "2026-12-28", "2027-01-25"]
    each = recur(type="monthly", week_of_month=1, days_of_week=[0, 2])
    assert days(each, "2026-11-01", 4) == ["2026-11-02", "2026-11-04", "2026-12-02", "2026-12-07"]
    mothers_day = recur(type="yearly", month=5, week_of_month=2, days_of_week=[6])
    assert days(mothers_day, "2026-11-01", 2) == ["2027-05-09", "2028-05-14"]


def test_yearly_on_a_given_day_and_month() -> None:
    assert days(recur(type="yearly", month=4, day_of_month=31), "2026-11-01", 2) == ["2027-04-30", "2028-04-30"]
    assert days(recur(type="yearly", month=2, day_of_month=-1), "2026-11-01", 2) == ["2027-02-28", "2028-02-29"]


def test_custom_is_the_type_of_its_unit() -> None:
    for unit, kind in (("day", "daily"), ("week", "weekly"), ("month", "monthly"), ("year", "yearly")):
        custom, plain = recur(type="custom", unit=unit, interval=3), recur(type=kind, interval=3)
        assert days(custom, "2026-01-31", 20) == days(plain, "2026-01-31", 20)


def test_the_end() -> None:
    daily = "2026-11-23", "2026-11-24", "2026-11-25"
    assert days(recur(type="daily", count=3), "2026-11-23") == list(daily)
    assert days(recur(type="daily", end_date="2026-11-25"), "2026-11-23") == list(daily)
    by_day = recur(type="daily", end_date="2026-11-25")
    assert walls(by_day, at("2026-11-23 23:30")) == [f"{day} 23:30" for day in daily]
    by_instant = recur(type="daily", end_date="2026-11-25T09:00:00+01:00")
    assert walls(by_instant, at("2026-11-23 09:00")) == [f"{day} 09:00" for day in daily]
    assert walls(by_instant, at("2026-11-23 09:01")) == [f"{day} 09:01" for day in daily[:2]]
    assert days(recur(type="daily", end_date="2026-11-22"), "2026-11-23") == []


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("20261125T080000Z", 3),
        ("20261125T075959Z", 2),
        ("20261125T090000", 3),
        ("20261125T085959", 2),
        ("20261125", 3),
        ("99991231T235959Z", 500),
        ("00010101T000000Z", 0),
    ],
)
def test_until_is_an_instant_a_local_time_or_a_whole_day(until: str, expected: int) -> None:
    rule = recur(rrule=f"FREQ=DAILY;UNTIL={until}")
    assert len(dues(rule, at("2026-11-23 09:00"))) == expected
    assert len(dues(rule, date(2026, 11, 23))) in (expected, 3)  # whole days when all-day


def test_a_date_that_does_not_match_is_followed_by_the_first_that_does() -> None:
    rule, start = recur(type="weekly", days_of_week=[0]), date(2026, 11, 25)
    assert days(rule, "2026-11-25", 1) == ["2026-11-30"]
    assert not starts_on_rule(rule, start=start, time_zone=BERLIN)
    assert starts_on_rule(rule, start=date(2026, 11, 23), time_zone=BERLIN)


def test_an_excluded_occurrence_keeps_its_number_and_counts() -> None:
    rule = recur(type="daily", count=4, exdates=["2026-11-24"])
    found = list(occurrences(rule, start=at("2026-11-23 09:00"), time_zone=BERLIN))
    assert [one.number for one in found] == [1, 3, 4]
    lines = "RRULE:FREQ=DAILY;COUNT=5\r\nEXDATE:20261124T080000Z,20261125T\r\n 080000Z\r\nEXDATE;VALUE=DATE:20261126"
    assert walls(recur(rrule=lines), at("2026-11-23 09:00")) == ["2026-11-23 09:00", "2026-11-27 09:00"]
    floating = recur(rrule="FREQ=DAILY;COUNT=2\nEXDATE;VALUE=DATE-TIME:20261124T090000")
    assert walls(floating, at("2026-11-23 09:00")) == ["2026-11-23 09:00"]
    elsewhere = recur(rrule="FREQ=DAILY;COUNT=2\nEXDATE;TZID=America/New_York:20261124T030000")
    assert walls(elsewhere, at("2026-11-23 09:00")) == ["2026-11-23 09:00"]
    assert days(recur(rrule=lines), "2026-11-23") == ["2026-11-23", "2026-11-27"]


def test_completed_early_the_very_next_one_follows() -> None:
    rule, start = recur(type="weekly"), at("2026-11-23 09:00")
    assert complete(rule, start, 1, now=at("2026-11-20 09:00")) == Occurrence(2, at("2026-11-30 09:00"))
    assert complete(rule, start, 5, now=at("2026-11-20 09:00")) == Occurrence(6, at("2026-12-28 09:00"))


def test_a_series_that_has_ended_has_no_next_one() -> None:
    start = at("2026-11-23 09:00")
    for rule in (recur(type="daily", count=3), recur(type="daily", end_date="2026-11-25")):
        assert complete(rule, start, 2, now=at("2026-11-24 10:00")) == Occurrence(3, at("2026-11-25 09:00"))
        assert complete(rule, start, 3, now=at("2026-11-25 10:00")) is None
        assert complete(rule, start, 1, now=at("2026-11-25 10:00")) is None


@pytest.mark.parametrize(
    ("fields", "completed", "expected"),
    [
        ({"type": "daily", "interval": 3}, "2026-11-25 22:00", "2026-11-28 09:00"),
        ({"type": "daily"}, "2026-11-23 08:00", "2026-11-24 09:00"),
        ({"type": "weekly", "interval": 2}, "2026-11-25 22:00", "2026-12-09 09:00"),
        ({"type": "custom", "unit": "month", "interval": 1}, "2027-01-31 10:00", "2027-02-28 09:00"),
        ({"type": "yearly"}, "2028-02-29 10:00", "2029-02-28 09:00"),
        ({"type": "weekly", "days_of_week": [0, 3]}, "2026-11-25 22:00", "2026-11-26 09:00"),
        ({"type": "weekly", "days_of_week": [0, 3], "interval": 2}, "2026-11-27 22:00", "2026-12-07 09:00"),
        ({"type": "monthly", "day_of_month": 15}, "2026-12-20 22:00", "2027-01-15 09:00"),
        ({"type": "monthly", "day_of_month": -1}, "2026-12-20 22:00", "2026-12-31 09:00"),
        ({"rrule": "FREQ=DAILY;INTERVAL=10"}, "2026-12-01 00:10", "2026-12-11 09:00"),
    ],
)
def test_counted_from_completion(fields: dict[str, Any], completed: str, expected: str) -> None:
    rule = recur(**fields, anchor="completion")
    found = complete(rule, at("2026-11-23 09:00"), 4, now=at(completed), due=at("2026-11-23 09:00"))
    assert found == Occurrence(5, at(expected))


def test_counted_from_completion_a_named_day_is_not_the_one_just_completed() -> None:
    rule = recur(type="weekly", days_of_week=[0], anchor="completion")
    due = at("2026-11-30 09:00")
    found = complete(rule, at("2026-11-23 09:00"), 2, now=at("2026-11-29 12:00"), due=due)
    assert found == Occurrence(3, at("2026-12-07 09:00"))


def test_counted_from_completion_the_count_is_of_completions_and_the_end_is_kept() -> None:
    start, now = at("2026-11-23 09:00"), at("2026-12-20 10:00")
    thrice = recur(type="daily", count=3, anchor="completion")
    assert complete(thrice, start, 2, now=now) == Occurrence(3, at("2026-12-21 09:00"))
    assert complete(thrice, start, 3, now=now) is None
    assert complete(recur(rrule="FREQ=DAILY;COUNT=3", anchor="completion"), start, 3, now=now) is None
    assert complete(recur(type="daily", end_date="2026-12-20", anchor="completion"), start, 2, now=now) is None


def test_a_completion_told_late_still_gives_a_day_to_come() -> None:
    rule = recur(type="daily", interval=3, anchor="completion")
    following = next_occurrence(
        rule,
        start=at("2026-11-23 09:00"),
        time_zone=BERLIN,
        number=1,
        completed_at=at("2026-11-24 10:00"),
        now=at("2026-12-20 10:00"),
    )
    assert following == Occurrence(2, at("2026-12-21 09:00"))  # 24 November + 27 days


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "daily"},
        {"type": "weekly", "interval": 2, "days_of_week": [0, 3]},
        {"rrule": "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR"},
    ],
)
def test_the_next_of_a_long_series_is_found_without_walking_it(fields: dict[str, Any]) -> None:
    """A series of 90 years costs what one of 10 does; far below a walk, even on a busy machine."""
    rule, now = recur(**fields), at("2026-11-23 12:00")
    start = at("1936-11-23 09:00")
    best = min(_seconds(lambda: complete(rule, start, 3, now=now)) for _ in range(5))
    assert best < 0.01
    slow = next(one for one in occurrences(rule, start=start, time_zone=BERLIN) if one.due > now)
    assert complete(rule, start, 3, now=now) == slow


def _seconds(action: Any) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
