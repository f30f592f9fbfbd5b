"""The field types that every model shares: text, instants, zones, durations, ids."""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, Strict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

FIRST_DAY = date(1900, 1, 1)
LAST_DAY = date(9999, 12, 29)
"""Dates outside are refused, so that no conversion between zones can leave the years 1 to 9999."""

MAX_TAGS = 50
"""Tags a task."""

MAX_OFFSET = timedelta(days=3660)

_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_RFC3339 = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt]{_TIME}:[0-5]\d(\.\d{{1,9}})?([Zz]|[+-]{_TIME})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)


def _refuse(kind: LiteralString, message: LiteralString) -> PydanticCustomError:
    return PydanticCustomError(kind, message)


def instant(value: Any) -> datetime:
    """An RFC 3339 date-time (section 5.6) as an aware UTC datetime, to the microsecond.

    Raises a pydantic error for anything else: no offset, a number, a year outside 1900..9999.
    """
    parsed = value if isinstance(value, datetime) and value.tzinfo is not None else date_time(value)
    try:
        utc = parsed.astimezone(UTC)
    except OverflowError:
        utc = datetime.min.replace(tzinfo=UTC)
    if not FIRST_DAY <= utc.date() <= LAST_DAY:
        raise _refuse("instant", "must be in the years 1900 to 9999")
    return utc


def date_time(value: Any) -> datetime:
    """An RFC 3339 date-time of any year from 1 to 9999. Raises a pydantic error for anything else."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise _refuse("instant", "must be an RFC 3339 date-time with an offset, e.g. 2026-11-23T09:00:00Z")
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper()))
    except ValueError:
        raise _refuse("instant", "not a date and time that exists") from None


def day(value: Any) -> date:
    """An RFC 3339 full-date. Raises a pydantic error for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        parsed = value
    elif isinstance(value, str) and _DATE.fullmatch(value):
        try:
            parsed = date.fromisoformat(value)
        except ValueError:
            raise _refuse("date", "not a date that exists") from None
    else:
        raise _refuse("date", "must be a date, e.g. 2026-11-23")
    if not FIRST_DAY <= parsed <= LAST_DAY:
        raise _refuse("date", "must be in the years 1900 to 9999")
    return parsed


def due(value: Any) -> date | datetime:
    """A due date: a day (all-day tasks) or an instant."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value)):
        return day(value)
    return instant(value)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def zone_name(value: Any) -> str:
    """An IANA zone name that this system knows."""
    if not isinstance(value, str) or value not in _zones():
        raise _refuse("time_zone", "must be an IANA time zone, e.g. Europe/Berlin")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        if "\x00" in value:
            raise _refuse("text", "must not contain NUL characters")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _refuse("text", "must be valid Unicode")
    return value


def _one_line(value: Any) -> Any:
    if isinstance(value, str):
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise _refuse("text", "must not contain control characters")
        if value and all(c.isspace() or unicodedata.category(c) == "Cf" for c in value):
            raise _refuse("text", "must not be blank")
    return _plain(value)


def _tag_name(value: Any) -> Any:
    """Composed (Unicode NFC), so that what looks the same and differs in its code points alone is one tag."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def duration(value: Any) -> str:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds, kept as written.

    Months and years have no fixed length and are refused, as in RFC 5545 section 3.3.6.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _refuse("duration", "must be an ISO 8601 duration of weeks, days and time, e.g. PT1H or P1D")
    parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
    if timedelta(**parts) > MAX_OFFSET:
        raise _refuse("duration", "must be at most ten years")
    return str(value)


def length(offset: str) -> tuple[timedelta, timedelta]:
    """The two parts of a duration: weeks and days, which are the wall clock's, and time, which is exact.

    Two spellings of one duration (PT1H and PT60M) have the same; P1D and PT24H have not.
    """
    match = _DURATION.fullmatch(offset)
    if match is None:
        raise ValueError(offset)
    parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
    return timedelta(weeks=parts.pop("weeks", 0), days=parts.pop("days", 0)), timedelta(**parts)


def before(moment: datetime, offset: str, zone: ZoneInfo) -> datetime:
    """The instant `offset` before `moment`: weeks and days by the wall clock of `zone`, time exactly.

    So "a day before 09:00" is 09:00 across a DST change (RFC 5545 section 3.3.6, nominal days).
    """
    days, exact = length(offset)
    local = moment.astimezone(zone).replace(tzinfo=None) - days
    return (from_wall(local, zone) if days else moment.astimezone(UTC)) - exact


def from_wall(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall time. In an overlap the earlier one; in a gap, the time moved forward by
    the gap's length (both are RFC 5545 section 3.3.5, and PEP 495 with fold=0)."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def start_of_day(on: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which a local day begins (where midnight is skipped, the first instant after it)."""
    return from_wall(datetime.combine(on, time()), zone)


def fold(text: str) -> str:
    """Text as search and sorting compare it: no case, no accents (Unicode NFKD without its marks, casefolded)."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def uuid7(now: datetime) -> UUID:
    """A time-ordered UUID, version 7 (RFC 9562 section 5.7), for an aware `now`."""
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1) & (2**48 - 1)
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return UUID(int=value)


def comma_list(value: Any) -> Any:
    """A comma-separated query value, or a JSON list, as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Instant = Annotated[datetime, BeforeValidator(instant), WithJsonSchema({"type": "string", "format": "date-time"})]
DueDate = Annotated[
    date | datetime,
    BeforeValidator(due),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]},
    ),
]
ZoneName = Annotated[str, BeforeValidator(zone_name), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]
Duration = Annotated[
    str,
    BeforeValidator(duration),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT1H"]}),
]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500), BeforeValidator(_one_line)]
PlainText = Annotated[str, BeforeValidator(_plain)]
Description = Annotated[PlainText, StringConstraints(max_length=20_000)]
TagName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=r"^[^,]*$"),
    BeforeValidator(_tag_name),
    BeforeValidator(_one_line),
]
TagNames = Annotated[list[TagName], Field(max_length=MAX_TAGS)]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]
