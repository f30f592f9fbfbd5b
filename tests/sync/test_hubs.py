"""Hubs that die, stop hearing, or are two; and databases and Redis that are away for a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import unique_user
from tests.support.client import Client
from tests.support.sockets import Device, Hub, hub, token_of
from tests.support.system import System
from tools.kafka import obtain


@pytest.fixture
def token(client: Client) -> str:
    return token_of(client)


def test_a_hub_that_is_killed_is_started_again_and_nothing_is_missed(
    system: System, client: Client, token: str
) -> None:
    with hub(system) as own:
        with Device(own.url, token, after=0) as device:
            client.create("one")
            assert device.changes(1)[0]["seq"] == 1
            own.kill()
            assert device.closed() == 1006
        client.create("two")
        own.start()
        with Device(own.url, token, after=1) as device:
            client.create("three")
            assert [change["seq"] for change in device.changes(2)] == [2, 3]


def test_what_nobody_told_is_found_all_the_same(system: System, client: Client, token: str) -> None:
    """As when relay-sync's message is lost: a change that no function publishes."""
    with Device(client.url, token, after=0) as device:
        client.create("one")
        device.changes(1)
        system.sql(
            "with u as (update users set seq = seq + 1 where user_id = %s returning user_id, seq)"
            " insert into events (user_id, seq, event_id, type, entity_type, entity_id, occurred_at, correlation_id,"
            "  data, published_at)"
            " select user_id, seq, gen_random_uuid(), 'tag.created', 'tag', gen_random_uuid(), now(), '', '{}', now()"
            " from u",
            client.user_id,
        )
        assert device.changes(1, timeout=25)[0]["seq"] == 2


def test_what_is_no_truth_is_not_believed(system: System, client: Client, token: str) -> None:
    """A message of a seq that there is not, or that is nonsense, changes nothing."""
    with Device(client.url, token, after=0) as device:
        client.create("one")
        device.changes(1)
        for said in (f"{client.user_id} 99", "nonsense", f"{client.user_id} x", f"{client.user_id} -1"):
            system.sql("select pg_notify('tickler_changes', %s)", said)
        client.create("two")
        assert device.changes(1)[0]["seq"] == 2


def test_a_deleted_account_is_reset(system: System, client: Client, token: str) -> None:
    client.create("one")
    with Device(client.url, token, after=0) as device:
        device.ready()
        system.sql("delete from users where user_id = %s", client.user_id)
        while (message := device.next(timeout=25))["type"] == "heartbeat":
            pass
        assert message == {"type": "reset"}
        assert device.closed() == 4409


@pytest.fixture(scope="module")
def on_kafka() -> Iterator[System]:
    obtain()
    with System.running(mode="kafka") as system:
        yield system


class TestOnRedis:
    @pytest.fixture
    def second(self, on_kafka: System) -> Iterator[Hub]:
        with hub(on_kafka) as made:
            yield made

    def test_two_hubs_tell_the_same_and_any_part_may_die(self, on_kafka: System, second: Hub) -> None:
        client = on_kafka.client(unique_user("hubs"))
        token = token_of(client)
        with Device(client.url, token, after=0) as one, Device(second.url, token, after=0) as two:
            one.ready()
            two.ready()
            for n in range(10):
                client.create(f"{n}")
            assert one.changes(10) == two.changes(10)
            on_kafka.kill("redis")
            for n in range(10):
                client.create(f"without Redis {n}")
            assert [change["seq"] for change in one.changes(10, timeout=30)] == list(range(11, 21))
            assert [change["seq"] for change in two.changes(10, timeout=30)] == list(range(11, 21))
            on_kafka.kill("sync-hub")
            assert one.closed() in (1006, 1011)
            client.create("without one hub")
            assert two.changes(1)[0]["seq"] == 21
        logs = "".join(file.read_text(errors="replace") for file in (on_kafka.data / "logs").glob("*.log*"))
        assert token not in logs
