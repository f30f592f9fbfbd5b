"""Reminders: delivered once per channel, within a second of their time, to whom they are for and nobody else."""

from __future__ import annotations

import email
import email.policy
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import unique_user
from tests.support.client import Client
from tests.support.reminders import (
    Sentinel,
    channels,
    deliveries,
    due_in,
    lateness,
    subjects,
    wait_delivered,
)
from tests.support.system import System
from tests.support.waiting import eventually
from tools.mail import Mail

MAX_LATENESS = 1.0

instant = datetime.fromisoformat


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return unique_user(request.node.name) + "@example.test"


def test_reminders__over_a_few_seconds_are_on_time_and_once_each(system: System, client: Client) -> None:
    moments = [1.0 + 0.25 * number for number in range(10)]
    tasks = [client.create(f"at {at}", due_date=due_in(at), reminder_offset="PT0S") for at in moments]
    sentinel = Sentinel(client, moments[-1] + 1)
    for task in tasks:
        sent = wait_delivered(client, task["id"])
        assert sorted(details["channel"] for details in sent) == ["email", "in_app"]
        for details in sent:
            assert details["title"] == task["title"]
            assert instant(details["scheduled_time"]) == instant(task["reminders"][0]["scheduled_time"])
            assert 0 <= lateness(details) < MAX_LATENESS
    sentinel.wait()
    assert len(deliveries(client)) == 2 * len(tasks) + 2
    assert subjects(system, client) == sorted([task["title"] for task in tasks] + ["sentinel"])
    for task in tasks:
        assert [reminder["status"] for reminder in client.get(task["id"])["reminders"]] == ["sent"]


def test_reminders__mails_arrive_within_a_second_too(system: System, client: Client) -> None:
    """Not only the record of the delivery is in time, but the mail itself, as the server took it."""
    task = client.create("mail in time", due_date=due_in(1.5), reminder_offset="PT0S")
    wait_delivered(client, task["id"])
    (mail,) = system.mails(client.email)
    late = mail.received - instant(task["due_date"])
    assert timedelta(seconds=-0.05) < late < timedelta(seconds=MAX_LATENESS)


def test_reminders__several_on_one_task_and_absolute_ones(system: System, client: Client) -> None:
    at = due_in(1.0)
    task = client.create(
        "three times", due_date=due_in(3.0), reminder_offset="PT0S", reminders=[{"offset": "PT1S"}, {"at": at}]
    )
    assert len(task["reminders"]) == 3
    sent = wait_delivered(client, task["id"], count=6)
    times = {instant(reminder["scheduled_time"]) for reminder in task["reminders"]}
    assert sorted((instant(details["scheduled_time"]), details["channel"]) for details in sent) == sorted(
        (time, channel) for time in times for channel in ("email", "in_app")
    )
    assert all(0 <= lateness(details) < MAX_LATENESS for details in sent)
    assert subjects(system, client) == ["three times"] * 3


def test_reminders__without_a_due_date_at_an_instant(client: Client) -> None:
    task = client.create("no due date", reminders=[{"at": due_in(1)}])
    assert sorted(details["channel"] for details in wait_delivered(client, task["id"])) == ["email", "in_app"]


def test_reminders__follow_the_due_date(system: System, client: Client) -> None:
    nearer = client.create("nearer", due_date=due_in(36_000), reminder_offset="PT0S", reminders=[{"offset": "PT1H"}])
    farther = client.create("farther", due_date=due_in(1.5), reminder_offset="PT0S")
    client.patch(farther["id"], due_date=due_in(3600))
    moved = client.patch(nearer["id"], due_date=due_in(1.5))
    sent = wait_delivered(client, nearer["id"])
    assert {instant(details["scheduled_time"]) for details in sent} == {instant(moved["due_date"])}
    assert all(0 <= lateness(details) < MAX_LATENESS for details in sent)
    Sentinel(client, 1).wait()
    assert channels(client, nearer["id"]) == ["email", "in_app"]
    assert channels(client, farther["id"]) == []
    assert [reminder["status"] for reminder in client.get(farther["id"])["reminders"]] == ["pending"]
    assert subjects(system, client) == ["nearer", "sentinel"]


def test_reminders__of_a_completed_or_deleted_task_are_cancelled(system: System, client: Client) -> None:
    fields = {"due_date": due_in(1.2), "reminder_offset": "PT0S"}
    completed, deleted, without = (client.create(title, **fields) for title in ("completed", "deleted", "without"))
    reopened = client.create("reopened", due_date=due_in(1.8), reminder_offset="PT0S")
    client.complete(completed["id"])
    client.delete(deleted["id"])
    client.patch(without["id"], reminder_offset=None)
    client.complete(reopened["id"])
    client.reopen(reopened["id"])
    Sentinel(client, 2.5).wait()
    assert subjects(system, client) == ["reopened", "sentinel"]
    assert channels(client, reopened["id"]) == ["email", "in_app"]
    for task in (completed, deleted, without):
        assert channels(client, task["id"]) == []
    assert [reminder["status"] for reminder in client.get(completed["id"])["reminders"]] == ["cancelled"]


def test_reminders__of_a_task_moved_into_the_past_fire_no_storm(system: System, client: Client) -> None:
    several = [{"offset": f"PT{hours}H"} for hours in range(1, 6)]
    moved = client.create("moved", due_date=due_in(36_000), reminder_offset="PT0S", reminders=several)
    made = client.create("made", due_date=due_in(-36_000), reminder_offset="PT0S", reminders=several)
    task = client.patch(moved["id"], due_date="2020-01-01T00:00:00Z")
    assert {reminder["status"] for reminder in task["reminders"]} == {"cancelled"}
    Sentinel(client, 1).wait()
    assert subjects(system, client) == ["sentinel"]
    assert channels(client, moved["id"]) == channels(client, made["id"]) == []


