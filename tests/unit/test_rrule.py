"""RFC 5545 rules: the RFC's own examples, what the text keeps, and where the days of a rule are decided here."""

from __future__ import annotations

import time
from calendar import month_abbr
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from functions.tasks.recurrence import Recurrence, preview, to_rrule
from tests.support.series import BERLIN, NEW_YORK, at, complete, days, dues, recur, walls

# RFC 5545 section 3.8.5.3, all examples of FREQ=DAILY to YEARLY: DTSTART (09:00 in New York), RRULE, the days.
# "..." stands for "and so on": only those before it are compared.
RFC_EXAMPLES = [
    ("19970902", "FREQ=DAILY;COUNT=10", "1997 Sep 2-11"),
    ("19970902", "FREQ=DAILY;UNTIL=19971224T000000Z", "1997 Sep 2-30; Oct 1-31; Nov 1-30; Dec 1-23"),
    ("19970902", "FREQ=DAILY;INTERVAL=2", "1997 Sep 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30; Oct 2,4 ..."),
    ("19970902", "FREQ=DAILY;INTERVAL=10;COUNT=5", "1997 Sep 2,12,22; Oct 2,12"),
    (
        "19980101",
        "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
        "1998 Jan 1-31; 1999 Jan 1-31; 2000 Jan 1-31",
    ),
    (
        "19980101",
        "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1",
        "1998 Jan 1-31; 1999 Jan 1-31; 2000 Jan 1-31",
    ),
    ("19970902", "FREQ=WEEKLY;COUNT=10", "1997 Sep 2,9,16,23,30; Oct 7,14,21,28; Nov 4"),
    (
        "19970902",
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        "1997 Sep 2,9,16,23,30; Oct 7,14,21,28; Nov 4,11,18,25; Dec 2,9,16,23",
    ),
    (
        "19970902",
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        "1997 Sep 2,16,30; Oct 14,28; Nov 11,25; Dec 9,23; 1998 Jan 6,20; Feb 3,17 ...",
    ),
    (
        "19970902",
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        "1997 Sep 2,4,9,11,16,18,23,25,30; Oct 2",
    ),
    ("19970902", "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH", "1997 Sep 2,4,9,11,16,18,23,25,30; Oct 2"),
    (
        "19970901",
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "1997 Sep 1,3,5,15,17,19,29; Oct 1,3,13,15,17,27,29,31; Nov 10,12,14,24,26,28; Dec 8,10,12,22",
    ),
    ("19970902", "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH", "1997 Sep 2,4,16,18,30; Oct 2,14,16"),
    (
        "19970905",
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "1997 Sep 5; Oct 3; Nov 7; Dec 5; 1998 Jan 2; Feb 6; Mar 6; Apr 3; May 1; Jun 5",
    ),
    ("19970905", "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR", "1997 Sep 5; Oct 3; Nov 7; Dec 5"),
    (
        "19970907",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997 Sep 7,28; Nov 2,30; 1998 Jan 4,25; Mar 1,29; May 3,31",
    ),
    (
        "19970922",
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "1997 Sep 22; Oct 20; Nov 17; Dec 22; 1998 Jan 19; Feb 16",
    ),
    ("19970928", "FREQ=MONTHLY;BYMONTHDAY=-3", "1997 Sep 28; Oct 29; Nov 28; Dec 29; 1998 Jan 29; Feb 26 ..."),
    (
        "19970902",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        "1997 Sep 2,15; Oct 2,15; Nov 2,15; Dec 2,15; 1998 Jan 2,15",
    ),
    (
        "19970930",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "1997 Sep 30; Oct 1,31; Nov 1,30; Dec 1,31; 1998 Jan 1,31; Feb 1",
    ),
    (
        "19970910",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997 Sep 10,11,12,13,14,15; 1999 Mar 10,11,12,13",
    ),
    (
        "19970902",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        "1997 Sep 2,9,16,23,30; Nov 4,11,18,25; 1998 Jan 6,13,20,27; Mar 3,10,17,24,31 ...",
    ),
    (
        "19970610",
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "1997 Jun 10; Jul 10; 1998 Jun 10; Jul 10; 1999 Jun 10; Jul 10; 2000 Jun 10; Jul 10; 2001 Jun 10; Jul 10",
    ),
    (
        "19970310",
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "1997 Mar 10; 1999 Jan 10; Feb 10; Mar 10; 2001 Jan 10; Feb 10; Mar 10; 2003 Jan 10; Feb 10; Mar 10",
    ),
    (
        "19970101",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997 Jan 1; Apr 10; Jul 19; 2000 Jan 1; Apr 9; Jul 18; 2003 Jan 1; Apr 10; Jul 19; 2006 Jan 1",
    ),
    ("19970519", "FREQ=YEARLY;BYDAY=20MO", "1997 May 19; 1998 May 18; 1999 May 17 ..."),
    ("19970512", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997 May 12; 1998 May 11; 1999 May 17 ..."),
    (
        "19970313",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        "1997 Mar 13,20,27; 1998 Mar 5,12,19,26; 1999 Mar 4,11,18,25 ...",
    ),
    (
        "19970605",
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "1997 Jun 5,12,19,26; Jul 3,10,17,24,31; Aug 7,14,21,28; "
        "1998 Jun 4,11,18,25; Jul 2,9,16,23,30; Aug 6,13,20,27; "
        "1999 Jun 3,10,17,24; Jul 1,8,15,22,29; Aug 5,12,19,26 ...",
    ),
    (
        "19970902",
        "RRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13\nEXDATE;TZID=America/New_York:19970902T090000",
        "1998 Feb 13; Mar 13; Nov 13; 1999 Aug 13; 2000 Oct 13 ...",
    ),
    (
        "19970913",
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "1997 Sep 13; Oct 11; Nov 8; Dec 13; 1998 Jan 10; Feb 7; Mar 7; Apr 11; May 9; Jun 13 ...",
    ),
    (
        "19961105",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996 Nov 5; 2000 Nov 7; 2004 Nov 2 ...",
    ),
    ("19970904", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997 Sep 4; Oct 7; Nov 6"),
    (
        "19970929",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "1997 Sep 29; Oct 30; Nov 27; Dec 30; 1998 Jan 29; Feb 26; Mar 30 ...",
    ),
    ("19970805", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997 Aug 5,10,19,24"),
    ("19970805", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997 Aug 5,17,19,31"),
    ("20070115", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007 Jan 15,30; Feb 15; Mar 15,30"),
]


def _rfc_days(text: str) -> list[str]:
    found, year = [], ""
    for part in text.removesuffix(" ...").split("; "):
        *years, month, listed = part.split()
        year = years[0] if years else year
        for one in listed.split(","):
            first, _, last = one.partition("-")
            for day in range(int(first), int(last or first) + 1):
                found.append(f"{year}-{list(month_abbr).index(month):02}-{day:02}")
    return found


@pytest.mark.parametrize(("dtstart", "rrule", "expected"), RFC_EXAMPLES, ids=[r for _, r, _ in RFC_EXAMPLES])
def test_rfc_5545_example(dtstart: str, rrule: str, expected: str) -> None:
    wanted = _rfc_days(expected)
    start = at(f"{dtstart}T0900", NEW_YORK)
    limit = len(wanted) if expected.endswith("...") else len(wanted) + 1
    assert walls(recur(rrule=rrule), start, NEW_YORK, limit) == [f"{day} 09:00" for day in wanted]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("RRULE:FREQ=DAILY;INTERVAL=1", "FREQ=DAILY"),
        ("count=08;interval=2;freq=weekly;wkst=su;byday=tu,th", "FREQ=WEEKLY;INTERVAL=2;COUNT=8;BYDAY=TU,TH;WKST=SU"),
        ("FREQ=MONTHLY;BYDAY=+1SU,-1SU,1SU;UNTIL=20270101", "FREQ=MONTHLY;UNTIL=20270101;BYDAY=1SU,-1SU"),
        ("FREQ=YEARLY;BYSETPOS=-1;BYMONTHDAY=-1;BYMONTH=02", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1;BYSETPOS=-1"),
        (
            "RRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20270101T090000\nEXDATE;VALUE=DATE:20270103",
            "RRULE:FREQ=DAILY\nEXDATE:20270101T080000Z\nEXDATE;VALUE=DATE:20270103",
        ),
    ],
)
def test_the_rrule_form_is_kept_as_given_and_answered_in_canonical_order(given: str, canonical: str) -> None:
    rule, start = recur(rrule=given), at("2026-11-23 09:00")
    assert rule.rrule == given
    assert to_rrule(rule, start=start, time_zone=BERLIN) == canonical
    assert dues(recur(rrule=canonical), start, n=50) == dues(rule, start, n=50)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (recur(type="daily", interval=3), "FREQ=DAILY;INTERVAL=3"),
        (recur(type="weekly"), "FREQ=WEEKLY;BYDAY=SA"),
        (recur(type="monthly"), "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1"),
        (recur(type="monthly", day_of_month=30), "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1"),
        (recur(type="monthly", day_of_month=28), "FREQ=MONTHLY;BYMONTHDAY=28"),
        (recur(type="monthly", day_of_month=-1), "FREQ=MONTHLY;BYMONTHDAY=-1"),
        (recur(type="monthly", week_of_month=2, days_of_week=[1]), "FREQ=MONTHLY;BYDAY=2TU"),
        (recur(type="yearly"), "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=31"),
        (
            recur(type="yearly", month=2, day_of_month=29),
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1",
        ),
        (recur(type="daily", end_date="2026-02-03"), "FREQ=DAILY;UNTIL=20260203T080000Z"),
        (recur(type="daily", end_date="2026-02-03", count=10), "FREQ=DAILY;COUNT=4"),
        (recur(type="daily", end_date="2026-02-03", count=2), "FREQ=DAILY;COUNT=2"),
        (recur(type="daily", days_of_week=[0, 4]), "FREQ=DAILY;BYDAY=MO,FR"),
        (
            recur(type="daily", count=3, exdates=["2026-02-01"]),
            "RRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260201T080000Z",
        ),
    ],
)
def test_the_typed_form_as_an_rfc_5545_rule_of_the_same_meaning(rule: Recurrence, text: str) -> None:
    start = at("2026-01-31 09:00")
    assert to_rrule(rule, start=start, time_zone=BERLIN) == text
    assert dues(recur(rrule=text), start, n=60) == dues(rule, start, n=60)


def test_until_and_exdates_of_an_all_day_series_are_dates() -> None:
    rule = recur(type="daily", end_date="2026-02-02T23:30:00Z", exdates=["2026-02-01T08:00:00Z"])
    text = to_rrule(rule, start=date(2026, 1, 31), time_zone=BERLIN)
    assert text == "RRULE:FREQ=DAILY;UNTIL=20260203\nEXDATE;VALUE=DATE:20260201"
    assert (
        days(rule, "2026-01-31") == days(recur(rrule=text), "2026-01-31") == ["2026-01-31", "2026-02-02", "2026-02-03"]
    )


def test_months_that_lack_the_day_are_skipped_in_the_rrule_form_only() -> None:
    assert days(recur(rrule="FREQ=MONTHLY"), "2026-01-31", 3) == ["2026-01-31", "2026-03-31", "2026-05-31"]
    assert days(recur(rrule="FREQ=YEARLY"), "2028-02-29", 2) == ["2028-02-29", "2032-02-29"]


def test_byday_with_and_without_numbers_is_their_union() -> None:
    seen = days(recur(rrule="FREQ=MONTHLY;BYDAY=MO,1TU"), "2026-12-01", 6)
    assert seen == ["2026-12-01", "2026-12-07", "2026-12-14", "2026-12-21", "2026-12-28", "2027-01-04"]
    yearly = days(recur(rrule="FREQ=YEARLY;BYDAY=1MO,-1SU,TH"), "2027-12-26", 4)
    assert yearly == ["2027-12-26", "2027-12-30", "2028-01-03", "2028-01-06"]


def test_bysetpos_of_a_week_counts_from_its_start_not_from_the_first_due_date() -> None:
    rule = recur(rrule="FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1")
    assert days(rule, "2026-11-25", 2) == ["2026-11-30", "2026-12-07"]  # that week's first was Monday
    november = recur(rrule="FREQ=WEEKLY;BYMONTH=11;BYDAY=MO,WE,FR;BYSETPOS=1")
    assert days(november, "2026-11-25", 2) == ["2026-11-30", "2027-11-01"]
    sunday = recur(rrule="FREQ=WEEKLY;BYDAY=MO,SU;BYSETPOS=1;WKST=SU")
    assert days(sunday, "2026-11-23", 2) == ["2026-11-29", "2026-12-06"]


def test_byweekno_takes_its_weekday_from_the_start() -> None:
    assert days(recur(rrule="FREQ=YEARLY;BYWEEKNO=20"), "2026-05-13", 2) == ["2026-05-13", "2027-05-19"]
    assert days(recur(rrule="FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,SU"), "2026-12-01", 4) == [
        "2027-01-04",
        "2027-01-10",
        "2028-01-03",
        "2028-01-09",
    ]
    assert days(recur(rrule="FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO"), "2029-12-31", 1) == ["2029-12-31"]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYYEARDAY=1;BYMONTH=2",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        "FREQ=WEEKLY;BYDAY=MO;BYMONTH=3;BYSETPOS=-2",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=DAILY;INTERVAL=9996;BYDAY=MO",
        "FREQ=DAILY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_a_rule_that_never_falls_on_a_day_is_empty_at_once(text: str) -> None:
    begun = time.process_time()
    assert dues(recur(rrule=text), date(2025, 1, 7)) == []
    assert complete(recur(rrule=text), date(2025, 1, 7), 1, now=at("2026-01-01 09:00")) is None
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "text",
    ["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=SA,SU", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=DAILY;INTERVAL=9999"],
)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_end_of_the_calendar_ends_a_series(text: str, zone: str) -> None:
    for start in (date(9999, 12, 1), datetime(9999, 12, 1, 23, 30, tzinfo=UTC)):
        found = preview(recur(rrule=text), start=start, time_zone=zone, count=500).occurrences
        assert 1 <= len(found) < 32
        assert all(earlier < later for earlier, later in pairwise(found))
