"""What public task systems get wrong, each test by the name of its report, and what a change of clocks does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from functions.tasks.recurrence import Occurrence, occurrences
from tests.support.series import BERLIN, at, complete, days, dues, local, recur, walls

MONTH_ENDS_2026 = ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30"]


def test_vikunja_3436_monthly_from_the_31st_skips_no_month_and_comes_back() -> None:
    ends = walls(recur(type="monthly"), at("2026-01-31 09:00"), n=9)
    assert ends == [f"2026-{day} 09:00" for day in MONTH_ENDS_2026]


def test_taskwarrior_1698_completing_each_month_does_not_slip_to_the_28th() -> None:
    for day in (29, 30, 31):
        rule, start = recur(type="monthly"), at(f"2026-01-{day} 09:00")
        one, seen = Occurrence(1, start), []
        for _ in range(14):
            following = complete(rule, start, one.number, now=local(one.due) + timedelta(minutes=5))
            assert following is not None
            assert following.number == one.number + 1
            one = following
            seen.append(local(one.due).day)
        assert seen == [min(day, last) for last in (28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28, 31)]


def test_tasks_4135_monthly_all_day_from_the_31st_is_each_last_day() -> None:
    assert days(recur(type="monthly"), "2026-01-31", n=9) == [f"2026-{day}" for day in MONTH_ENDS_2026]
    assert days(recur(type="monthly"), "2028-01-31", n=2) == ["2028-01-31", "2028-02-29"]


def test_super_productivity_2500_february_and_months_of_30_days_have_their_task() -> None:
    rule = recur(type="monthly", day_of_month=31)
    assert days(rule, "2026-02-01", n=4) == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    first = recur(type="monthly", day_of_month=1)
    assert days(first, "2026-01-31", n=3) == ["2026-02-01", "2026-03-01", "2026-04-01"]


@pytest.mark.parametrize("year", [2017, 2018, 2026, 2027])
@pytest.mark.parametrize("zone", [BERLIN, "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_donetick_808_a_year_of_daily_0900_is_at_0900_every_day(zone: str, year: int) -> None:
    new_year = date(year, 1, 1)
    expected = [f"{new_year + timedelta(days=day)} 09:00" for day in range(365)]
    start = at(f"{year}-01-01 09:00", zone)
    assert walls(recur(type="daily"), start, zone, 365) == expected
    assert walls(recur(rrule="FREQ=DAILY"), start, zone, 365) == expected


def test_tasks_1634_completing_over_the_start_of_dst_gives_tomorrow_not_today() -> None:
    zone = "Pacific/Auckland"
    for rule in (recur(type="daily"), recur(type="daily", anchor="completion")):
        for day in range(20, 30):  # DST began on 2026-09-27
            start = date(2026, 9, day)
            following = complete(rule, start, 1, now=at(f"2026-09-{day} 21:00", zone), zone=zone)
            assert following == Occurrence(2, start + timedelta(days=1))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", BERLIN, "UTC"])
def test_ticktick_sync_366_an_all_day_date_never_slips(zone: str) -> None:
    rule, start = recur(type="daily", interval=7), date(2026, 8, 9)
    expected = [start + timedelta(weeks=week) for week in range(60)]
    assert dues(rule, start, zone, 60) == expected
    for number, due in enumerate(expected[:-1], start=1):
        following = complete(rule, start, number, now=at(f"{due} 12:00", zone), zone=zone)
        assert following == Occurrence(number + 1, expected[number])


def test_donetick_834_missed_cycles_are_skipped_and_the_number_says_how_many() -> None:
    daily, start = recur(type="daily"), at("2026-01-01 09:00")
    assert complete(daily, start, 1, now=at("2026-03-10 08:59")) == Occurrence(69, at("2026-03-10 09:00"))
    assert complete(daily, start, 1, now=at("2026-03-10 09:00")) == Occurrence(70, at("2026-03-11 09:00"))
    monthly = recur(type="monthly", day_of_month=31)
    missed = complete(monthly, at("2026-01-31 09:00"), 1, now=at("2026-05-31 10:00"))
    assert missed == Occurrence(6, at("2026-06-30 09:00"))
    all_day = complete(daily, date(2026, 1, 1), 1, now=at("2026-03-10 00:30"))
    assert all_day == Occurrence(70, date(2026, 3, 11))


def test_super_productivity_6398_two_devices_that_complete_it_agree_on_the_next_one() -> None:
    """The series and the number are the key of an occurrence, so both spawn the same one."""
    rule, start = recur(type="weekly", days_of_week=[0, 3]), at("2026-11-23 09:00")
    phone = complete(rule, start, 1, now=at("2026-11-23 09:10"))
    laptop = complete(rule, start, 1, now=at("2026-11-25 18:00"))
    assert phone == laptop == Occurrence(2, at("2026-11-26 09:00"))


def test_a_time_in_a_gap_moves_forward_on_that_day_only() -> None:
    seen = walls(recur(type="daily"), at("2026-03-28 02:30"), n=3)
    assert seen == ["2026-03-28 02:30", "2026-03-29 03:30", "2026-03-30 02:30"]
    half_hour = walls(recur(type="daily"), at("2026-10-03 02:15", zone := "Australia/Lord_Howe"), zone, 3)
    assert half_hour == ["2026-10-03 02:15", "2026-10-04 02:45", "2026-10-05 02:15"]
    midnight = walls(recur(type="daily"), at("2018-11-03 00:30", zone := "America/Sao_Paulo"), zone, 3)
    assert midnight == ["2018-11-03 00:30", "2018-11-04 01:30", "2018-11-05 00:30"]


def test_of_a_repeated_time_the_first_is_taken() -> None:
    _, repeated, after = dues(recur(type="daily"), at("2026-10-24 02:30"), n=3)
    assert repeated == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert after == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_start_in_the_second_of_a_repeated_hour_is_kept_to_the_instant() -> None:
    start = datetime(2026, 10, 25, 1, 30, 15, 250_000, tzinfo=UTC)  # 02:30 for the second time
    assert dues(recur(type="daily"), start, n=2) == [start, start + timedelta(days=1)]


def test_a_day_that_a_zone_left_out_makes_no_second_occurrence() -> None:
    """Pacific/Apia had no 30 December 2011: its 09:00 is that of the 31st."""
    zone, start = "Pacific/Apia", at("2011-12-28 09:00", "Pacific/Apia")
    rule = recur(type="daily", count=4)
    assert walls(rule, start, zone) == ["2011-12-28 09:00", "2011-12-29 09:00", "2011-12-31 09:00", "2012-01-01 09:00"]
    late = complete(recur(type="daily"), start, 1, now=at("2012-01-04 12:00", zone), zone=zone)
    numbered = list(islice(occurrences(recur(type="daily"), start=start, time_zone=zone), 8))
    assert late == numbered[7] == Occurrence(8, at("2012-01-05 09:00", zone))
    weekly = recur(rrule="FREQ=WEEKLY;BYDAY=FR")
    assert walls(weekly, at("2011-12-23 09:00", zone), zone, 3) == [
        "2011-12-23 09:00",
        "2011-12-31 09:00",
        "2012-01-06 09:00",
    ]
