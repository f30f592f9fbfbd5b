"""The field types: what each accepts, keeps and refuses (RFC 3339, ISO 8601 durations, IANA zones, RFC 9562)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from functions.tasks import values
from functions.tasks.values import (
    before,
    comma_list,
    day,
    due,
    duration,
    fold,
    from_wall,
    instant,
    start_of_day,
    uuid7,
    zone_name,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BERLIN = ZoneInfo("Europe/Berlin")


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Instants of the years `first` to `last`, to the microsecond."""
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (first, last + 1))
    microseconds = st.integers(0, (end - begin) // timedelta(microseconds=1) - 1)
    return microseconds.map(lambda number: begin + timedelta(microseconds=number))


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Havana",
        "Africa/Cairo",
        "Pacific/Apia",
        "Pacific/Kiritimati",
    ]
).map(ZoneInfo)
OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))

# RFC 3339 section 5.6, but for the leap second, which no datetime can hold, and fractions beyond nine digits.
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.\d{1,9})?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def refuses(parse: Callable[[Any], object], value: object) -> bool:
    try:
        parse(value)
    except PydanticCustomError:
        return True
    return False


def exists(text: str) -> bool:
    """Whether the text is an RFC 3339 date-time that exists, in the years that are kept."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return False
    *local, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        year, month, on, hour, minute, second = map(int, local)
        moment = datetime(year, month, on, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return values.FIRST_DAY <= moment.date() <= values.LAST_DAY


@st.composite
def rfc3339(draw: st.DrawFn) -> tuple[str, datetime]:
    """A date-time as RFC 3339 may write it, and the moment that it is, to the microsecond."""
    local = draw(moments(1901, 9998)).astimezone(draw(OFFSETS))
    digits = draw(st.text("0123456789", max_size=9))
    local = local.replace(microsecond=int(digits[:6].ljust(6, "0")))
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    if minutes == 0:
        zone = draw(st.sampled_from(["Z", "z", "+00:00", "-00:00"]))
    separator = draw(st.sampled_from("Tt"))
    text = f"{local:%Y-%m-%d}{separator}{local:%H:%M:%S}{'.' + digits if digits else ''}{zone}"
    return text, local


class TestInstant:
    @given(rfc3339())
    def test_reads_what_rfc_3339_writes(self, given: tuple[str, datetime]) -> None:
        text, moment = given
        read = instant(text)
        assert read == moment
        assert read.tzinfo is UTC

    @given(rfc3339())
    def test_round_trips(self, given: tuple[str, datetime]) -> None:
        read = instant(given[0])
        assert instant(read) == instant(read.isoformat()) == read

    @given(
        rfc3339(), st.integers(0, 40), st.sampled_from([*"0123456789TZ+-:. ", "", "\N{ARABIC-INDIC DIGIT ONE}", "\n"])
    )
    def test_refuses_a_text_that_one_edit_has_broken(self, given: tuple[str, datetime], at: int, edit: str) -> None:
        text = given[0][:at] + edit + given[0][at + 1 :]
        if exists(text):
            assert isinstance(instant(text), datetime)
        else:
            assert refuses(instant, text)

    @pytest.mark.parametrize(
        "value",
        [
            "2026-11-23T09:00:00",
            "2026-11-23 09:00:00Z",
            "2026-11-23T09:00Z",
            "20261123T090000Z",
            "2026-W48-1T09:00:00Z",
            "2026-327T09:00:00Z",
            "2026-11-23T09:00:00,5Z",
            "2026-11-23T09:00:00+0100",
            "2026-11-23T09:00:00+01",
            "2026-11-23T09:00:00+24:00",
            "2026-11-23T09:00:00+01:60",
            "2026-11-23T24:00:00Z",
            "2026-11-23T09:00:60Z",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "1899-12-31T23:59:59Z",
            "1900-01-01T00:00:00+14:00",
            "10000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-23:59",
            "-2026-11-23T09:00:00Z",
            " 2026-11-23T09:00:00Z",
            "2026-11-23T09:00:00Z\n",
            "2026-11-23",
            "",
            0,
            1_763_884_800,
            1.5,
            True,
            None,
            [],
            {},
            date(2026, 11, 23),
            datetime(2026, 11, 23, 9),  # noqa: DTZ001  # what is refused
        ],
        ids=repr,
    )
    def test_refuses(self, value: object) -> None:
        with pytest.raises(PydanticCustomError):
            instant(value)


class TestDay:
    @given(st.dates(date(1900, 1, 1), date(9999, 12, 28)))
    def test_round_trips(self, on: date) -> None:
        assert day(on.isoformat()) == day(on) == on

    @pytest.mark.parametrize(
        "value",
        [
            "2026-02-29",
            "2026-11-31",
            "2026-1-1",
            "20261123",
            "2026-W48-1",
            "2026-11-23T00:00:00Z",
            "0000-01-01",
            "1899-12-31",
            "10000-01-01",
            "2026-11-23 ",
            "",
            20261123,
            None,
            True,
            datetime(2026, 11, 23, tzinfo=UTC),
        ],
        ids=repr,
    )
    def test_refuses(self, value: object) -> None:
        with pytest.raises(PydanticCustomError):
            day(value)


class TestDue:
    def test_is_a_day_or_an_instant_as_it_is_written(self) -> None:
        assert due("2026-11-23") == date(2026, 11, 23)
        assert not isinstance(due("2026-11-23"), datetime)
        assert due("2026-11-23T09:00:00+01:00") == datetime(2026, 11, 23, 8, tzinfo=UTC)

    @pytest.mark.parametrize("value", ["", "tomorrow", "2026-11-23T09:00:00", 5, None, "2026-02-30"], ids=repr)
    def test_refuses(self, value: object) -> None:
        with pytest.raises(PydanticCustomError):
            due(value)


class TestZoneName:
    def test_takes_every_zone_of_the_database(self) -> None:
        for name in available_timezones() - {"localtime", "posixrules", "Factory"}:
            assert zone_name(name) == name

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Europe",
            "europe/berlin",
            "Europe/Berlin\n",
            " Europe/Berlin",
            "Europe/Atlantis",
            "../../../etc/passwd",
            "/etc/localtime",
            "localtime",
            "posixrules",
            "UTC+1",
            "+01:00",
            "Europe/Berlin\x00",
            5,
            None,
            ["UTC"],
        ],
        ids=repr,
    )
    def test_refuses(self, value: object) -> None:
        with pytest.raises(PydanticCustomError):
            zone_name(value)


@st.composite
def durations(draw: st.DrawFn) -> tuple[str, timedelta, timedelta]:
    """A duration as written, with its nominal part (weeks, days) and its exact one; less than ten years."""
    number = st.none() | st.integers(0, 300)
    weeks, days, hours, minutes, seconds = (draw(number) for _ in range(5))
    calendar = "".join(f"{n}{unit}" for n, unit in ((weeks, "W"), (days, "D")) if n is not None)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n is not None)
    if not calendar and not clock:
        calendar, days = "0D", 0
    return (
        f"P{calendar}{'T' + clock if clock else ''}",
        timedelta(weeks=weeks or 0, days=days or 0),
        timedelta(hours=hours or 0, minutes=minutes or 0, seconds=seconds or 0),
    )


class TestDuration:
    @given(durations())
    def test_is_kept_as_written(self, written: tuple[str, timedelta, timedelta]) -> None:
        assert duration(written[0]) == written[0]

    def test_may_be_ten_years_and_no_more(self) -> None:
        assert duration("P3660D") == "P3660D"
        assert duration("PT87840H") == "PT87840H"
        assert refuses(duration, "P3660DT1S")
        assert refuses(duration, "PT999999999S")
        assert refuses(duration, "P99999W")

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "P",
            "PT",
            "P1DT",
            "1H",
            "PT1",
            "P1Y",
            "P1M",
            "P1H",
            "PT1D",
            "PT1H1D",
            "P1D1W",
            "-PT1H",
            "+PT1H",
            "PT-1H",
            "PT1.5H",
            "PT1,5H",
            "pt1h",
            "PT1H\n",
            " PT1H",
            "PT\N{ARABIC-INDIC DIGIT ONE}H",
            "PT1H" * 1000,
            "PT" + "9" * 5000 + "S",
            "01:00:00",
            3600,
            None,
            timedelta(hours=1),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_refuses(self, value: object) -> None:
        with pytest.raises(PydanticCustomError):
            duration(value)


def wall_exists(local: datetime, zone: ZoneInfo) -> bool:
    return local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local


class TestBefore:
    @given(moments(1910, 2100), ZONES, durations())
    def test_days_go_by_the_wall_clock_and_time_exactly(
        self, moment: datetime, zone: ZoneInfo, written: tuple[str, timedelta, timedelta]
    ) -> None:
        text, nominal, exact = written
        then = before(moment, text, zone)
        assert then.tzinfo is UTC
        if not nominal:
            assert then == moment - exact
            return
        wall = moment.astimezone(zone).replace(tzinfo=None) - nominal
        if wall_exists(wall, zone):
            assert (then + exact).astimezone(zone).replace(tzinfo=None) == wall

    @pytest.mark.parametrize(
        ("due_date", "offset", "expected"),
        [
            # Clocks go forward on 2027-03-28 and back on 2026-10-25, both in the night.
            ("2027-03-28T09:00:00+02:00", "P1D", "2027-03-27T09:00:00+01:00"),
            ("2027-03-28T09:00:00+02:00", "PT24H", "2027-03-27T08:00:00+01:00"),
            ("2026-10-25T09:00:00+01:00", "P1D", "2026-10-24T09:00:00+02:00"),
            ("2026-10-25T09:00:00+01:00", "PT24H", "2026-10-24T10:00:00+02:00"),
            ("2027-03-29T09:00:00+02:00", "P1W", "2027-03-22T09:00:00+01:00"),
            ("2027-03-28T09:00:00+02:00", "P1DT1H", "2027-03-27T08:00:00+01:00"),
            # 02:30 of the day before is in the gap: it moves forward by the gap's length.
            ("2027-03-29T02:30:00+02:00", "P1D", "2027-03-28T03:30:00+02:00"),
            # 02:30 of the day before is there twice: the first one.
            ("2026-10-26T02:30:00+01:00", "P1D", "2026-10-25T02:30:00+02:00"),
            # A time that is there twice keeps which one it is.
            ("2026-10-25T02:30:00+01:00", "PT15M", "2026-10-25T02:15:00+01:00"),
            ("2026-11-23T09:00:00+01:00", "PT0S", "2026-11-23T09:00:00+01:00"),
            ("2026-11-23T09:00:00+01:00", "P0D", "2026-11-23T09:00:00+01:00"),
        ],
    )
    def test_across_a_change_of_clocks(self, due_date: str, offset: str, expected: str) -> None:
        assert before(instant(due_date), offset, _BERLIN) == instant(expected)

    def test_of_something_else_than_a_duration_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="tomorrow"):
            before(datetime(2026, 11, 23, tzinfo=UTC), "tomorrow", _BERLIN)


class TestWall:
    @given(moments(1910, 2100), ZONES)
    def test_every_wall_time_that_there_is_is_kept(self, moment: datetime, zone: ZoneInfo) -> None:
        wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        assert from_wall(wall, zone).astimezone(zone).replace(tzinfo=None, fold=0) == wall
        assert from_wall(wall, zone) <= moment  # of a repeated one, the first

    @pytest.mark.parametrize(
        ("zone", "on", "begins"),
        [
            ("Europe/Berlin", "2026-11-23", "2026-11-23T00:00:00+01:00"),
            ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"),  # midnight is skipped
            ("America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"),  # midnight is there twice
            ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"),  # the day is skipped
        ],
    )
    def test_a_day_begins(self, zone: str, on: str, begins: str) -> None:
        assert start_of_day(day(on), ZoneInfo(zone)) == instant(begins)

    @given(st.dates(date(1970, 1, 1), date(2037, 12, 31)), ZONES)
    @example(date(2011, 12, 30), ZoneInfo("Pacific/Apia"))
    @example(date(2026, 4, 24), ZoneInfo("Africa/Cairo"))
    @example(date(2026, 11, 1), ZoneInfo("America/Havana"))
    def test_a_day_begins_at_its_first_instant(self, on: date, zone: ZoneInfo) -> None:
        begins = start_of_day(on, zone)
        assert (begins - timedelta(microseconds=1)).astimezone(zone).date() < on
        assert begins.astimezone(zone).date() >= on


class TestFold:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [
            ("Café", "cafe"),
            ("Cafe\N{COMBINING ACUTE ACCENT}", "cafe"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("Ångström", "angstrom"),
            ("İstanbul", "istanbul"),
            ("\N{LATIN SMALL LIGATURE FI}x", "fix"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("", ""),
        ],
    )
    def test_drops_case_and_accents(self, text: str, folded: str) -> None:
        assert fold(text) == folded

    @given(st.text())
    def test_folds_once_for_all(self, text: str) -> None:
        assert fold(fold(text)) == fold(text)

    @given(st.text(), st.text())
    def test_folds_each_character_by_itself(self, one: str, other: str) -> None:
        assert fold(one + other) == fold(one) + fold(other)


class TestUuid7:
    @given(moments(1970, 2100))
    @example(datetime(2039, 4, 15, 18, 18, 23, 273_000, tzinfo=UTC))  # not exact as a float
    def test_says_its_version_variant_and_time(self, now: datetime) -> None:
        made = uuid7(now)
        assert made.version == 7
        assert made.int >> 62 & 0b11 == 0b10
        assert made.int >> 80 == (now - _EPOCH) // _MILLISECOND

    @given(moments(2020, 2100), st.integers(1, 10**9))
    @example(datetime(2039, 4, 15, 18, 18, 23, 272_000, tzinfo=UTC), 1)
    def test_sorts_by_time(self, now: datetime, later: int) -> None:
        assert uuid7(now) < uuid7(now + later * _MILLISECOND)

    def test_is_another_one_each_time(self) -> None:
        now = datetime(2026, 11, 23, tzinfo=UTC)
        assert len({uuid7(now) for _ in range(10_000)}) == 10_000


class TestCommaList:
    @pytest.mark.parametrize(
        ("value", "parts"),
        [
            ("a,b", ["a", "b"]),
            (" a , b ", ["a", "b"]),
            ("a,,b,", ["a", "b"]),
            ("", []),
            (["a,b"], ["a,b"]),
            (None, None),
            (5, 5),
        ],
    )
    def test_splits_text_and_leaves_the_rest(self, value: object, parts: object) -> None:
        assert comma_list(value) == parts


def check(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


class TestText:
    @pytest.mark.parametrize(
        ("kind", "longest"),
        [(values.Title, 500), (values.Description, 20_000), (values.TagName, 50)],
    )
    def test_has_a_longest_length_in_characters(self, kind: object, longest: int) -> None:
        assert check(kind, "\N{GRINNING FACE}" * longest)
        assert not check(kind, "x" * (longest + 1))

    @pytest.mark.parametrize("kind", [values.Title, values.Description, values.TagName, values.PlainText])
    @pytest.mark.parametrize("value", ["a\x00b", "\ud800", "a\udfff", 5, None, True, ["a"], {"a": 1}], ids=repr)
    def test_refuses_nul_surrogates_and_what_is_no_text(self, kind: object, value: object) -> None:
        assert not check(kind, value)

    @pytest.mark.parametrize("kind", [values.Title, values.TagName])
    @pytest.mark.parametrize(
        "value",
        [
            "",
            " ",
            "\N{NO-BREAK SPACE}",
            "\N{ZERO WIDTH SPACE}",
            " \N{WORD JOINER} ",
            "a\nb",
            "a\r\nb",
            "a\tb",
            "\x1b[0m",
            "\x7f",
        ],
        ids=repr,
    )
    def test_of_one_line_is_neither_blank_nor_has_control_characters(self, kind: object, value: str) -> None:
        assert not check(kind, value)

    def test_of_a_description_may_have_lines(self) -> None:
        assert check(values.Description, "")
        assert check(values.Description, "a\n\tb\r\n")

    def test_of_a_tag_has_no_blanks_around_it(self) -> None:
        """So that a filter, which is split at commas and stripped, finds it."""
        assert TypeAdapter(values.TagName).validate_python("  at home ") == "at home"

    def test_of_a_tag_is_composed(self) -> None:
        """So that one that was typed on another system is the same tag."""
        assert TypeAdapter(values.TagName).validate_python("Cafe\N{COMBINING ACUTE ACCENT}") == "Café"

    def test_of_a_tag_has_no_comma(self) -> None:
        assert not check(values.TagName, "a,b")
        assert check(values.TagName, "café & co.")

    @pytest.mark.parametrize("value", ["#12345", "#1234567", "123456", "#12345g", "red", "#123456\n", "", 5], ids=repr)
    def test_of_a_color_is_six_hex_digits(self, value: object) -> None:
        assert check(values.Color, "#a1B2c3")
        assert not check(values.Color, value)


@pytest.mark.parametrize("value", ["1", 1.0, True, None, "true"], ids=repr)
def test_numbers_are_numbers(value: object) -> None:
    assert check(values.Int, 1)
    assert not check(values.Int, value)


@pytest.mark.parametrize("value", ["true", 1, 0, None, "1"], ids=repr)
def test_booleans_are_booleans(value: object) -> None:
    assert check(values.Bool, True)
    assert not check(values.Bool, value)