def test_reminders__by_one_channel_only(system: System, client: Client) -> None:
    moment = due_in(1)
    by_mail = client.create("by mail", reminders=[{"at": moment, "delivery_channel": "email"}])
    in_app = client.create("in app", reminders=[{"at": moment, "delivery_channel": "in_app"}])
    Sentinel(client, 2).wait()
    assert channels(client, by_mail["id"]) == ["email"]
    assert channels(client, in_app["id"]) == ["in_app"]
    assert subjects(system, client) == ["by mail", "sentinel"]


def test_mail__shows_a_title_with_markup_as_text(system: System, client: Client) -> None:
    title = "<script>alert(1)</script> & \"q\" 'x' ünï \N{GRINNING FACE} %s {{.}} =?utf-8?q?x?="
    task = client.create(title, due_date=due_in(1), reminder_offset="PT0S", time_zone="Europe/Berlin")
    wait_delivered(client, task["id"])
    (mail,) = system.mails(client.email)
    assert mail.subject == f"Reminder: {title}"
    assert mail.text.splitlines()[0] == title
    html = parts(system, client)["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in html
    assert "ünï \N{GRINNING FACE} %s {{.}}" in html


def parts(system: System, client: Client) -> dict[str, str]:
    """The parts of a user's only mail, by their type."""
    for file in (system.mail / "new").iterdir():
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if message["Delivered-To"] == client.email:
            return {part.get_content_type(): part.get_content() for part in message.iter_parts()}
    raise AssertionError(f"no mail for {client.email}")


def test_mail__has_no_header_that_a_title_made(system: System, user: str) -> None:
    separators = ["\x85", "\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}", "%0d%0a", "\\r\\n", "\N{SYMBOL FOR NEWLINE}"]
    clients = [system.client(f"{number}-{user}") for number in range(len(separators))]
    for client, separator in zip(clients, separators, strict=True):
        title = f"x{separator}Bcc: other@example.test{separator}{separator}body"
        client.create(title, due_date=due_in(0.3), reminder_offset="PT0S")
    for client in clients:
        (mail,) = eventually(lambda c=client: system.mails(c.email), what=f"the mail for {client.email}")  # type: ignore[misc]
        assert mail.recipients == (client.email,)
        assert "other@example.test" in mail.subject
        headers = raw_headers(system, client)
        assert "Bcc" not in headers
        assert headers.count("Subject") == 1


def raw_headers(system: System, client: Client) -> list[str]:
    """The names of the headers of a user's only mail, as they were sent."""
    for file in (system.mail / "new").iterdir():
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.compat32)
        if message["Delivered-To"] == client.email:
            return [name.title() for name in message]
    raise AssertionError(f"no mail for {client.email}")


def test_mail__of_a_title_as_long_as_may_be(system: System, client: Client) -> None:
    task = client.create("\N{GRINNING FACE}ä" * 250, due_date=due_in(0.5), reminder_offset="PT0S")
    wait_delivered(client, task["id"])
    (mail,) = system.mails(client.email)
    assert mail.subject.startswith("Reminder: \N{GRINNING FACE}ä\N{GRINNING FACE}ä")
    assert "\N{GRINNING FACE}ä" * 250 in mail.text


def test_mail__says_the_due_date_as_its_user_reads_a_clock(system: System, client: Client) -> None:
    client.create(
        "tokyo", due_date="2031-06-01T09:30:00+09:00", time_zone="Asia/Tokyo", reminders=[{"at": due_in(0.5)}]
    )
    client.create("all day", due_date="2031-06-02", time_zone="Asia/Tokyo", reminders=[{"at": due_in(0.5)}])
    mails = eventually(lambda: len(system.mails(client.email)) == 2 and system.mails(client.email), what="both mails")
    assert isinstance(mails, list)
    texts = {mail.subject: mail.text for mail in mails}
    assert "2031-06-01 09:30" in texts["Reminder: tokyo"]
    assert "Asia/Tokyo" in texts["Reminder: tokyo"]
    assert "2031-06-02" in texts["Reminder: all day"]


def test_mails__of_30_users_in_the_same_second_reach_each_their_own(system: System, user: str) -> None:
    """The in-app ones in time; the mails, which go one after the other, to the right people with the right words."""
    clients = [system.client(f"{number}-{user[-40:]}") for number in range(30)]
    moment = due_in(2.5)
    with ThreadPoolExecutor(8) as pool:
        tasks = list(
            pool.map(lambda c: c.create(f"only for {c.user}", due_date=moment, reminder_offset="PT0S"), clients)
        )
    assert datetime.now(UTC) < datetime.fromisoformat(moment), "too slow to make them all in time"
    for client, task in zip(clients, tasks, strict=True):
        sent = wait_delivered(client, task["id"])
        assert sorted(details["channel"] for details in sent) == ["email", "in_app"]
        assert max(lateness(details) for details in sent if details["channel"] == "in_app") < MAX_LATENESS
    Sentinel(clients[0], 1).wait()
    for client, task in zip(clients, tasks, strict=True):
        mails: list[Mail] = [mail for mail in system.mails(client.email) if "sentinel" not in mail.subject]
        assert [mail.subject for mail in mails] == [f"Reminder: {task['title']}"]
        assert mails[0].recipients == (client.email,)
        assert f"only for {client.user}" in mails[0].text
