"""The `recurrence` of a task as the API spells it, checked field by field, and the rule that it means."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from functions.tasks.rrule_text import (
    MAX_COUNT,
    MAX_EXDATES,
    MAX_INTERVAL,
    Frequency,
    Moment,
    Rule,
    UnsupportedRule,
    WeekdayNum,
    format_rrule,
    parse_rrule,
)
from functions.tasks.values import DueDate, Int

_FREQUENCY: dict[str, Frequency] = {
    "daily": "DAILY", "weekly": "WEEKLY", "monthly": "MONTHLY", "yearly": "YEARLY",
    "day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY",
}  # fmt: skip
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _empty(value: object) -> bool:
    return value is None or value == ()


class Recurrence(BaseModel):
    """How a task recurs: the `type` form, or the `rrule` form (RFC 5545 text). The two are never mixed.

    In the `type` form what is left out comes from the start of the series: the weekday of a weekly one, the
    day of a monthly one, the day and month of a yearly one. `custom` with a `unit` is the type of that unit.
    A field that is null counts as left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rrule: str | None = Field(
        default=None,
        max_length=20_000,
        exclude_if=_empty,
        examples=["FREQ=MONTHLY;BYDAY=-1FR"],
        description="RFC 5545: FREQ=... or RRULE and EXDATE lines; months that lack the day are skipped",
    )
    type: Literal["daily", "weekly", "monthly", "yearly", "custom"] | None = Field(
        default=None, exclude_if=_empty, validate_default=True
    )
    unit: Literal["day", "week", "month", "year"] | None = Field(
        default=None, exclude_if=_empty, validate_default=True, description="of the interval, for custom"
    )
    interval: Annotated[Int, Field(ge=1, le=MAX_INTERVAL)] | None = Field(
        default=None,
        exclude_if=_empty,
        description="every so many days, weeks, months or years; 1 by default",
    )
    days_of_week: tuple[Annotated[Int, Field(ge=0, le=6)], ...] | None = Field(
        default=None, exclude_if=_empty, description="0 is Monday; for daily and weekly, or with week_of_month"
    )
    week_of_month: Int | None = Field(
        default=None,
        exclude_if=_empty,
        validate_default=True,
        json_schema_extra={"enum": [1, 2, 3, 4, 5, -1, None]},
        description="monthly, yearly: the n-th of each of days_of_week; -1 the last, 5 the fifth or last",
    )
    day_of_month: Annotated[Int, Field(ge=-1, le=31)] | None = Field(
        default=None,
        exclude_if=_empty,
        description="monthly, yearly: -1 is the last day. A day that a month lacks means its last day",
    )
    month: Annotated[Int, Field(ge=1, le=12)] | None = Field(
        default=None, exclude_if=_empty, description="yearly: the start's month by default"
    )
    end_date: DueDate | None = Field(
        default=None, exclude_if=_empty, description="no occurrence is after it; a date means the whole day"
    )
    count: Annotated[Int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        default=None, exclude_if=_empty, description="how many occurrences there are at most"
    )
    anchor: Literal["due_date", "completion"] = Field(
        default="due_date",
        description="completion: the next one is counted from the day this one is completed",
    )
    exdates: tuple[DueDate, ...] = Field(
        default=(), max_length=MAX_EXDATES, exclude_if=_empty, description="occurrences that are left out"
    )

    def rule(self, first: date) -> Rule:
        """The RFC 5545 rule of the same meaning, for a series whose first local day is `first`.

        For the `type` form it is explicit in every part; the clamp to a month's last day is spelled as the
        last one (BYSETPOS=-1) of the days that may be it.
        """
        if self.rrule is not None:
            return parse_rrule(self.rrule)[0]
        freq = _FREQUENCY[self.unit or self.type or ""]
        rule = Rule(freq=freq, interval=self.interval or 1, count=self.count, until=self.end_date)
        month = (self.month or first.month) if freq == "YEARLY" else None
        if freq == "DAILY":
            return replace(rule, by_day=tuple(WeekdayNum(day) for day in self.days_of_week or ()))
        if freq == "WEEKLY":
            days = self.days_of_week or (first.weekday(),)
            return replace(rule, by_day=tuple(WeekdayNum(day) for day in days))
        rule = replace(rule, by_month=(month,) if month else ())
        if self.week_of_month is not None:
            n = -1 if self.week_of_month == 5 else self.week_of_month
            return replace(rule, by_day=tuple(WeekdayNum(day, n) for day in self.days_of_week or ()))
        longest = _DAYS_IN_MONTH[month - 1] if month else 31
        day = min(self.day_of_month or first.day, longest)
        shortest = 28 if month in (None, 2) else longest
        if day <= shortest:
            return replace(rule, by_month_day=(day,))
        return replace(rule, by_month_day=tuple(range(shortest, day + 1)), by_set_pos=(-1,))

    @property
    def excluded(self) -> tuple[Moment, ...]:
        """What EXDATE lines of the text and `exdates` leave out."""
        return (parse_rrule(self.rrule)[1] if self.rrule is not None else ()) + self.exdates

    @property
    def total(self) -> int | None:
        """How many occurrences there are at most: `count`, or the rule's COUNT."""
        return self.count if self.rrule is None else parse_rrule(self.rrule)[0].count

    @property
    def names_days(self) -> bool:
        """Whether it names the days it falls on; else it is a plain interval, such as every 3 weeks."""
        if self.rrule is not None:
            return parse_rrule(self.rrule)[0].names_days
        return any(part is not None for part in (self.days_of_week, self.day_of_month, self.month))

    def ending_after(self, count: int) -> Self:
        """The same recurrence with at most `count` occurrences, whatever its end was."""
        count = min(count, self.total or count)
        if self.rrule is None:
            return self.model_copy(update={"count": count})
        rule, exdates = parse_rrule(self.rrule)
        text = format_rrule(replace(rule, count=count, until=None), exdates)
        return self.model_copy(update={"rrule": text})

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name: value for name, value in data.items() if value is not None}
        return given if "rrule" in given else {"interval": 1} | given

    @field_validator("rrule")
    @classmethod
    def _supported(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            parse_rrule(text)
        except UnsupportedRule as error:
            raise PydanticCustomError("rrule", "{reason}", {"reason": str(error)}) from None
        return text.strip()

    @field_validator(
        "type",
        "unit",
        "interval",
        "days_of_week",
        "week_of_month",
        "day_of_month",
        "month",
        "end_date",
        "count",
    )
    @classmethod
    def _fits(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses a field that does not go with those before it, naming this field."""
        reason = _misfit(info.field_name or "", value, info.data)
        if reason:
            raise PydanticCustomError("recurrence", "{reason}", {"reason": reason})
        return value


def _misfit(field: str, value: Any, given: dict[str, Any]) -> str | None:
    """Why `value` does not go with the fields before it; None if it does. Invalid ones are not in `given`."""
    if "rrule" not in given or (given["rrule"] is not None and value is None):
        return None
    if given["rrule"] is not None:
        return "cannot be combined with rrule: say it in the rule"
    kind = given.get("type")
    if field == "type":
        return "is required, or an rrule" if value is None else None
    if field == "unit":
        if kind == "custom" and value is None:
            return "is required for custom: day, week, month or year"
        return "is for custom only" if kind not in (None, "custom") and value is not None else None
    freq = _FREQUENCY.get(given.get("unit") or kind or "")
    if freq is None:
        return None
    days = given.get("days_of_week")
    by_month = freq in ("MONTHLY", "YEARLY")
    match field, value:
        case "week_of_month", None:
            return "is required with days_of_week here: 1 to 5, or -1 for the last" if by_month and days else None
        case _, None:
            return None
        case "days_of_week", ():
            return "must name at least one day, or be left out"
        case "days_of_week", _ if len(set(value)) < len(value):
            return "names a day twice"
        case (("week_of_month" | "day_of_month"), _) if not by_month:
            return "is for monthly and yearly only"
        case "week_of_month", _ if value not in (1, 2, 3, 4, 5, -1):
            return "must be 1 to 5, or -1 for the last"
        case "week_of_month", _ if days is None and "days_of_week" in given:
            return "needs days_of_week"
        case "day_of_month", 0:
            return "must be 1 to 31, or -1 for the last day"
        case "day_of_month", _ if given.get("week_of_month") is not None:
            return "cannot be combined with week_of_month"
        case "month", _ if freq != "YEARLY":
            return "is for yearly only"
    return None
