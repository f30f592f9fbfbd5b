"""Quiet hours and the daily digest, by the wall clock of the user's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.tasks.digest import DigestTask, DueDigest, digest_day, digest_mail
from functions.tasks.errors import InvalidInput
from functions.tasks.user_settings import ManageSettings, QuietHours, UserSettings, next_digest, plan_settings

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Apia",
        "Asia/Kathmandu",
    ]
)
CLOCKS = st.times(timezones=st.none()).map(lambda clock: clock.replace(second=0, microsecond=0))
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


class TestQuietHours:
    @pytest.mark.parametrize(
        ("start", "end", "now", "until"),
        [
            ("22:00", "07:00", "2026-11-23T21:59", None),
            ("22:00", "07:00", "2026-11-23T22:00", "2026-11-24T07:00"),
            ("22:00", "07:00", "2026-11-24T00:00", "2026-11-24T07:00"),
            ("22:00", "07:00", "2026-11-24T06:59", "2026-11-24T07:00"),
            ("22:00", "07:00", "2026-11-24T07:00", None),
            ("12:00", "14:00", "2026-11-24T13:00", "2026-11-24T14:00"),
            ("12:00", "14:00", "2026-11-24T14:00", None),
            ("22:00", "02:30", "2026-03-29T01:00", "2026-03-29T03:30"),  # 02:30 is skipped: moved by the gap
            ("22:00", "07:00", "2026-03-28T23:00", "2026-03-29T07:00"),  # eight hours, not nine
            ("00:00", "23:59", "2026-11-24T08:00", "2026-11-24T23:59"),
        ],
    )
    def test_end_by_the_wall_clock(self, start: str, end: str, now: str, until: str | None) -> None:
        quiet = QuietHours(start=time.fromisoformat(start), end=time.fromisoformat(end))
        assert quiet.until(at(now), BERLIN) == (at(until) if until else None)

    @given(CLOCKS, CLOCKS, ZONES, MOMENTS)
    def test_end_later_and_within_a_day_and_are_over_then(
        self, start: time, end: time, zone: str, now: datetime
    ) -> None:
        if start == end:
            return
        quiet = QuietHours(start=start, end=end)
        until = quiet.until(now, ZoneInfo(zone))
        if until is None:
            return
        assert now < until <= now + timedelta(hours=49)  # Apia left out a whole day
        again = quiet.until(until, ZoneInfo(zone))
        assert again is None or until.astimezone(ZoneInfo(zone)).time() != end  # the end was skipped by a gap

    @pytest.mark.parametrize(
        "quiet", [{"start": "22:00", "end": "22:00"}, {"start": "22:00"}, {"start": "25:00", "end": "1:00"}, "x", 5]
    )
    def test_refuse_what_is_no_span(self, quiet: Any) -> None:
        with pytest.raises(ValidationError) as refusal:
            ManageSettings.model_validate({"quiet_hours": quiet})
        assert refusal.value.errors()[0]["loc"][0] == "quiet_hours"


class TestSettings:
    def test_change_what_is_named_and_null_ends_it(self) -> None:
        quiet = QuietHours(start=time(22), end=time(7))
        old = UserSettings(email="a@x.org", time_zone="Europe/Berlin", quiet_hours=quiet, digest_at=time(7, 30))
        new = plan_settings(ManageSettings.model_validate({"quiet_hours": None, "email_notifications": False}), old)
        assert new == old.model_copy(update={"quiet_hours": None, "email_notifications": False})
        assert plan_settings(ManageSettings(), old) == old

    @pytest.mark.parametrize("field", ["time_zone", "email_notifications"])
    def test_refuse_null_where_there_is_no_none(self, field: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            plan_settings(ManageSettings.model_validate({field: None}), UserSettings())
        assert refusal.value.field == field

    def test_refuse_a_digest_without_an_address_to_send_it_to(self) -> None:
        with pytest.raises(InvalidInput) as refusal:
            plan_settings(ManageSettings.model_validate({"digest_at": "07:30"}), UserSettings())
        assert refusal.value.field == "digest_at"
        assert plan_settings(ManageSettings.model_validate({"digest_at": None}), UserSettings()) == UserSettings()

    @pytest.mark.parametrize("values", [{"time_zone": "Mars/X"}, {"digest_at": "7:30"}, {"digest_at": 450}, {"x": 1}])
    def test_refuse_other_values(self, values: Any) -> None:
        with pytest.raises(ValidationError) as refusal:
            ManageSettings.model_validate(values)
        assert refusal.value.errors()[0]["loc"][0] == next(iter(values))


def wants(at_clock: str, zone: str = "Europe/Berlin") -> UserSettings:
    return UserSettings(email="ann@example.org", time_zone=zone, digest_at=time.fromisoformat(at_clock))


class TestDigestTime:
    @pytest.mark.parametrize(
        ("clock", "after", "following"),
        [
            ("07:30", "2026-11-23T07:29", "2026-11-23T07:30"),
            ("07:30", "2026-11-23T07:30", "2026-11-24T07:30"),
            ("07:30", "2026-03-28T08:00", "2026-03-29T07:30"),  # 23 hours and a half later
            ("02:30", "2026-03-28T08:00", "2026-03-29T03:30"),
        ],
    )
    def test_is_by_the_wall_clock(self, clock: str, after: str, following: str) -> None:
        assert next_digest(wants(clock), at(after)) == at(following)

    @given(CLOCKS, ZONES, MOMENTS)
    def test_is_always_later_and_never_a_day_too_late(self, clock: time, zone: str, after: datetime) -> None:
        following = next_digest(UserSettings(time_zone=zone, digest_at=clock), after)
        assert following is not None
        assert after < following <= after + timedelta(hours=49)

    @pytest.mark.parametrize(
        ("due", "now", "day"),
        [
            ("2026-11-23T07:30", "2026-11-23T07:30", date(2026, 11, 23)),
            ("2026-11-23T07:30", "2026-11-23T23:59", date(2026, 11, 23)),  # late, the same day
            ("2026-11-23T07:30", "2026-11-24T00:01", None),  # that day is over
            ("2026-11-23T07:30", "2026-11-26T07:29", None),
            ("2026-11-23T07:30", "2026-11-26T09:00", date(2026, 11, 26)),  # days later: today's
        ],
    )
    def test_after_an_outage_is_the_same_day_or_not_at_all(self, due: str, now: str, day: date | None) -> None:
        assert digest_day(wants("07:30"), at(due), at(now)) == day


def task(title: str, due: str) -> DigestTask:
    if len(due) == 10:
        start = at(f"{due}T00:00")
        return DigestTask(
            title, start, date.fromisoformat(due), at(f"{date.fromisoformat(due) + timedelta(days=1)}T00:00")
        )
    return DigestTask(title, at(due), None, at(due))


class TestDigestMail:
    NOW = at("2026-11-23T07:30")

    def mail(self, *tasks: DigestTask) -> Any:
        digest = DueDigest("u", date(2026, 11, 23), wants("07:30"))
        return digest_mail(digest, tasks, now=self.NOW, unsubscribe_url="https://x.example/u")

    def test_tells_overdue_today_and_tomorrow_in_the_users_zone(self) -> None:
        mail = self.mail(
            task("Yesterday", "2026-11-22"), task("Early", "2026-11-23T07:00"), task("Noon", "2026-11-23T12:00"),
            task("All day", "2026-11-23"), task("Late", "2026-11-23T23:59"), task("Next", "2026-11-24T00:00"),
            task("Next day", "2026-11-24"), task("Not yet", "2026-11-25T00:00"),
        )  # fmt: skip
        assert mail.text.split("-- ")[0].split("\n") == [
            "Overdue", "- Yesterday (since 2026-11-22)", "- Early (since 2026-11-23 07:00)", "",
            "Today", "- Noon (12:00)", "- All day", "- Late (23:59)", "",
            "Tomorrow", "- Next (00:00)", "- Next day", "", "",
        ]  # fmt: skip
        assert mail.subject == "Your tasks, 2026-11-23: 2 overdue, 3 today, 2 tomorrow"
        assert mail.to == "ann@example.org"

    def test_is_none_where_there_is_nothing_to_tell(self) -> None:
        assert self.mail() is None
        assert self.mail(task("Not yet", "2026-11-25T00:00")) is None

    def test_is_the_same_mail_when_it_is_made_again_that_day(self) -> None:
        assert self.mail(task("A", "2026-11-23")).key == self.mail(task("B", "2026-11-23")).key

    def test_stays_short_and_says_so(self) -> None:
        text = self.mail(*(task(f"T{n}", "2026-11-23") for n in range(60))).text
        assert "- T49\n- and 10 more\n" in text
