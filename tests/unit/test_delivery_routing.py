"""Where a reminder goes and when, and what it says there: never markup, never a second header."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.runtime.mailer import message_of
from functions.tasks.delivery import (
    Recipient,
    delivery_id,
    email_of,
    messages,
    push_of,
    route,
    sort_out,
    webhook_of,
)
from functions.tasks.events import Delivery, DueReminder
from functions.tasks.models import Channel
from functions.tasks.user_settings import QuietHours, UserSettings

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ANN, BEN = UUID(int=1), UUID(int=2)
LINK = "https://tickler.example/api/unsubscribe?token=abc"


def due(user_id: UUID = ANN, channel: str = "all", **fields: Any) -> DueReminder:
    basis = {"user_id": user_id, "reminder_id": uuid4(), "task_id": uuid4(), "title": "Water the plants"}
    return DueReminder.model_validate(basis | {"scheduled_time": NOW, "delivery_channel": channel} | fields)


def delivery(channel: str = "email", address: str = "ann@example.com", **fields: Any) -> Delivery:
    return Delivery.model_validate(due(**fields).model_dump() | {"channel": channel, "address": address})


def routed(
    reminder: DueReminder, devices: list[tuple[Channel, str]], now: datetime = NOW, **settings: Any
) -> list[Delivery]:
    recipient = Recipient(UserSettings(**settings), devices)
    return route([reminder], {(reminder.user_id, reminder.reminder_id): recipient}, now)


class TestRoute:
    @pytest.mark.parametrize(
        ("channel", "email", "devices", "expected"),
        [
            ("all", None, [], [("in_app", "")]),
            ("all", "a@x.org", [], [("in_app", ""), ("email", "a@x.org")]),
            ("all", "a@x.org", [("email", "a@x.org")], [("in_app", ""), ("email", "a@x.org")]),  # the same place once
            ("all", None, [("web_push", "1"), ("webhook", "2")], [("in_app", ""), ("web_push", "1"), ("webhook", "2")]),
            (
                "email",
                "a@x.org",
                [("email", "b@x.org"), ("webhook", "2")],
                [("email", "a@x.org"), ("email", "b@x.org")],
            ),
            ("web_push", "a@x.org", [("web_push", "1"), ("web_push", "2")], [("web_push", "1"), ("web_push", "2")]),
            ("web_push", "a@x.org", [], [("in_app", "")]),  # rather there than nowhere
            ("email", None, [], [("in_app", "")]),
        ],
    )
    def test_goes_where_it_reaches_its_user(
        self, channel: str, email: str | None, devices: Any, expected: list[tuple[str, str]]
    ) -> None:
        found = routed(due(channel=channel), devices, email=email)
        assert [(one.channel, one.address) for one in found] == expected

    def test_sends_no_email_to_who_switched_it_off(self) -> None:
        found = routed(due(), [("email", "b@x.org")], email="a@x.org", email_notifications=False)
        assert [one.channel for one in found] == ["in_app"]

    def test_leaves_out_what_is_no_longer_pending(self) -> None:
        gone, there = due(), due()
        found = route([gone, there], {(there.user_id, there.reminder_id): Recipient(UserSettings(), [])}, NOW)
        assert [one.reminder_id for one in found] == [there.reminder_id]

    def test_never_takes_the_address_of_another_user(self) -> None:
        reminder = due(BEN)
        assert route([reminder], {(ANN, reminder.reminder_id): Recipient(UserSettings(email="a@x.org"), [])}, NOW) == []

    def test_holds_all_but_in_app_in_quiet_hours_of_the_users_zone(self) -> None:
        quiet = QuietHours(start=time(22), end=time(7))
        night = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)  # 22:30 in Berlin
        found = routed(due(), [("webhook", "1")], night, email="a@x.org", time_zone="Europe/Berlin", quiet_hours=quiet)
        morning = datetime(2026, 11, 24, 6, tzinfo=UTC)
        assert [(one.channel, one.not_before) for one in found] == [
            ("in_app", None), ("email", morning), ("webhook", morning)
        ]  # fmt: skip
        assert all(one.not_before is None for one in routed(due(), [], email="a@x.org", quiet_hours=quiet))


class TestSortOut:
    def test_tells_what_is_due_from_what_is_held_and_what_nobody_wants(self) -> None:
        now, held, gone = delivery(), delivery(), delivery()
        held = held.model_copy(update={"not_before": NOW + timedelta(seconds=1)})
        past = delivery().model_copy(update={"not_before": NOW})
        ready, unwanted = sort_out([now, held, gone, past], [now, held, past], NOW)
        assert (ready, unwanted) == ([now, past], [gone])


class TestMessages:
    def test_are_one_each_lose_none_and_say_the_same_when_made_again(self) -> None:
        group = [delivery("web_push"), delivery(), delivery(user_id=BEN)]
        made = messages(iter(group), "c-1")
        assert [(key, event.delivery) for key, _, event in made] == [(str(one.user_id), one) for one in group]
        assert {event.correlation_id for _, _, event in made} == {"c-1"}
        assert len({identity for _, identity, _ in made}) == len(made)
        assert made == messages(group, "c-1")
        assert messages([], "") == []


class _Text(HTMLParser):
    """The elements, the links and the text of a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name != "charset"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


