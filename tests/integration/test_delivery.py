"""Notifications on their way out of the whole system: web push, webhooks, mail, quiet hours and dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import unique_user
from tests.delivery.peers import Browser, Peer, Request, read_vapid, verify_webhook
from tests.support.client import Client, Json, expect, refused
from tests.support.outside import MailServer
from tests.support.reminders import deliveries, due_in, lateness, wait_delivered
from tests.support.system import System, free_port
from tests.support.waiting import eventually


@dataclass
class Outside:
    """A system that may send to loopback, and a mail server that is not its own."""

    system: System
    mail: MailServer


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    mail = MailServer(free_port())
    system = System(
        {
            "TICKLER_SMTP_HOST": "127.0.0.1",
            "TICKLER_SMTP_PORT": str(mail.port),
            "TICKLER_WEBHOOK_ALLOW_PRIVATE": "true",
        }
    )
    try:
        mail.up()
        system.start()
        yield Outside(system, mail)
        system.stop()
    finally:
        system.discard()
        mail.down()


@pytest.fixture
def near(outside: Outside, request: pytest.FixtureRequest) -> Client:
    """A user of the system that may send to loopback."""
    return outside.system.client(unique_user(request.node.name))


def register(client: Client, **fields: Any) -> Json:
    return expect(client.rest("POST", "/api/devices", fields))


def devices(client: Client) -> list[Json]:
    items: list[Json] = expect(client.rest("GET", "/api/devices"))["items"]
    return items


def remind(client: Client, seconds: float = 0.5, **fields: Any) -> Json:
    return client.create(**{"due_date": due_in(seconds), "reminder_offset": "PT0S", **fields})


def test_a_reminder_reaches_every_device_once_and_in_time(near: Client, outside: Outside) -> None:
    browser = Browser()
    with Peer() as push, Peer() as hook:
        register(near, kind="web_push", endpoint=push.url("/s/1"), keys=browser.keys, expirationTime=None)
        secret = register(near, kind="webhook", endpoint=hook.url("/hook"))["secret"]
        register(near, kind="email", endpoint="second@example.org")
        task = remind(near, title="Süßes <b>")
        sent = wait_delivered(near, task["id"], count=5)
        assert sorted(details["channel"] for details in sent) == ["email", "email", "in_app", "web_push", "webhook"]
        assert max(lateness(details) for details in sent) < 1
        (pushed,), (hooked,) = push.requests, hook.requests
    message = browser.read(pushed)
    assert (message["title"], message["task_id"]) == ("Süßes <b>", task["id"])
    key = expect(near.rest("GET", "/api/devices"))["vapid_public_key"]
    assert read_vapid(pushed, push.url(""))[1] == key
    body = verify_webhook(hooked, secret)
    assert (body["type"], body["task_id"], body["reminder_id"]) == (
        "reminder.due", task["id"], task["reminders"][0]["id"]
    )  # fmt: skip
    assert outside.mail.subjects.count("Süßes <b>") == 2
    assert near.get(task["id"])["reminders"][0]["status"] == "sent"


def test_a_device_is_registered_once_listed_tested_and_removed(near: Client) -> None:
    with Peer() as hook:
        made = register(near, kind="webhook", endpoint=hook.url(), name="Home")
        again = register(near, kind="webhook", endpoint=hook.url(), name="Office")
        assert made["secret"]
        assert again == {**made, "name": "Office", "secret": None}
        assert devices(near) == [again]
        path = f"/api/devices/{made['id']}"
        assert expect(near.rest("POST", f"{path}/test")) == {"id": made["id"], "delivered": True}
        assert verify_webhook(hook.requests[0], made["secret"])["type"] == "test"
    refused(near.rest("POST", f"{path}/test"), 503)
    assert expect(near.dapr("manage-devices", {"action": "delete", "device_id": made["id"]}))["deleted"]
    assert devices(near) == []
    refused(near.rest("DELETE", path), 404)
    refused(near.rest("POST", f"{path}/test"), 404)


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_has_ended_is_removed(near: Client, status: int) -> None:
    with Peer(answers=[(status, {})]) as push:
        register(near, kind="web_push", endpoint=push.url(), keys=Browser().keys)
        task = remind(near)
        eventually(lambda: devices(near) == [], what="the device is removed")
        (failed,) = eventually(lambda: deliveries(near, task["id"], "reminder.failed"), what="a failure is told")
        assert failed["channel"] == "web_push"
        assert str(status) in failed["reason"]
        assert len(push.requests) == 1


def test_a_webhook_that_is_busy_gets_the_same_delivery_again(near: Client) -> None:
    with Peer(answers=[(503, {}), (500, {}), (200, {})]) as hook:
        register(near, kind="webhook", endpoint=hook.url())
        task = remind(near, reminders=[], title="Again")
        wait_delivered(near, task["id"], count=3)
        assert len(hook.requests) == 3
        assert len({request.headers["x-tickler-delivery"] for request in hook.requests}) == 1


def test_a_webhook_that_hangs_holds_up_no_mail(near: Client, outside: Outside) -> None:
    other = outside.system.client(unique_user("hangs"))
    with Peer(before_answer=lambda handler: bool(handler.rfile.read(1))) as hook:
        register(other, kind="webhook", endpoint=hook.url())
        for number in range(3):
            remind(other, 0.5 + number / 2)
        eventually(lambda: hook.requests, what="the webhook is called")
        tasks = [remind(near, 0.5 + number / 5) for number in range(10)]
        for task in tasks:
            assert max(lateness(details) for details in wait_delivered(near, task["id"])) < 1


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x", "https://localhost/x", "https://10.1.2.3/", "https://169.254.169.254/latest", "https://[::1]/",
        "https://[::ffff:10.0.0.1]/", "https://2130706433/", "https://0x7f.1/", "http://example.org/", "https://192.168.1.1/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["webhook", "web_push"])
def test_what_leads_into_the_operators_network_is_refused(client: Client, kind: str, endpoint: str) -> None:
    keys = Browser().keys if kind == "web_push" else None
    refused(
        client.rest("POST", "/api/devices", {"kind": kind, "endpoint": endpoint, "keys": keys}), 400, field="endpoint"
    )
    assert devices(client) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "kind"),
        ({"kind": "pager"}, "kind"),
        ({"kind": "email"}, "endpoint"),
        ({"kind": "email", "endpoint": "a@b@c"}, "endpoint"),
        ({"kind": "webhook", "endpoint": 5}, "endpoint"),
        ({"kind": "webhook", "endpoint": "https://x.example/" + "x" * 2000}, "endpoint"),
        ({"kind": "web_push", "endpoint": "https://x.example/"}, "keys"),
        ({"kind": "web_push", "endpoint": "https://x.example/", "keys": {"p256dh": "x", "auth": "y"}}, "keys.p256dh"),
        ({"kind": "email", "endpoint": "a@example.org", "name": "a\nb"}, "name"),
        ({"kind": "email", "endpoint": "a@example.org", "secret": "x"}, "secret"),
    ],
)
def test_a_bad_device_is_a_400_that_names_the_field(client: Client, fields: Json, field: str) -> None:
    refused(client.rest("POST", "/api/devices", fields), 400, field=field)
    refused(client.dapr("manage-devices", fields), 400, field=field)
    assert devices(client) == []


def test_nobody_touches_the_devices_of_another(system: System, client: Client) -> None:
    mine = register(client, kind="email", endpoint="a@example.org")
    other = system.client(unique_user("other"))
    assert devices(other) == []
    refused(other.rest("DELETE", f"/api/devices/{mine['id']}"), 404)
    refused(other.rest("POST", f"/api/devices/{mine['id']}/test"), 404)
    assert [device["id"] for device in devices(client)] == [mine["id"]]


def unsubscribe_path(system: System, client: Client) -> str:
    """The path of the link in the user's last mail."""
    eventually(lambda: system.mails(client.email), what="a mail came")
    for file in (system.mail / "new").glob("*"):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        if message["To"] == client.email:
            assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            link = str(message["List-Unsubscribe"]).strip("<>")
            assert link.startswith(system.url)
            return link.removeprefix(system.url)
    raise AssertionError("no mail")


