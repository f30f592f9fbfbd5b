"""Rate limits on real state stores, through a real daprd that has the product's own component files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from functions.runtime.limits import Limit, Limits
from functions.tasks.errors import TooManyRequests
from tests.delivery.certificates import contexts
from tests.limits.redis_server import RedisServer, tls_in_front
from tests.support.daprd import Daprd, running_daprd, secret_store, start_daprd
from tests.support.waiting import eventually
from tools.console import REPOSITORY
from tools.options import LOOPBACK

TEN = Limit("ten", 10, timedelta(minutes=10))
EMBEDDED, KAFKA, CLOUD = (REPOSITORY / "components" / name for name in ("embedded", "kafka", "cloud"))
LIMITED = "manage-devices"
"""A function in the components' scopes."""


def resources(folder: Path) -> list[Path]:
    """All that a function gets of this environment but for the broker."""
    return [file for file in folder.glob("*.yaml") if file.name not in ("pubsub.yaml", "configuration.yaml")]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def on_redis(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daprd]:
    env = {"TICKLER_REDIS_HOST": redis.address}
    with running_daprd(LIMITED, resources(KAFKA), tmp_path_factory.mktemp("daprd"), env) as daprd:
        yield daprd


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daprd]:
    with running_daprd(LIMITED, resources(EMBEDDED), tmp_path_factory.mktemp("daprd")) as daprd:
        yield daprd


@pytest.fixture(scope="module")
def on_managed_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daprd]:
    """With a password, over TLS."""
    folder = tmp_path_factory.mktemp("managed")
    server = RedisServer(folder, "redis-secret")
    try:
        server.start()
        with tls_in_front(server.port, contexts(folder, LOOPBACK)[0]) as address:
            files = [CLOUD / "redis/state.yaml", secret_store(folder, {"tickler-redis-password": "redis-secret"})]
            with running_daprd(LIMITED, files, folder, {"TICKLER_REDIS_HOST": address}) as daprd:
                yield daprd
    finally:
        server.stop()


@pytest.fixture(params=["in_memory", "on_redis", "on_managed_redis"])
def daprd(request: pytest.FixtureRequest) -> Daprd:
    made: Daprd = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def user() -> UUID:
    return uuid4()


def passes(limits: Limits, limit: Limit, user: UUID, after: float = 0) -> bool:
    """Whether a request is let through that comes `after` seconds from now."""
    try:
        limits.take(limit, user, datetime.now(UTC) + timedelta(seconds=after))
    except TooManyRequests:
        return False
    return True


def test_of_many_at_once_exactly_the_limit_passes_whichever_replica_they_come_to(daprd: Daprd, user: UUID) -> None:
    replicas = [Limits(daprd.client()) for _ in range(3)]
    with capture_logs() as logs, ThreadPoolExecutor(30) as pool:
        passed = list(pool.map(lambda number: passes(replicas[number % 3], TEN, user), range(30)))
        assert passed.count(True) == 10
        assert not any(pool.map(lambda limits: passes(limits, TEN, user), replicas))
    assert logs == []


def test_a_limit_is_a_callers_own_and_one_function_s_own(daprd: Daprd, user: UUID) -> None:
    limits = Limits(daprd.client())
    one = Limit("one", 1, TEN.window)
    assert [passes(limits, one, user) for _ in range(2)] == [True, False]
    assert passes(limits, one, uuid4())
    assert passes(limits, Limit("another", 1, TEN.window), user)


def test_it_says_when_the_next_one_passes_and_that_one_does(daprd: Daprd, user: UUID) -> None:
    limits = Limits(daprd.client())
    now = datetime.now(UTC)
    for _ in range(TEN.count):
        limits.take(TEN, user, now)
    with pytest.raises(TooManyRequests) as refusal:
        limits.take(TEN, user, now)
    assert refusal.value.retry_after == pytest.approx(60)
    assert [passes(limits, TEN, user, after) for after in (58, 61, 61)] == [False, True, False]
    # A window later as many pass at once as at first, and no more.
    assert [passes(limits, TEN, user, 700) for _ in range(11)] == [True] * 10 + [False]


def test_nothing_is_left_behind_when_the_window_has_ended(on_redis: Daprd, redis: RedisServer, user: UUID) -> None:
    limits = Limits(on_redis.client())
    limits.take(Limit("short", 2, timedelta(seconds=2)), user, datetime.now(UTC))
    limits.take(TEN, user, datetime.now(UTC))
    short, ten = f"{LIMITED}||limit/short/{user}", f"{LIMITED}||limit/ten/{user}"
    assert redis.client.exists(short, ten) == 2
    assert 0 < redis.client.ttl(ten) <= 60
    eventually(lambda: not redis.client.exists(short), what="the record is gone")


class TestWhereTheStoreFails:
    """The request goes on, in bounded time, and the log says that it was not counted."""

    def goes_on(self, limits: Limits, user: UUID) -> None:
        began = time.monotonic()
        with capture_logs() as logs:
            assert passes(limits, TEN, user)
        assert time.monotonic() - began < 3
        assert [(log["event"], log["log_level"], log["limit"]) for log in logs] == [("not_limited", "warning", "ten")]

    @pytest.fixture
    def used_up(self, on_redis: Daprd, user: UUID) -> Limits:
        limits = Limits(on_redis.client())
        for _ in range(TEN.count):
            limits.take(TEN, user, datetime.now(UTC))
        assert not passes(limits, TEN, user)
        return limits

    def test_redis_is_down_and_comes_back(self, used_up: Limits, redis: RedisServer, user: UUID) -> None:
        redis.stop()
        try:
            for _ in range(3):
                self.goes_on(used_up, user)
        finally:
            redis.start()
        one = Limit("after", 1, TEN.window)
        eventually(lambda: not passes(used_up, one, user), what="requests are counted again")

    def test_redis_hangs(self, used_up: Limits, redis: RedisServer, user: UUID) -> None:
        redis.freeze()
        try:
            self.goes_on(used_up, user)
        finally:
            redis.thaw()
        eventually(lambda: not passes(used_up, TEN, user), what="requests are counted again")

    def test_redis_only_reads(self, on_redis: Daprd, redis: RedisServer, user: UUID) -> None:
        """As a replica does after a failover. Dapr calls that an ETag that does not match."""
        limits = Limits(on_redis.client())
        limits.take(TEN, user, datetime.now(UTC))
        redis.client.config_set("min-replicas-to-write", 1)
        try:
            self.goes_on(limits, user)
            self.goes_on(limits, uuid4())
        finally:
            redis.client.config_set("min-replicas-to-write", 0)

    def test_the_component_is_not_for_this_function(self, tmp_path: Path, user: UUID) -> None:
        with running_daprd("list-tasks", resources(EMBEDDED), tmp_path) as daprd:
            self.goes_on(Limits(daprd.client()), user)

    def test_a_sidecar_that_starts_meanwhile_ends_instead_of_running_without_limits(self, tmp_path: Path) -> None:
        nowhere = RedisServer(tmp_path)
        with start_daprd(LIMITED, resources(KAFKA), tmp_path, {"TICKLER_REDIS_HOST": nowhere.address}) as daprd:
            assert "connection refused" in daprd.refuses_to_start()
