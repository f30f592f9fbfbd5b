"""The arithmetic of rate limits: what passes, and when the next one does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.manage_devices import NEW_DEVICES, TESTS
from functions.redrive_notifications import REDRIVES
from functions.runtime.limits import SLACK, Limit, admit
from functions.tasks.errors import TooManyRequests

NOW = 1_800_000_000_000_000
LIMITS = st.builds(
    Limit,
    name=st.just("x"),
    count=st.integers(1, 50),
    window=st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
)


def window_of(limit: Limit) -> int:
    return limit.window // timedelta(microseconds=1)


def interval_of(limit: Limit) -> int:
    return window_of(limit) // limit.count


def slack_of(limit: Limit) -> int:
    return min(SLACK, interval_of(limit) // 2)


def let_through(limit: Limit, times: list[int]) -> list[int]:
    """Those of these times at which a request passes."""
    passed, free_at = [], 0
    for now in times:
        try:
            free_at = admit(limit, free_at, now)
        except TooManyRequests:
            continue
        passed.append(now)
    return passed


@given(LIMITS, st.integers(1, 10**15))
def test_at_once_the_limit_passes_and_no_more(limit: Limit, now: int) -> None:
    assert len(let_through(limit, [now] * (limit.count + 5))) == limit.count


@pytest.mark.parametrize("limit", [NEW_DEVICES, TESTS, REDRIVES], ids=lambda limit: limit.name)
def test_the_limits_of_the_product_are_exact(limit: Limit) -> None:
    assert len(let_through(limit, [NOW] * 100)) == limit.count
    assert window_of(limit) % limit.count == 0


@given(LIMITS, st.data())
def test_in_no_stretch_of_time_more_pass_than_were_saved_up_and_came_anew(limit: Limit, data: st.DataObject) -> None:
    """Counted over every stretch, which is what a limit means, and not by the record that `admit` keeps."""
    window = window_of(limit)
    steps = data.draw(st.lists(st.integers(0, window // 3), max_size=120))
    passed = let_through(limit, [NOW + sum(steps[: index + 1]) for index in range(len(steps))])
    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= limit.count + (end - begin + slack_of(limit)) / interval_of(limit)


@given(LIMITS, st.data())
def test_at_once_the_limit_passes_whatever_clock_each_request_has_read(limit: Limit, data: st.DataObject) -> None:
    extra = data.draw(st.integers(1, 5))
    clocks = st.integers(NOW, NOW + slack_of(limit))
    times = data.draw(st.lists(clocks, min_size=limit.count + extra, max_size=limit.count + extra))
    assert len(let_through(limit, times)) == limit.count


@given(LIMITS, st.floats(0, 0.999))
def test_a_refused_request_passes_when_it_was_told_and_not_before(limit: Limit, share: float) -> None:
    free_at = 0
    for _ in range(limit.count):
        free_at = admit(limit, free_at, NOW)
    with pytest.raises(TooManyRequests) as refusal:
        admit(limit, free_at, NOW)
    wait = round(refusal.value.retry_after * 1_000_000)
    assert 0 < wait <= window_of(limit)
    admit(limit, free_at, NOW + wait)
    with pytest.raises(TooManyRequests):
        admit(limit, free_at, NOW + int((wait - slack_of(limit) - 1) * share))


@given(LIMITS)
def test_a_replica_whose_clock_is_ahead_makes_nobody_wait_for_it(limit: Limit) -> None:
    """What it left behind counts as no more than a limit that has just been used up."""
    just_used_up = NOW + window_of(limit)
    with pytest.raises(TooManyRequests) as usual:
        admit(limit, just_used_up, NOW)
    with pytest.raises(TooManyRequests) as ahead:
        admit(limit, just_used_up + 10**12, NOW)
    assert ahead.value.retry_after == usual.value.retry_after