def test_a_mail_is_ended_by_one_click_and_not_by_opening_the_link(system: System, client: Client) -> None:
    wait_delivered(client, remind(client)["id"])
    path = unsubscribe_path(system, client)
    stranger = system.client(None)
    asked = stranger.rest("GET", path)
    assert (asked.status_code, asked.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in asked.headers["content-security-policy"]
    assert expect(client.rest("GET", "/api/settings"))["email_notifications"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        done = stranger.rest("POST", path, content=b"List-Unsubscribe=One-Click", headers=form)
        assert (done.status_code, done.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert not expect(client.rest("GET", "/api/settings"))["email_notifications"]
    task = remind(client)
    assert [details["channel"] for details in wait_delivered(client, task["id"], count=1)] == ["in_app"]
    assert client.get(task["id"])["reminders"][0]["status"] == "sent"
    for wrong in ("x", path.rpartition("=")[2][:-2] + "AA", ""):
        refused(stranger.rest("POST", f"/api/unsubscribe?token={wrong}"), 400, field="token")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"time_zone": "Mars/X"}, "time_zone"),
        ({"time_zone": None}, "time_zone"),
        ({"quiet_hours": {"start": "22:00"}}, "quiet_hours.end"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "quiet_hours"),
        ({"digest_at": "24:00"}, "digest_at"),
        ({"email_notifications": "no"}, "email_notifications"),
        ({"theme": "dark"}, "theme"),
    ],
)
def test_a_bad_setting_is_a_400_that_names_the_field_and_changes_nothing(
    client: Client, fields: Json, field: str
) -> None:
    before = expect(client.rest("GET", "/api/settings"))
    refused(client.rest("PATCH", "/api/settings", fields), 400, field=field)
    assert expect(client.dapr("manage-settings")) == before


