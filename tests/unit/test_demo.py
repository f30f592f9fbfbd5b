"""The demo's ledger and its client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tools import demo
from tools.demo_edge import Account, Edge, Refused, Unreachable
from tools.demo_ledger import Ledger
from tools.demo_plan import plan

DEMO = Account("demo-1@tickler.localhost", "correct horse")
SIGN_IN = ("POST", "/v1.0/invoke/issue-token/method/issue-token", {"action": "token", **asdict(DEMO)})
SIGNED_IN = (200, {"access_token": "t", "expires_in": 900})

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)


# the ledger


def test_ledger__resumes_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    planned = plan(NOW, 4)
    soon = next(item for item in planned if item.soon is not None)
    ledger = Ledger.begin(DEMO, planned, path)
    ledger.record(created=planned[0].id)
    ledger.record(sent=soon.id, due_date="2026-03-28T12:00:05.000+00:00")
    ledger.record(sent=soon.id, due_date="2026-03-28T12:00:09.000+00:00")
    ledger.record(created=soon.id)
    ledger.record(completed=planned[0].id)
    path.write_text(path.read_text(encoding="utf-8") + '{"created": "cut sho', encoding="utf-8")

    resumed = Ledger.resume(path)
    assert (resumed.user, resumed.planned) == (DEMO, planned)
    assert (resumed.created, resumed.completed) == ({planned[0].id, soon.id}, {planned[0].id})
    assert [item.body.get("due_date") for item in resumed.accepted() if item.soon is not None] == [
        "2026-03-28T12:00:09.000+00:00"
    ]
    resumed.record(created=planned[1].id)
    assert Ledger.resume(path).created == {planned[0].id, soon.id, planned[1].id}


def test_ledger__never_mixes_two_runs(tmp_path: Path) -> None:
    Ledger.begin(DEMO, plan(NOW, 0), tmp_path / "ledger.jsonl")
    assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        Ledger.begin(Account("demo-2@tickler.localhost", "x"), plan(NOW, 0), tmp_path / "ledger.jsonl")


@pytest.mark.parametrize("text", ["", "not JSON\n", '{"created": "x"}\n', '{"user": "demo-1", "planned": [{'])
def test_ledger__refuses_a_file_without_a_plan(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is no ledger"):
        Ledger.resume(path)


# the client


@pytest.fixture
def served() -> Iterator[tuple[str, list[tuple[int, Any]], list[tuple[str, str, Any]]]]:
    """A server's URL, the answers it is to give in turn, and the requests that came."""
    answers: list[tuple[int, Any]] = []
    requests: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            requests.append((self.command, self.path, json.loads(self.rfile.read(length) or b"null")))
            status, answer = answers.pop(0)
            if status == 0:  # as a killed server does
                self.close_connection = True
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", answers, requests
        server.shutdown()
        thread.join()


def test_edge__repeats_what_a_restart_interrupts(served: Any) -> None:
    url, answers, requests = served
    answers += [SIGNED_IN, (503, {}), (0, None), (502, {}), (200, {"id": "a"})]
    attempts = count(1)
    answer = Edge(url, DEMO, patience=30).call("create-task", lambda: {"attempt": next(attempts)})
    assert answer.body == {"id": "a"}
    path = "/v1.0/invoke/create-task/method/create-task"
    assert requests == [SIGN_IN, *(("POST", path, {"attempt": n}) for n in (1, 2, 3, 4))]


def test_edge__does_not_repeat_what_was_refused(served: Any) -> None:
    url, answers, requests = served
    answers += [SIGNED_IN, (404, {"code": 5})]
    with pytest.raises(Refused) as refusal:
        Edge(url, DEMO, patience=30).call("get-task", query={"task_id": "a b"})
    assert refusal.value.status == 404
    assert requests == [SIGN_IN, ("GET", "/v1.0/invoke/get-task/method/get-task?task_id=a+b", None)]


def test_edge__signs_in_again_before_its_token_expires(served: Any) -> None:
    url, answers, requests = served
    short = (200, {"access_token": "t", "expires_in": 60})
    answers += [short, (200, {}), SIGNED_IN, (200, {}), (200, {})]
    edge = Edge(url, DEMO, patience=0)
    for _ in range(3):
        edge.call("list-tasks")
    assert [request == SIGN_IN for request in requests] == [True, False, True, False, False]


def test_edge__takes_an_account_that_is_there_for_the_answer_that_was_lost(served: Any) -> None:
    url, answers, requests = served
    answers += [(0, None), (409, {"code": 6})]
    Edge(url, DEMO, patience=30).sign_up()
    assert [request[2]["action"] for request in requests] == ["signup", "signup"]


def test_edge__gives_up_when_its_patience_ends(served: Any) -> None:
    url, answers, requests = served
    answers += [SIGNED_IN] + [(503, {"message": "try again"})] * 3
    with pytest.raises(Unreachable, match=r"list-tasks: 503 .*try again"):
        Edge(url, DEMO, patience=0.5).call("list-tasks")
    assert 3 <= len(requests) <= 4


def test_demo__says_how_to_start_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert demo.main(["--url", url]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"demo: no answer at {url}: start it with `make run`")
    assert said.count("\n") == 1
