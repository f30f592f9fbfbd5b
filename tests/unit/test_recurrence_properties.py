"""Recurrence against an oracle that shares no code with it, for any rule, zone and year of DST."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from functions.tasks.recurrence import Occurrence, Recurrence, next_occurrence, occurrences, to_rrule
from tests.support.recurrence_oracle import instants, walk, walk_typed
from tests.support.recurrences import any_recurrence, days, rule_parts, starts, text_of, typed_fields
from tests.support.series import local

ANY_RULE = settings(max_examples=250, deadline=None)
ANY_SERIES = settings(max_examples=150, deadline=None)


def expanded(given: dict[str, Any], start: date | datetime, zone: str, n: int = 60) -> list[Occurrence]:
    rule = Recurrence.model_validate(given)
    return list(islice(occurrences(rule, start=start, time_zone=zone), n))


@ANY_RULE
@given(rule_parts(), days)
def test_a_rule_falls_on_the_days_that_rfc_5545_says(parts: dict[str, Any], first: date) -> None:
    until = first + timedelta(days=1100)
    expected = walk(parts, first, until)
    event(f"{parts['FREQ']}, {'some' if expected else 'no'} days")
    found = expanded({"rrule": text_of(parts)}, first, "UTC", len(expected) + 1)
    assert [one.due for one in found if one.due <= until] == expected
    assert [one.number for one in found] == list(range(1, len(found) + 1))


@ANY_RULE
@given(typed_fields(), days)
def test_the_typed_form_falls_on_the_days_that_the_api_says(fields: dict[str, Any], first: date) -> None:
    until = first + timedelta(days=2000)
    expected = walk_typed(fields, first, until)
    found = expanded(fields, first, "UTC", len(expected) + 1)
    assert [one.due for one in found if one.due <= until] == expected


@ANY_SERIES
@given(any_recurrence, starts())
def test_never_skipped_doubled_or_out_of_order_in_any_zone(
    fields: dict[str, Any], start_in: tuple[datetime, str]
) -> None:
    start, zone = start_in
    first = start.astimezone(ZoneInfo(zone)).date()
    all_day = expanded(fields, first, zone, 200)
    timed = expanded(fields, start, zone, 150)
    every = list(instants([one.due for one in all_day], start, ZoneInfo(zone)))
    assert [one.due for one in timed] == every[: len(timed)]
    assert len(timed) == min(150, len(every))
    assert all(earlier.due < later.due for earlier, later in pairwise(timed))
    assert [one.number for one in timed] == list(range(1, len(timed) + 1))


@ANY_SERIES
@given(any_recurrence, starts())
def test_the_wall_time_is_constant_outside_of_gaps(fields: dict[str, Any], start_in: tuple[datetime, str]) -> None:
    start, zone = start_in
    wall = start.astimezone(ZoneInfo(zone)).time()
    for one in expanded(fields, start, zone):
        shown = local(one.due, zone)
        if shown.time() != wall:
            event("in a gap")
            wanted = datetime.combine(shown.date(), wall, ZoneInfo(zone))
            if wanted.astimezone(UTC).astimezone(ZoneInfo(zone)).time() == wall:  # the gap is before midnight
                wanted -= timedelta(days=1)
            assert wanted.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != wall
            assert wanted.astimezone(UTC) == one.due


@ANY_SERIES
@given(any_recurrence, starts(), st.booleans())
def test_its_rrule_text_means_the_same(fields: dict[str, Any], start_in: tuple[datetime, str], all_day: bool) -> None:
    instant, zone = start_in
    start = instant.astimezone(ZoneInfo(zone)).date() if all_day else instant
    text = to_rrule(Recurrence.model_validate(fields), start=start, time_zone=zone)
    assert expanded({"rrule": text}, start, zone) == expanded(fields, start, zone)
    again = to_rrule(Recurrence.model_validate({"rrule": text}), start=start, time_zone=zone)
    assert again == text


@ANY_SERIES
@given(any_recurrence, starts(), st.integers(1, 30), st.booleans())
def test_an_end_cuts_the_series_and_changes_nothing_before_it(
    fields: dict[str, Any], start_in: tuple[datetime, str], length: int, by_count: bool
) -> None:
    start, zone = start_in
    endless = expanded(fields, start, zone, length)
    assume(endless)
    last = endless[-1].due
    if "rrule" in fields:
        end = f"COUNT={length}" if by_count else f"UNTIL={last:%Y%m%dT%H%M%SZ}"
        ended = {"rrule": f"{fields['rrule']};{end}"}
    else:
        ended = fields | ({"count": length} if by_count else {"end_date": last.isoformat()})
    assert expanded(ended, start, zone) == endless


@ANY_SERIES
@given(any_recurrence, starts(), st.integers(1, 40), st.timedeltas(timedelta(days=-40), timedelta(days=1500)))
def test_what_follows_is_the_first_later_one_of_the_series(
    fields: dict[str, Any], start_in: tuple[datetime, str], number: int, passed: timedelta
) -> None:
    start, zone = start_in
    now = start + passed
    rule = Recurrence.model_validate(fields)
    found = next_occurrence(rule, start=start, time_zone=zone, number=number, completed_at=now, now=now)
    series = occurrences(rule, start=start, time_zone=zone)
    assert found == next((one for one in series if one.number > number and one.due > now), None)
    first, today = (moment.astimezone(ZoneInfo(zone)).date() for moment in (start, now))
    by_day = next_occurrence(rule, start=first, time_zone=zone, number=number, completed_at=now, now=now)
    series = occurrences(rule, start=first, time_zone=zone)
    assert by_day == next((one for one in series if one.number > number and one.due > today), None)


@ANY_SERIES
@given(any_recurrence, starts(), st.timedeltas(timedelta(days=-40), timedelta(days=1500)))
def test_counted_from_completion_it_is_later_on_the_rule_and_the_next_number(
    fields: dict[str, Any], start_in: tuple[datetime, str], passed: timedelta
) -> None:
    start, zone = start_in
    now = start + passed
    rule = Recurrence.model_validate(fields | {"anchor": "completion"})
    found = next_occurrence(
        rule, start=start, time_zone=zone, number=7, completed_at=now, now=now, due=start if rule.names_days else None
    )
    if found is None:
        assert rule.names_days
        return
    assert found.number == 8
    assert found.due > now
    completed_on = local(now, zone).date()
    assert local(found.due, zone).date() > completed_on
    if rule.names_days:
        assert found.due > start
    counted = datetime.combine(completed_on, start.astimezone(ZoneInfo(zone)).time(), ZoneInfo(zone))
    if local(counted.astimezone(UTC), zone).time() == counted.time():  # else a gap, which would give it another time
        assert found.due in [one.due for one in expanded(fields, counted.astimezone(UTC), zone)]


@ANY_SERIES
@given(any_recurrence, starts(), st.integers(0, 19))
def test_excluding_one_leaves_the_others_as_they_were(
    fields: dict[str, Any], start_in: tuple[datetime, str], index: int
) -> None:
    start, zone = start_in
    before = expanded(fields, start, zone, 40)
    assume(len(before) > index)
    excluded = fields | {"exdates": [*fields.get("exdates", ()), before[index].due.isoformat()]}
    assert expanded(excluded, start, zone, 39) == [one for one in before if one != before[index]][:39]


@ANY_SERIES
@given(rule_parts(), days)
def test_a_series_may_be_entered_anywhere(parts: dict[str, Any], first: date) -> None:
    """The number of an occurrence is the same however far into the series it is looked for."""
    rule = Recurrence.model_validate({"rrule": text_of(parts)})
    for one, following in pairwise(expanded({"rrule": text_of(parts)}, first, "UTC", 8)):
        now = datetime.combine(one.due, time(12), UTC)
        assert following == next_occurrence(
            rule, start=first, time_zone="UTC", number=one.number, completed_at=now, now=now
        )
