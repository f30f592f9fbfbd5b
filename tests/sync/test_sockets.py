"""/api/ws/tasks: every change after what a device has, in order and once; and who may hear it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from functions.tasks.accounts import ACCESS_LIFETIME
from tests.conftest import unique_user
from tests.support.client import Client, expect
from tests.support.sockets import Device, Hub, access_token, hub, token_of
from tests.support.system import System
from tests.support.waiting import eventually

EXPIRED = -ACCESS_LIFETIME.total_seconds()


@pytest.fixture
def token(client: Client) -> str:
    return token_of(client)


class TestWhatADeviceIsTold:
    def test_is_what_it_lacks_and_then_what_comes(self, client: Client, token: str) -> None:
        first = client.create("first", tags=["home"])
        with Device(client.url, token, after=0) as device:
            tag, created = device.changes(2)
            assert (tag["type"], tag["seq"], tag["tag"]["name"]) == ("tag.created", 1, "home")
            assert (created["type"], created["seq"], created["task"]) == ("task.created", 2, first)
            changed = client.patch(first["id"], title="changed")
            (told,) = device.changes(1)
            assert (told["type"], told["seq"], told["task"]) == ("task.updated", 3, changed)
            assert told["changes"] == {"title": ["first", "changed"]}

    def test_is_the_same_as_sync_changes_tells(self, client: Client, token: str) -> None:
        for n in range(3):
            client.create(f"task {n}", due_date="2027-01-31T09:00:00Z", reminder_offset="PT1H")
        told = expect(client.rest("GET", "/api/sync", query={"after": 0}))["changes"]
        with Device(client.url, token, after=0) as device:
            assert device.changes(3) == told

    def test_without_after_is_only_what_comes_from_now_on(self, client: Client, token: str) -> None:
        client.create("before")
        with Device(client.url, token) as device:
            assert device.ready() == 1
            client.create("after")
            (told,) = device.changes(1)
            assert (told["seq"], told["task"]["title"]) == (2, "after")

    def test_has_no_gap_and_no_repeat_while_changes_are_made(self, client: Client, token: str) -> None:
        """Devices connect at every moment of a run of changes, with every cursor."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                client.create("busy")

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        try:
            seq = 0
            for _ in range(15):
                with Device(client.url, token, after=seq) as device:
                    told = [change["seq"] for change in device.changes(20)]
                    assert told == list(range(seq + 1, seq + 21))
                    seq = told[10]
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    def test_goes_through_more_than_is_kept_in_memory(self, client: Client, token: str) -> None:
        for n in range(20):
            client.create(f"{n}", description="x" * 15_000)
        for n in range(150):
            client.create(f"{n}")
        with Device(client.url, token, after=0) as device, Device(client.url, token, after=7) as other:
            assert [change["seq"] for change in device.changes(170)] == list(range(1, 171))
            assert [change["seq"] for change in other.changes(163)] == list(range(8, 171))

    def test_is_never_another_users(self, system: System, client: Client, token: str) -> None:
        other = system.client(unique_user("other"))
        with Device(client.url, token, after=0) as device, Device(client.url, token_of(other), after=0) as theirs:
            device.ready()
            other.create(f"secret {uuid4()}")
            theirs.changes(1)
            client.create("mine")
            assert device.next()["task"]["title"] == "mine"

    def test_includes_what_became_of_reminders(self, client: Client, token: str) -> None:
        task = client.create("soon", reminders=[{"at": "2030-01-01T00:00:00Z"}])
        with Device(client.url, token, after=1) as device:
            snoozed = client.rest(
                "POST", f"/api/reminders/{task['reminders'][0]['id']}/snooze", {"until": "2030-01-02T00:00:00Z"}
            )
            expect(snoozed)
            (told,) = device.changes(1)
            assert (told["type"], told["task_id"]) == ("reminder.snoozed", task["id"])
            assert told["task"]["version"] == 2
            assert "dismissed" not in told["reminder"]

    @pytest.mark.parametrize("after", [7, 2**62])
    def test_is_reset_where_the_cursor_is_of_another_log(self, client: Client, token: str, after: int) -> None:
        with Device(client.url, token, after=after) as device:
            assert device.next() == {"type": "reset"}
            assert device.closed() == 4409

    def test_is_reset_where_the_log_does_not_go_back_so_far(self, system: System, client: Client, token: str) -> None:
        for n in range(3):
            client.create(f"{n}")
        eventually(lambda: len(client.activity()) == 3, what="the activity log has them")
        system.sql("delete from events where user_id = %s and seq < 3", client.user_id)
        with Device(client.url, token, after=1) as old, Device(client.url, token, after=2) as new:
            assert old.next() == {"type": "reset"}
            assert old.closed() == 4409
            assert [change["seq"] for change in new.changes(1)] == [3]


