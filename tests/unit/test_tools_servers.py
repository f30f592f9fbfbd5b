"""Which server is taken: the one that is given, else a container, else one of this machine. Nothing is started here;
Docker is a small HTTP server that answers as an engine without images and without a registry does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.supervising import supervised
from tools import cache, kafka, postgres, redis
from tools.console import OperatorError
from tools.containers import Containers, answers
from tools.processes import Supervisor
from tools.servers import Servers

NO_DOCKER = "unix:///nonexistent/docker.sock"


class Engine(BaseHTTPRequestHandler):
    """A Docker engine that has no image and cannot pull one."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.endswith("/version"):
            self._answer(200, json.dumps({"ApiVersion": "1.45", "Version": "27.0.0"}))
        elif path.endswith("/_ping"):
            self._answer(200, "OK")
        else:
            self._answer(404, json.dumps({"message": "no such thing"}))

    def do_POST(self) -> None:
        self._answer(500, json.dumps({"message": "Get https://registry.example/v2/:\ndial tcp: no such host"}))

    def _answer(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    with supervised(tmp_path) as supervisor:
        yield supervisor


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Native servers that are named and not started."""
    monkeypatch.setattr(kafka, "start", lambda supervisor, data, env, port: "native kafka")
    monkeypatch.setattr(redis, "start", lambda supervisor, data, env, port: "native redis")
    monkeypatch.setattr(postgres, "start", lambda supervisor, data, env: "native postgres")


def all_of(servers: Servers) -> list[str]:
    return [servers.kafka(), servers.redis(), servers.postgres()]


NATIVE = ["native kafka", "native redis", "native postgres"]


def test_where_no_docker_answers_they_are_of_this_machine(
    supervisor: Supervisor, tmp_path: Path, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER)
    assert not answers()
    assert all_of(Servers(supervisor, tmp_path, {})) == NATIVE


def test_docker_is_not_asked_when_it_never_is_wanted(
    supervisor: Supervisor, tmp_path: Path, native: None, engine: None
) -> None:
    assert answers()
    servers = Servers(supervisor, tmp_path, {"TICKLER_CONTAINERS": "never"})
    assert all_of(servers) == NATIVE
    servers.stop()


def test_a_docker_elsewhere_is_none_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    monkeypatch.setattr("tools.containers._ANSWER_SECONDS", 0.2)
    assert not answers()


@pytest.mark.parametrize(
    ("start", "given"),
    [
        (Servers.kafka, "TICKLER_KAFKA_BROKERS"),
        (Servers.redis, "TICKLER_REDIS_URL"),
        (Servers.postgres, "TICKLER_DATABASE_URL"),
    ],
)
def test_a_docker_that_cannot_give_the_image_is_one_line(
    supervisor: Supervisor, tmp_path: Path, native: None, engine: None, start: object, given: str
) -> None:
    assert callable(start)
    with pytest.raises(OperatorError) as failure:
        start(Servers(supervisor, tmp_path, {}))
    line = str(failure.value)
    assert "\n" not in line
    assert "cannot pull it: Get https://registry.example/v2/: dial tcp: no such host" in line
    assert line.endswith(f"or set {given} to one of your own, or TICKLER_CONTAINERS=never to do without Docker")


def test_the_switch_is_one_of_two_words(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="TICKLER_CONTAINERS is 'yes'; it must be auto or never"):
        Servers(supervisor, tmp_path, {"TICKLER_CONTAINERS": "yes"}).redis()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:secret@127.0.0.1:1", "Redis of TICKLER_REDIS_URL does not answer: .*; correct it, or unset"),
        ("secret", r"TICKLER_REDIS_URL is not a URL \(redis://"),
        ("redis://:secret@127.0.0.1:port", r"TICKLER_REDIS_URL is not a URL \(redis://"),
    ],
)
def test_a_given_redis_that_cannot_be_used_is_one_line_without_its_password(
    supervisor: Supervisor, tmp_path: Path, url: str, expected: str
) -> None:
    with pytest.raises(OperatorError, match=expected) as failure:
        Servers(supervisor, tmp_path, {"TICKLER_REDIS_URL": url}).redis()
    assert "\n" not in str(failure.value)
    assert "secret" not in str(failure.value)


def test_without_a_redis_server_the_way_to_mend_it_is_one_line(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="redis-server is not on PATH; install Redis, or set TICKLER_REDIS_URL"):
        redis.start(supervisor, tmp_path, {"PATH": str(tmp_path)}, 6379)


def test_the_containers_of_a_data_folder_keep_their_names_and_those_of_two_differ(tmp_path: Path, engine: None) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    name = Containers(first).container("redis")
    assert name == Containers(first).container("redis")
    assert name != Containers(second).container("redis")
    assert (first / "containers").stat().st_mode & 0o077 == 0
    assert [entry.name for entry in first.iterdir()] == ["containers"]


def test_two_that_obtain_the_same_wait_for_each_other_and_a_stop_ends_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with cache.only_one("kafka", lambda: None), pytest.raises(Stopped), cache.only_one("kafka", stop):
        pass
    (cache.folder("kafka") / "new-left").mkdir()
    with cache.only_one("kafka", stop):
        assert [entry.name for entry in cache.folder("kafka").iterdir()] == ["lock"]
