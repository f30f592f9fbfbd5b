"""Where a reminder goes and what it says: never markup, never a second header."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.delivery import email_of, messages, route
from functions.tasks.events import Delivery, DueReminder

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ANN, BEN = UUID(int=1), UUID(int=2)


def due(user_id: UUID = ANN, channel: str = "all", **fields: Any) -> DueReminder:
    basis = {"user_id": user_id, "reminder_id": uuid4(), "task_id": uuid4(), "title": "Water the plants"}
    return DueReminder.model_validate(basis | {"scheduled_time": NOW, "delivery_channel": channel} | fields)


def delivery(channel: str = "email", address: str = "ann@example.com", **fields: Any) -> Delivery:
    return Delivery.model_validate(due(**fields).model_dump() | {"channel": channel, "address": address})


def routed(reminders: Sequence[DueReminder], email: str | None) -> list[tuple[str, str]]:
    addresses = {(reminder.user_id, reminder.reminder_id): email for reminder in reminders}
    return [(one.channel, one.address) for one in route(reminders, addresses)]


class TestRoute:
    @pytest.mark.parametrize(
        ("channel", "email", "deliveries"),
        [
            ("all", None, [("in_app", "")]),
            ("all", "ann@example.com", [("in_app", ""), ("email", "ann@example.com")]),
            ("in_app", "ann@example.com", [("in_app", "")]),
            ("email", "ann@example.com", [("email", "ann@example.com")]),
            ("email", None, [("in_app", "")]),  # rather there than nowhere
        ],
    )
    def test_goes_where_it_reaches_its_user(
        self, channel: str, email: str | None, deliveries: list[tuple[str, str]]
    ) -> None:
        assert routed([due(channel=channel)], email) == deliveries

    def test_leaves_out_what_is_no_longer_pending(self) -> None:
        gone, there = due(), due()
        found = route([gone, there], {(there.user_id, there.reminder_id): None})
        assert [one.reminder_id for one in found] == [there.reminder_id]

    def test_never_takes_the_address_of_another_user(self) -> None:
        reminder = due(BEN)
        assert route([reminder], {(ANN, reminder.reminder_id): "ann@example.com"}) == []

    def test_keeps_what_the_notification_says(self) -> None:
        reminder = due(due_date="2026-11-23T10:00:00Z", time_zone="Europe/Berlin")
        (one,) = route([reminder], {(reminder.user_id, reminder.reminder_id): None})
        assert one.model_dump(exclude={"channel", "address"}) == reminder.model_dump()


class TestMessages:
    def test_are_one_for_each_delivery_so_that_one_that_fails_holds_up_no_other(self) -> None:
        group = [delivery(), delivery(address="other@example.com"), delivery(user_id=BEN)]
        assert [event.delivery for _, _, event in messages(group, "c-1")] == group

    def test_lose_none_whatever_iterable_they_come_from(self) -> None:
        group = [delivery("in_app", ""), delivery(), delivery("in_app", ""), delivery()]
        told = [event.delivery.reminder_id for _, _, event in messages(iter(group), "")]
        assert sorted(told) == sorted(one.reminder_id for one in group)

    def test_have_the_user_as_key_an_id_of_their_own_and_the_correlation_id(self) -> None:
        one = delivery()
        group = [one, one.model_copy(update={"channel": "in_app", "address": ""}), delivery(user_id=BEN)]
        made = messages(group, "c-1")
        assert [key for key, _, _ in made] == [str(ANN), str(ANN), str(BEN)]
        assert len({identity for _, identity, _ in made}) == 3
        assert {event.correlation_id for _, _, event in made} == {"c-1"}

    def test_have_the_same_id_when_they_are_made_again(self) -> None:
        group = [delivery(), delivery("in_app", "")]
        assert [identity for _, identity, _ in messages(group, "")] == [i for _, i, _ in messages(group, "")]

    def test_of_nothing_are_none(self) -> None:
        assert messages([], "") == []


class _Text(HTMLParser):
    """The elements and the text of a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


class TestEmail:
    def test_says_what_is_due_and_when_in_the_tasks_zone(self) -> None:
        mail = email_of(delivery(due_date="2026-11-23T09:30:00Z", time_zone="Asia/Tokyo"))
        assert mail["subject"] == "Reminder: Water the plants"
        assert _Text(mail["html"]).text == ["Water the plants", "Due 2026-11-23 18:30 (Asia/Tokyo)"]

    def test_says_a_day_as_a_day(self) -> None:
        assert "Due 2026-11-23" in _Text(email_of(delivery(due_date="2026-11-23"))["html"]).text

    def test_says_nothing_of_a_due_date_that_is_not_there(self) -> None:
        assert "Due" not in email_of(delivery())["html"]

    @pytest.mark.parametrize(
        "title",
        [
            "<script>alert(1)</script>",
            "</p></body><img src=x onerror=alert(1)>",
            "a & b < c > d \" ' &lt;",
            "<!-- x",
            "&#x3c;b&#x3e;",
        ],
    )
    def test_shows_a_title_as_text(self, title: str) -> None:
        document = _Text(email_of(delivery(title=title))["html"])
        assert document.tags == ["html", "body", "p"]
        assert "".join(document.text) == title

    @pytest.mark.parametrize(
        "title",
        [
            "a\r\nBcc: eve@example.com",
            "a\nBcc: eve@example.com",
            "a\rBcc: eve@example.com",
            "a\r\n\r\n<p>body",
            "a\N{LINE SEPARATOR}Bcc: eve@example.com",
            "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g",
        ],
        ids=repr,
    )
    def test_has_a_subject_of_one_line(self, title: str) -> None:
        subject = email_of(delivery(title=title))["subject"]
        assert len(subject.splitlines()) == 1
        header = EmailMessage()
        header["Subject"] = subject  # refuses line breaks
        assert header.keys() == ["Subject"]

    @given(st.text(max_size=600))
    def test_has_a_short_subject_of_one_line_for_any_title(self, title: str) -> None:
        mail = email_of(delivery(title=title))
        assert len(mail["subject"]) <= 200
        assert len(mail["subject"].splitlines()) == 1
        assert _Text(mail["html"]).tags == ["html", "body", "p"]
