"""RFC 5545 recurrence rules as text: read, checked part by part, and written back in one canonical order.

What cannot be kept is refused with an error that names the part, and nothing is dropped or guessed:
- FREQ=HOURLY and finer, BYHOUR, BYMINUTE, BYSECOND: a task recurs by the day, at the time of its due date;
- DTSTART (the due date is the start), RDATE, EXRULE, a second RRULE, RSCALE and SKIP (RFC 7529);
- BYWEEKNO 52 and 53, and 1 where a set is taken by the year (INTERVAL, BYSETPOS): weeks that cross the year's
  end, which dateutil counts wrongly and RFC 5545 leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast, get_args
from zoneinfo import ZoneInfo

from functions.tasks.values import from_wall, zone_name

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
Moment = date | datetime
"""A whole local day, an aware instant, or a naive ("floating") wall time in the series' own zone."""

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_INTERVAL = 9999
MAX_COUNT = 100_000
MAX_EXDATES = 1000


class UnsupportedRule(ValueError):
    """A rule text that cannot be kept; the message begins with the part that is at fault."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(f"{part} {message}")


class WeekdayNum(NamedTuple):
    """A weekday (0 = Monday), or the n-th one of the month or year; n = 0 for every one of them."""

    weekday: int
    n: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The parts of an RRULE (RFC 5545 section 3.3.10) that decide on which days it falls."""

    freq: Frequency
    interval: int = 1
    count: int | None = None
    until: Moment | None = None
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[WeekdayNum, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0

    @property
    def names_days(self) -> bool:
        """Whether the rule itself says which days it falls on, rather than taking them from its start."""
        return bool(self.by_month or self.by_week_no or self.by_year_day or self.by_month_day or self.by_day)


@lru_cache(maxsize=256)
def parse_rrule(text: str) -> tuple[Rule, tuple[Moment, ...]]:
    """The rule and its EXDATEs, from "FREQ=...", or from RRULE and EXDATE lines. Raises UnsupportedRule."""
    if not text.isascii():
        raise UnsupportedRule("rrule", "must be plain ASCII text")
    unfolded = re.sub(r"\r?\n[ \t]", "", text.strip())
    rule: Rule | None = None
    exdates: list[Moment] = []
    for line in filter(None, map(str.strip, unfolded.splitlines())):
        head, colon, body = line.partition(":")
        name, *parameters = (head if colon else "RRULE").split(";")
        match name.upper():
            case "RRULE" if rule is not None:
                raise UnsupportedRule("RRULE", "is given twice: one rule is supported")
            case "RRULE" if parameters:
                raise UnsupportedRule("RRULE", f"has an unsupported parameter, {parameters[0][:40]}")
            case "RRULE":
                rule = _parse_rule(body if colon else line)
            case "EXDATE":
                exdates += _parse_exdates(body, parameters)
            case "DTSTART":
                raise UnsupportedRule("DTSTART", "is not supported: the due_date is the start")
            case other:
                raise UnsupportedRule(other[:40], "is not supported: only RRULE and EXDATE are")
    if rule is None:
        raise UnsupportedRule("FREQ", "is missing")
    if len(exdates) > MAX_EXDATES:
        raise UnsupportedRule("EXDATE", f"has more than {MAX_EXDATES} dates")
    return rule, tuple(exdates)


def format_rrule(rule: Rule, exdates: tuple[Moment, ...] = ()) -> str:
    """The rule as text, in a canonical order. With exdates, as RRULE and EXDATE lines."""
    numbers = {
        "BYMONTH": rule.by_month,
        "BYWEEKNO": rule.by_week_no,
        "BYYEARDAY": rule.by_year_day,
        "BYMONTHDAY": rule.by_month_day,
        "BYDAY": [f"{day.n or ''}{WEEKDAYS[day.weekday]}" for day in rule.by_day],
        "BYSETPOS": rule.by_set_pos,
    }
    parts = [f"FREQ={rule.freq}"]
    parts += [f"INTERVAL={rule.interval}"] if rule.interval != 1 else []
    parts += [f"COUNT={rule.count}"] if rule.count is not None else []
    parts += [f"UNTIL={_format_moment(rule.until)}"] if rule.until is not None else []
    parts += [f"{name}={','.join(map(str, values))}" for name, values in numbers.items() if values]
    parts += [f"WKST={WEEKDAYS[rule.week_start]}"] if rule.week_start else []
    text = ";".join(parts)
    if not exdates:
        return text
    days = [_format_moment(moment) for moment in exdates if not isinstance(moment, datetime)]
    times = [_format_moment(moment) for moment in exdates if isinstance(moment, datetime)]
    lines = [f"RRULE:{text}"]
    lines += [f"EXDATE:{','.join(times)}"] if times else []
    lines += [f"EXDATE;VALUE=DATE:{','.join(days)}"] if days else []
    return "\n".join(lines)


def _parse_rule(text: str) -> Rule:
    given: dict[str, Any] = {}
    for pair in text.split(";"):
        name, equals, value = (part.strip() for part in pair.upper().partition("="))
        if not equals or not name or not value:
            raise UnsupportedRule(name[:40] or "RRULE", "must be written NAME=VALUE")
        if name not in _PARTS:
            raise UnsupportedRule(name[:40], "is not supported")
        field, parse = _PARTS[name]
        if field in given:
            raise UnsupportedRule(name, "is given twice")
        given[field] = parse(name, value)
    if "freq" not in given:
        raise UnsupportedRule("FREQ", "is missing")
    rule = Rule(**given)
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    """The rules between parts, RFC 5545 section 3.3.10, and what is left open there."""
    yearly, numbered = rule.freq == "YEARLY", [day for day in rule.by_day if day.n]
    if rule.count is not None and rule.until is not None:
        raise UnsupportedRule("COUNT", "cannot be combined with UNTIL")
    if rule.by_year_day and not yearly:
        raise UnsupportedRule("BYYEARDAY", f"cannot be used with FREQ={rule.freq}")
    if rule.by_week_no and not yearly:
        raise UnsupportedRule("BYWEEKNO", f"cannot be used with FREQ={rule.freq}")
    if rule.by_month_day and rule.freq == "WEEKLY":
        raise UnsupportedRule("BYMONTHDAY", "cannot be used with FREQ=WEEKLY")
    if numbered and rule.freq not in ("MONTHLY", "YEARLY"):
        raise UnsupportedRule("BYDAY", f"cannot have numbers with FREQ={rule.freq}")
    if numbered and rule.by_week_no:
        raise UnsupportedRule("BYDAY", "cannot have numbers with BYWEEKNO")
    if (not yearly or rule.by_month) and any(abs(day.n) > 5 for day in numbered):
        raise UnsupportedRule("BYDAY", "has a number above 5, and no month has that many of a weekday")
    if rule.by_set_pos and not rule.names_days:
        raise UnsupportedRule("BYSETPOS", "needs another BY part to choose from")
    if rule.by_set_pos and rule.freq == "DAILY" and not {1, -1} & set(rule.by_set_pos):
        raise UnsupportedRule("BYSETPOS", "must be 1 or -1 with FREQ=DAILY: a day holds one occurrence")
    if 1 in map(abs, rule.by_week_no) and (rule.interval > 1 or rule.by_set_pos):
        raise UnsupportedRule("BYWEEKNO", "1 and -1 cannot be combined with INTERVAL or BYSETPOS")


def _frequency(name: str, value: str) -> Frequency:
    if value not in get_args(Frequency):
        raise UnsupportedRule(f"{name}={value[:40]}", "is not supported: DAILY to YEARLY are")
    return cast(Frequency, value)


def _weekday(name: str, value: str) -> int:
    if value not in WEEKDAYS:
        raise UnsupportedRule(name, "must be a weekday: MO, TU, WE, TH, FR, SA or SU")
    return WEEKDAYS.index(value)


def _positive(limit: int) -> Callable[[str, str], int]:
    def parse(name: str, value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= limit:
            raise UnsupportedRule(name, f"must be a number from 1 to {limit}")
        return int(value)

    return parse


def _numbers(limit: int, *, signed: bool = True) -> Callable[[str, str], tuple[int, ...]]:
    def parse(name: str, value: str) -> tuple[int, ...]:
        pattern = r"[+-]?[0-9]{1,3}" if signed else r"[0-9]{1,2}"
        values = value.split(",")
        if not all(re.fullmatch(pattern, one) and 1 <= abs(int(one)) <= limit for one in values):
            range_ = f"1 to {limit}" + (f" or -{limit} to -1" if signed else "")
            raise UnsupportedRule(name, f"must be numbers from {range_}")
        return tuple(dict.fromkeys(map(int, values)))

    return parse


def _week_numbers(name: str, value: str) -> tuple[int, ...]:
    weeks = _numbers(53)(name, value)
    if any(abs(week) > 51 for week in weeks):
        raise UnsupportedRule(name, "52, 53, -52 and -53 are not supported: such weeks cross the year's end")
    return weeks


def _weekdays(name: str, value: str) -> tuple[WeekdayNum, ...]:
    days: dict[WeekdayNum, None] = {}
    for one in value.split(","):
        match = re.fullmatch(r"(?P<n>[+-]?[0-9]{1,2})?(?P<weekday>[A-Z]{2})", one)
        if match is None or (match["n"] and not 1 <= abs(int(match["n"])) <= 53):
            raise UnsupportedRule(name, "must be weekdays, some with a number of 1 to 53, e.g. MO,-1FR")
        days[WeekdayNum(_weekday(name, match["weekday"]), int(match["n"] or 0))] = None
    return tuple(days)


def _moment(name: str, value: str) -> Moment:
    if not re.fullmatch(r"[0-9]{8}(T[0-9]{6}Z?)?", value):
        raise UnsupportedRule(name, "must be a date or a date-time, e.g. 20270301 or 20270301T090000Z")
    try:
        return date.fromisoformat(value) if len(value) == 8 else datetime.fromisoformat(value)
    except ValueError:
        raise UnsupportedRule(name, f"{value} is not a date and time that exists") from None


def _parse_exdates(body: str, parameters: list[str]) -> list[Moment]:
    """RFC 5545 section 3.8.5.1. A time with a TZID is an instant; without TZID or Z it stays floating."""
    zone: ZoneInfo | None = None
    moments = [_moment("EXDATE", value.strip().upper()) for value in body.split(",")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        match name.upper(), value.upper():
            case "VALUE", ("DATE" | "DATE-TIME") as kind:
                if any(isinstance(moment, datetime) != (kind == "DATE-TIME") for moment in moments):
                    raise UnsupportedRule("EXDATE", f"has a value that is not a {kind}")
            case "TZID", _:
                try:
                    zone = ZoneInfo(zone_name(value.strip('"')))
                except ValueError:
                    raise UnsupportedRule("TZID", "of EXDATE must be an IANA time zone") from None
            case _:
                raise UnsupportedRule("EXDATE", f"has an unsupported parameter, {parameter[:40]}")
    if zone is None:
        return moments
    if any(not isinstance(moment, datetime) or moment.tzinfo is not None for moment in moments):
        raise UnsupportedRule("EXDATE", "with TZID must be local date-times")
    try:
        return [from_wall(moment, zone) for moment in moments if isinstance(moment, datetime)]
    except OverflowError:
        raise UnsupportedRule("EXDATE", "is outside the calendar") from None


def _format_moment(moment: Moment) -> str:
    if not isinstance(moment, datetime):
        return moment.isoformat().replace("-", "")
    zulu = "" if moment.tzinfo is None else "Z"
    utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return utc.replace(tzinfo=None, microsecond=0).isoformat().replace("-", "").replace(":", "") + zulu


_PARTS: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "FREQ": ("freq", _frequency),
    "INTERVAL": ("interval", _positive(MAX_INTERVAL)),
    "COUNT": ("count", _positive(MAX_COUNT)),
    "UNTIL": ("until", _moment),
    "BYMONTH": ("by_month", _numbers(12, signed=False)),
    "BYWEEKNO": ("by_week_no", _week_numbers),
    "BYYEARDAY": ("by_year_day", _numbers(366)),
    "BYMONTHDAY": ("by_month_day", _numbers(31)),
    "BYDAY": ("by_day", _weekdays),
    "BYSETPOS": ("by_set_pos", _numbers(366)),
    "WKST": ("week_start", _weekday),
}