def test_quiet_hours_hold_all_but_in_app_until_they_end(near: Client, outside: Outside) -> None:
    now = datetime.now(UTC)
    quiet = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=1):%H:%M}"}
    expect(near.rest("PATCH", "/api/settings", {"quiet_hours": quiet}))
    title = f"quiet {uuid4()}"
    task = remind(near, title=title)
    assert [details["channel"] for details in wait_delivered(near, task["id"], count=1)] == ["in_app"]
    assert near.get(task["id"])["reminders"][0]["status"] == "pending"
    assert title not in outside.mail.subjects
    expect(near.dapr("manage-settings", {"quiet_hours": None}))
    wait_delivered(near, task["id"])
    assert outside.mail.subjects.count(title) == 1


def test_a_digest_comes_once(near: Client, outside: Outside) -> None:
    near.create("Rent", due_date="2026-01-01")
    now = datetime.now(UTC)
    expect(near.rest("PATCH", "/api/settings", {"digest_at": f"{now + timedelta(minutes=1):%H:%M}"}))
    rows = "update users set next_digest_at = now() where user_id = %s"
    outside.system.sql(rows, near.user_id)
    subject = f"Your tasks, {now:%Y-%m-%d}: 1 overdue"
    before = outside.mail.subjects.count(subject)
    eventually(lambda: outside.mail.subjects.count(subject) > before, timeout=90, what="the digest came")
    outside.system.sql(rows, near.user_id)
    eventually(
        lambda: outside.system.sql("select 1 from users where user_id = %s and next_digest_at > now()", near.user_id),
        timeout=90,
        what="the next tick came",
    )
    assert outside.system.sql("select status, attempts from digests where user_id = %s", near.user_id) == [
        {"status": "sent", "attempts": 1}
    ]
    assert outside.mail.subjects.count(subject) == before + 1


def test_what_a_mail_server_refused_for_good_is_a_dead_letter_and_can_be_sent_again(
    near: Client, outside: Outside
) -> None:
    outside.mail.refusal = "554 no"
    title = f"dead {uuid4()}"
    try:
        task = remind(near, title=title)
        (failed,) = eventually(lambda: deliveries(near, task["id"], "reminder.failed"), what="a dead letter")
    finally:
        outside.mail.refusal = ""
    assert "554 no" in failed["reason"]
    assert expect(near.rest("POST", "/api/notifications/redrive", {"reminder_id": str(uuid4())})) == {"redriven": 0}
    assert expect(near.rest("POST", "/api/notifications/redrive", {})) == {"redriven": 1}
    assert expect(near.dapr("redrive-notifications")) == {"redriven": 0}
    wait_delivered(near, task["id"])
    assert outside.mail.subjects.count(title) == 1


def test_a_mail_server_that_is_down_leaves_dead_letters_with_their_reason(near: Client, outside: Outside) -> None:
    outside.mail.down()
    title = f"down {uuid4()}"
    try:
        task = remind(near, title=title)
        in_app = wait_delivered(near, task["id"], count=1)
        assert lateness(in_app[0]) < 1
        (failed,) = eventually(lambda: deliveries(near, task["id"], "reminder.failed"), what="a dead letter")
        assert "the mail server does not answer" in failed["reason"]
    finally:
        outside.mail.up()
    expect(near.rest("POST", "/api/notifications/redrive", {}))
    wait_delivered(near, task["id"])
    assert outside.mail.subjects.count(title) == 1


def test_nothing_is_lost_or_doubled_when_the_functions_are_killed_while_they_send(new_system: Any) -> None:
    """One webhook that was being answered at that moment may come twice, under one id."""
    system: System = new_system({"TICKLER_WEBHOOK_ALLOW_PRIVATE": "true"})
    system.start()
    client = system.client(unique_user("killed"))
    with Peer() as hook:
        register(client, kind="webhook", endpoint=hook.url())
        when = due_in(4)
        tasks = [client.create(str(number), due_date=when, reminder_offset="PT0S") for number in range(100)]
        eventually(lambda: len(hook.requests) > 10, timeout=20, what="webhooks are called")
        system.kill("functions")
        system.wait_ended()
        system.start()
        eventually(
            lambda: all(client.get(task["id"])["reminders"][0]["status"] == "sent" for task in tasks),
            timeout=40,
            what="every reminder is delivered",
        )
        told = [_body(request)["task_id"] for request in hook.requests]
    assert set(told) == {task["id"] for task in tasks}
    assert len(told) <= len(tasks) + 1
    mails = [mail.subject for mail in system.mails(client.email)]
    assert len(set(mails)) == len(tasks)
    assert len(mails) <= len(tasks) + 1
    system.stop()


def _body(request: Request) -> Json:
    body: Json = json.loads(request.body)
    return body