TAGS = ["html", "head", "meta", "body", "p", "hr", "p", "small", "a"]


class TestEmail:
    def test_says_what_is_due_and_when_in_the_tasks_zone(self) -> None:
        mail = email_of(delivery(due_date="2026-11-23T09:30:00Z", time_zone="Asia/Tokyo"), unsubscribe_url=LINK)
        assert mail.subject == "Reminder: Water the plants"
        assert _Text(mail.html).text[:2] == ["Water the plants", "Due 2026-11-23 18:30 (Asia/Tokyo)"]
        assert mail.text.startswith("Water the plants\nDue 2026-11-23 18:30 (Asia/Tokyo)\n")

    def test_says_a_day_as_a_day_and_nothing_where_there_is_none(self) -> None:
        assert "Due 2026-11-23" in email_of(delivery(due_date="2026-11-23"), unsubscribe_url=LINK).text.splitlines()
        assert "Due" not in email_of(delivery(), unsubscribe_url=LINK).html

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
        document = _Text(email_of(delivery(title=title), unsubscribe_url=LINK).html)
        assert (document.tags, document.links) == (TAGS, [LINK])
        assert "".join(document.text).startswith(title)

    @given(st.text(max_size=600))
    def test_has_a_short_subject_of_one_line_for_any_title(self, title: str) -> None:
        mail = email_of(delivery(title=title), unsubscribe_url=LINK)
        assert len(mail.subject) <= 200
        assert len(mail.subject.splitlines()) == 1
        assert _Text(mail.html).tags == TAGS

    @pytest.mark.parametrize(
        "title", ["a\r\nBcc: eve@example.com", "a\n\n<p>body", "a\x0bb\x0cc\x1cd\x85e\u2028f", "\ud800"], ids=repr
    )
    def test_has_no_header_that_a_title_brings(self, title: str) -> None:
        sent = message_of(email_of(delivery(title=title), unsubscribe_url=LINK), "T <t@x.org>").as_bytes()
        assert set(message_from_bytes(sent, policy=default).keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "List-Unsubscribe",
            "List-Unsubscribe-Post", "MIME-Version", "Content-Type",
        }  # fmt: skip

    def test_has_both_forms_and_one_click_to_end_it(self) -> None:
        link = LINK + "x" * 300
        sent = message_of(email_of(delivery(title="Süßes 👨‍👩‍👧"), unsubscribe_url=link), "T <t@x.org>").as_bytes()
        assert f"List-Unsubscribe: <{link}>\r\n".encode() in sent  # in the clear: an encoded one works nowhere
        message = message_from_bytes(sent, policy=default)
        assert message["Subject"] == "Reminder: Süßes 👨‍👩‍👧"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["Auto-Submitted"] == "auto-generated"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert all("Süßes 👨‍👩‍👧" in part.get_content() for part in message.iter_parts())

    @pytest.mark.parametrize(
        "title",
        ["=?utf-8?q?x?=", "a =?utf-8?b?eA==?= ü", "Süßes " * 30, "x" * 300, "%s {{.}} \\", "=?", "日本語" * 40, "a: b"],
    )
    def test_has_the_title_as_it_is_in_the_subject(self, title: str) -> None:
        mail = email_of(delivery(title=title), unsubscribe_url=LINK)
        sent = message_of(mail, "T <t@x.org>").as_bytes()
        assert message_from_bytes(sent, policy=default)["Subject"] == mail.subject
        assert max(map(len, sent.splitlines())) <= 998

    def test_has_the_same_message_id_when_it_is_sent_again_and_another_for_another(self) -> None:
        one, other = delivery(), delivery()
        ids = [message_of(email_of(d, unsubscribe_url=LINK), "T <t@x.org>")["Message-ID"] for d in (one, one, other)]
        assert ids[0] == ids[1] != ids[2]
        assert ids[0].endswith("@x.org>")


@given(st.text(max_size=500))
def test_a_push_message_is_small_enough_for_every_push_service(title: str) -> None:
    message = json.dumps(push_of(delivery("web_push", title=title), url="https://tickler.example"), ensure_ascii=False)
    assert len(message.encode(errors="replace")) < 3993  # of 4096, after RFC 8291's overhead


def test_a_webhook_tells_the_reminder_under_an_id_that_stays() -> None:
    one = delivery("webhook", "1", due_date="2026-11-23")
    body = webhook_of(one, url="https://tickler.example")
    assert body == {
        "id": str(delivery_id(one)), "type": "reminder.due", "reminder_id": str(one.reminder_id),
        "task_id": str(one.task_id), "title": "Water the plants", "due_date": "2026-11-23", "time_zone": "UTC",
        "scheduled_time": "2026-11-23T09:00:00Z", "url": f"https://tickler.example/tasks/{one.task_id}",
    }  # fmt: skip
    assert webhook_of(one, url="")["id"] == body["id"]