class TestWhoIsLetIn:
    @pytest.mark.parametrize("bad", ["", "x", "ey", "tkl_x", "x" * 5000])
    def test_nobody_with_a_bad_token(self, client: Client, bad: str) -> None:
        assert Device(client.url, bad).closed() == 4401
        with Device(client.url) as device:
            device.say(type="auth", token=bad)
            assert device.closed() == 4401

    def test_nobody_with_an_expired_token(self, system: System, client: Client) -> None:
        assert Device(client.url, access_token(system, client, EXPIRED)).closed() == 4401

    @pytest.mark.parametrize("said", [{}, {"token": None}, {"token": 1}, {"token": {}}])
    def test_nobody_without_a_token(self, client: Client, said: dict[str, object]) -> None:
        with Device(client.url) as device:
            device.say(type="auth", **said)
            assert device.closed() == 4401

    def test_who_says_nothing_is_closed(self, client: Client) -> None:
        with Device(client.url) as device:
            device.say(type="hello")
            device.socket.send("no json")
            assert device.closed(timeout=13) == 4408

    def test_whose_token_comes_as_the_first_message(self, client: Client, token: str) -> None:
        client.create("first")
        client.create("second")
        with Device(client.url) as device:
            device.say(type="auth", token=token, after=1)
            assert [change["seq"] for change in device.changes(1)] == [2]

    @pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30])
    def test_nobody_with_an_after_that_is_no_seq(self, client: Client, token: str, after: str) -> None:
        assert Device(client.url, token, after=after).closed() == 4400

    def test_a_personal_token_that_reads(self, system: System, client: Client) -> None:
        """It is refused once it was removed; until then it hears."""
        signed_in = access_token(system, client, 600)
        bearer = {"Authorization": f"Bearer {signed_in}"}
        client.create("there is a user")
        made = client.rest("POST", "/api/auth/tokens", {"name": "x", "scopes": ["list-tasks"]}, headers=bearer)
        assert Device(client.url, expect(made)["token"]).closed() == 4401
        for scope in ("read", "write"):
            made = client.rest("POST", "/api/auth/tokens", {"name": "x", "scopes": [scope]}, headers=bearer)
            with Device(client.url, expect(made)["token"], after=0) as device:
                assert device.changes(1)[0]["seq"] == 1

    def test_no_page_of_another_site(self, client: Client, token: str) -> None:
        for origin in ("https://evil.example", "null", client.url.replace("http:", "https:") + ".evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                Device(client.url, token, headers={"Origin": origin})
            assert refused.value.response.status_code == 403
        with Device(client.url, token, headers={"Origin": client.url}) as device:
            device.ready()

    def test_by_another_spelling_of_the_path_it_is_the_same(self, client: Client, token: str) -> None:
        with Device(f"{client.url}/", token) as device:
            device.ready()
        assert Device(f"{client.url}/", "x").closed() == 4401

    def test_no_other_host_name(self, system: System) -> None:
        answer = system.send(
            b"GET /api/ws/tasks HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 421 ")

    def test_what_is_no_socket_is_told_so(self, client: Client) -> None:
        assert client.rest("GET", "/api/ws/tasks").status_code == 404
        assert client.rest("POST", "/api/ws/tasks", {}).status_code == 405


class TestATokenThatExpires:
    def test_closes_the_socket(self, system: System, client: Client) -> None:
        with Device(client.url, access_token(system, client, -7), after=0) as device:
            device.ready()
            assert device.closed() == 4401

    def test_is_replaced_on_the_open_socket(self, system: System, client: Client, token: str) -> None:
        with Device(client.url, access_token(system, client, -6), after=0) as device:
            device.ready()
            device.say(type="auth", token=token)
            time.sleep(6)  # past the end of the first
            client.create("still here")
            assert device.changes(1)[0]["task"]["title"] == "still here"

    def test_is_not_replaced_by_another_users_or_a_bad_one(self, system: System, client: Client, token: str) -> None:
        for other in (token_of(system.client(unique_user("other"))), "x"):
            with Device(client.url, token, after=0) as device:
                device.ready()
                device.say(type="auth", token=other)
                assert device.closed() == 4401


class TestLimits:
    def test_of_a_user(self, system: System, own: Hub, client: Client, token: str) -> None:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(Device(own.url, token)).ready()
            assert Device(own.url, token).closed() == 4429
            other = token_of(system.client(unique_user("other")))
            stack.enter_context(Device(own.url, other)).ready()
        eventually(lambda: own.health()["sockets"] == 0, what="the hub has forgotten them")
        with Device(own.url, token) as device:
            device.ready()

    def test_of_a_hub(self, own: Hub) -> None:
        eventually(lambda: own.health()["sockets"] == 0, what="the hub is empty")
        with ExitStack() as stack:
            for _ in range(12):
                stack.enter_context(Device(own.url))
            eventually(lambda: own.health()["sockets"] == 12, what="the hub is full")
            assert Device(own.url).closed() == 1013

    def test_of_what_a_device_may_say(self, client: Client) -> None:
        with Device(client.url) as device:
            device.socket.send("x" * 20_000)
            assert device.closed() == 1009


def test_a_heartbeat_comes_when_nothing_else_does(client: Client, token: str) -> None:
    """And the edge keeps a silent socket for longer than it keeps a request."""
    client.create("one")
    with Device(client.url, token, after=0) as device:
        began = time.monotonic()
        assert device.changes(1)[0]["seq"] == 1
        beats = [device.next(timeout=25) for _ in range(5)]
        assert beats == [{"type": "heartbeat", "latest": 1}] * 5
        assert time.monotonic() - began > 60


def test_who_does_not_read_holds_up_nobody_and_is_closed(system: System, own: Hub, client: Client, token: str) -> None:
    """Its changes stay in the database meanwhile, not in the hub."""
    with Device(own.url, token, after=0, max_queue=1) as slow, Device(own.url, token, after=0) as quick:
        slow.ready()
        quick.ready()
        for _ in range(400):
            client.create("long", description="x" * 20_000)
        assert [change["seq"] for change in quick.changes(400, timeout=60)] == list(range(1, 401))
        eventually(lambda: own.health()["sockets"] == 1, timeout=60, what="the slow one is closed")
        client.create("after that")
        assert quick.changes(1)[0]["seq"] == 401
        assert slow.closed() in (4408, 1006)  # the code, where it still finds what is before it


def test_a_hub_that_is_told_to_stop_says_so_and_another_goes_on(system: System, client: Client, token: str) -> None:
    with hub(system) as one, hub(system) as two:
        client.create("one")
        with Device(one.url, token, after=0) as device:
            assert device.changes(1)[0]["seq"] == 1
            began = time.monotonic()
            one.terminate()
            assert time.monotonic() - began < 6
            assert device.closed() == 1012
        client.create("two")
        with Device(two.url, token, after=1) as device:
            assert device.changes(1)[0]["seq"] == 2


def test_no_log_has_a_token(system: System, client: Client) -> None:
    said = f"secret-{uuid4().hex}"
    assert Device(client.url, said).closed() == 4401
    with pytest.raises(InvalidStatus):
        Device(client.url, said, headers={"Origin": "https://evil.example"})
    with Device(client.url, token_of(client)) as device:
        device.ready()
    logs = "".join(file.read_text(errors="replace") for file in (system.data / "logs").glob("*.log*"))
    assert said not in logs
    assert "token=" not in logs
