"""A recurrence rule in English words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from functions.tasks.rrule_text import Rule

_UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def in_words(rule: Rule, *, until: date | None, excluded: int, from_completion: bool, plain: bool) -> str:
    """The rule, explicit in its parts, in words.

    `until` is its last local day, `excluded` how many days it leaves out; `plain` says that it names no days.
    """
    unit = _UNITS[rule.freq]
    text = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    if from_completion and plain:
        text = f"{rule.interval} {unit}{'s' if rule.interval > 1 else ''} after completion"
    elif rule.freq in ("DAILY", "WEEKLY") and _is_working_week(rule) and not (rule.by_month or rule.by_set_pos):
        text = "every weekday" if rule.interval == 1 else f"{text} on weekdays"
    else:
        text += _days(rule)
    if from_completion and not plain:
        text += ", counted from completion"
    if until is not None:
        text += f" until {until.isoformat()}"
    if rule.count is not None:
        text += ", once" if rule.count == 1 else f", {rule.count} times"
    if excluded:
        text += ", except one date" if excluded == 1 else f", except {excluded} dates"
    return text


def _days(rule: Rule) -> str:
    """On which days: " on ... of ..."."""
    months = _list(_MONTHS[month - 1] for month in rule.by_month)
    of_months = f" of {months or 'every month'}" if rule.freq == "YEARLY" else ""
    clamped = _clamped(rule)
    if clamped is not None:
        return f" on the {clamped}"
    chosen = []
    if rule.by_year_day:
        chosen.append(f"the {_list(map(_place, rule.by_year_day))} day of the year")
    if rule.by_month_day:
        days = _list(f"{_place(day)} day" if day < 0 else _place(day) for day in rule.by_month_day)
        chosen.append(f"the {days}{of_months}")
    if rule.by_day:
        chosen.append(_weekdays(rule, months if not rule.by_month_day else ""))
    text = f" on {', if it is '.join(chosen)}" if chosen else ""
    if rule.by_week_no:
        text += f" of week {_list(map(str, rule.by_week_no))}"
    if months and f" of {months}" not in text:
        text += f" in {months}"
    if rule.by_set_pos and not _chosen_weekday(rule):
        text += f", only the {_list(map(_place, rule.by_set_pos))} of these in each {_UNITS[rule.freq]}"
    elif _may_lack_a_day(rule):
        by_month = rule.freq == "MONTHLY" or (len(rule.by_month) != 1 and rule.by_month_day)
        text += f", skipping {'months' if by_month else 'years'} without it"
    return text


def _weekdays(rule: Rule, months: str) -> str:
    names = [_WEEKDAYS[day.weekday] for day in rule.by_day]
    if rule.freq in ("DAILY", "WEEKLY") or rule.by_week_no:
        return _list(names)
    if _chosen_weekday(rule):
        places = _list(map(_place, rule.by_set_pos))
        return f"the {places} {'weekday' if _is_working_week(rule) else _list(names, 'or')}"
    every = "a" if rule.by_month_day or rule.by_year_day else "every"
    if _is_working_week(rule):
        return f"{every} weekday"
    days = _list(
        f"the {_place(day.n)} {_WEEKDAYS[day.weekday]}" if day.n else f"{every} {_WEEKDAYS[day.weekday]}"
        for day in rule.by_day
    )
    if rule.freq == "YEARLY" and any(day.n for day in rule.by_day):
        return f"{days} of {months or 'the year'}"
    return days


def _clamped(rule: Rule) -> str | None:
    """The words for a day that falls back to the month's last one, where that is what the rule says."""
    wanted = rule.by_month_day[-1] if rule.by_month_day else 0
    if rule.by_set_pos != (-1,) or rule.by_day or rule.by_month_day != tuple(range(28, wanted + 1)):
        return None
    if rule.freq == "MONTHLY" and not rule.by_month:
        return f"{_place(wanted)}, or the last day of a shorter month"
    if rule.freq == "YEARLY" and rule.by_month == (2,) and wanted == 29:
        return "29th of February, or the 28th outside leap years"
    return None


def _may_lack_a_day(rule: Rule) -> bool:
    """Whether the rule skips months or years because they lack a day that it names."""
    if rule.freq not in ("MONTHLY", "YEARLY"):
        return False
    days = [abs(day) for day in rule.by_month_day]
    shortest = min((28 if month == 2 else _LENGTHS[month - 1] for month in rule.by_month), default=28)
    return (
        (bool(days) and not rule.by_day and max(days) > shortest)
        or any(abs(day.n) == 5 for day in rule.by_day if rule.freq == "MONTHLY" or rule.by_month)
        or any(abs(day.n) == 53 for day in rule.by_day)
        or any(abs(day) == 366 for day in rule.by_year_day)
    )


def _chosen_weekday(rule: Rule) -> bool:
    """Whether it is the n-th of some weekdays of a month, such as its last working day."""
    others = rule.by_month_day or any(day.n for day in rule.by_day)
    return rule.freq == "MONTHLY" and bool(rule.by_set_pos and rule.by_day) and not others


def _is_working_week(rule: Rule) -> bool:
    return sorted(rule.by_day) == [(weekday, 0) for weekday in range(5)]


def _place(n: int) -> str:
    """1st, 2nd, last, 2nd to last."""
    if n == -1:
        return "last"
    ending = "th" if abs(n) % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(abs(n) % 10, "th")
    return f"{abs(n)}{ending}" + (" to last" if n < 0 else "")


def _list(words: Iterable[str], conjunction: str = "and") -> str:
    """a; a and b; a, b and c."""
    *others, last = list(words) or [""]
    return f"{', '.join(others)} {conjunction} {last}" if others else last
