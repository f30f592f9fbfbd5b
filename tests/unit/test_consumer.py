"""A message: four attempts, only for the functions that failed, none for a database that is out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import structlog
from cloudevents.sdk.event.v1 import Event as CloudEvent
from structlog.testing import capture_logs

from functions.runtime.consumer import consumer
from functions.runtime.inputs import bind
from functions.runtime.outages import Outages
from functions.runtime.triggers import Function, Topic
from functions.tasks.errors import AlreadyExists, NotFound, Outage, Unavailable
from functions.tasks.events import Event

TOPIC = "thing.events"
OUT = Outage("the database does not answer")


class Thing(Event):
    name: str


class Clock:
    """Instead of waiting: notes the pauses, and says after how many the host is told to stop."""

    def __init__(self, stop_after: int = 1_000_000) -> None:
        self.pauses: list[float] = []
        self._stop_after = stop_after

    def __call__(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) >= self._stop_after


class Worker:
    """A function that fails as it is told to, call after call, and then works."""

    def __init__(self, *failures: Exception, name: str = "make-thing", dead_letter: str | None = "thing.dlq") -> None:
        self._failures: Iterator[Exception] = iter(failures)
        self.calls = 0
        topics = (Topic(TOPIC, dead_letter), Topic("thing.other", "thing.dlq"))
        self.function = Function(name, self.run, topics)

    @classmethod
    def always(cls, failure: Exception, **options: Any) -> Worker:
        worker = cls(**options)
        worker._failures = itertools.repeat(failure)
        return worker

    def run(self, event: Thing) -> None:
        self.calls += 1
        for failure in self._failures:
            raise failure


def message(data: bytes | None = None) -> CloudEvent:
    event = CloudEvent()  # type: ignore[no-untyped-call]  # the library has no types
    event.SetEventID("e-1")
    event.SetData(json.dumps({"name": "a"}).encode() if data is None else data)
    return event


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        yield entries
    structlog.contextvars.clear_contextvars()


def consume(*workers: Worker, clock: Clock | None = None, data: bytes | None = None) -> str:
    """What daprd is told."""
    handlers: Iterable[tuple[Function, Callable[..., Any]]] = [(w.function, bind(w.function, {})) for w in workers]
    answer = consumer(TOPIC, list(handlers), clock or Clock())(message(data))
    return str(answer.status.name)


def test_one_that_is_handled_is_acknowledged(logs: list[Any]) -> None:
    worker, clock = Worker(), Clock()
    assert consume(worker, clock=clock) == "success"
    assert (worker.calls, clock.pauses) == (1, [])
    (entry,) = logs
    assert (entry["event"], entry["function"], entry["topic"], entry["event_id"]) == (
        "consumed", "make-thing", TOPIC, "e-1"
    )  # fmt: skip


@pytest.mark.parametrize(
    "failure", [NotFound("task"), Unavailable("the mail server does not answer"), ValueError("a bug")], ids=repr
)
def test_one_that_fails_each_time_goes_to_the_dead_letters_after_four_attempts(
    logs: list[Any], failure: Exception
) -> None:
    worker, clock = Worker.always(failure), Clock()
    assert consume(worker, clock=clock) == "drop"
    assert worker.calls == 4
    assert clock.pauses == [0.4, 0.8, 1.6]
    assert [(entry["event"], entry.get("attempt")) for entry in logs] == [
        *(("failed", attempt) for attempt in (1, 2, 3, 4)),
        ("dead_letter", None),
    ]
    assert {entry["event_id"] for entry in logs} == {"e-1"}


def test_one_that_this_version_cannot_read_is_attempted_too_and_the_log_says_why(logs: list[Any]) -> None:
    worker, clock = Worker(), Clock()
    assert consume(worker, clock=clock, data=b'{"name": ["s3cr3t"]}') == "drop"
    assert (worker.calls, len(clock.pauses)) == (0, 3)
    failed = [entry for entry in logs if entry["event"] == "failed"]
    assert len(failed) == 4
    assert all("name: " in entry["reason"] and "s3cr3t" not in str(entry) for entry in failed)


def test_one_that_was_carried_out_before_is_no_failure(logs: list[Any]) -> None:
    worker = Worker(AlreadyExists("a task with this id was deleted"))
    assert consume(worker) == "success"
    assert [entry["event"] for entry in logs] == ["done_before"]


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_one_that_fails_less_often_is_handled_once(logs: list[Any], failures: int) -> None:
    worker = Worker(*[Unavailable("busy")] * failures)
    assert consume(worker) == "success"
    assert worker.calls == failures + 1
    assert [entry["event"] for entry in logs].count("consumed") == 1


def test_only_the_function_that_failed_gets_it_again(logs: list[Any]) -> None:
    fine, failing, worse = Worker(name="fine"), Worker(ValueError(), name="failing"), Worker.always(ValueError())
    assert consume(fine, failing, worse) == "drop"
    assert [worker.calls for worker in (fine, failing, worse)] == [1, 2, 4]
    assert next(entry["functions"] for entry in logs if entry["event"] == "dead_letter") == ["make-thing"]


def test_a_database_that_is_out_burns_no_attempt_however_long(logs: list[Any]) -> None:
    worker, clock = Worker(*[OUT] * 9, ValueError("a bug"), *[OUT] * 2), Clock()
    assert consume(worker, clock=clock) == "success"
    assert worker.calls == 13
    assert clock.pauses[:9] == [0.4, 0.8, 1.6, *[2.0] * 6]
    assert clock.pauses[9:] == [0.4, 0.4, 0.8], "one attempt, and another outage"
    assert [entry["event"] for entry in logs] == [*["waiting"] * 9, "failed", *["waiting"] * 2, "consumed"]


def test_a_database_that_is_out_holds_up_the_function_that_needs_it_only(logs: list[Any]) -> None:
    fine, out = Worker(name="fine"), Worker(*[OUT] * 9)
    assert consume(fine, out) == "success"
    assert (fine.calls, out.calls) == (1, 10)


def test_a_host_that_stops_gives_it_back_while_the_database_is_out() -> None:
    worker = Worker.always(OUT)
    with pytest.raises(Outage):
        consume(worker, clock=Clock(stop_after=3))
    assert worker.calls == 3


def test_a_host_that_stops_gives_it_back_between_two_attempts() -> None:
    worker = Worker.always(ValueError())
    with pytest.raises(Unavailable):
        consume(worker, clock=Clock(stop_after=2))
    assert worker.calls == 2


def test_where_there_are_no_dead_letters_it_is_tried_until_it_works(logs: list[Any]) -> None:
    worker, clock = Worker(*[ValueError()] * 20, dead_letter=None), Clock()
    assert consume(worker, clock=clock) == "success"
    assert worker.calls == 21
    assert max(clock.pauses) == 2.0


class TestSitOut:
    def test_is_what_the_work_answers(self) -> None:
        clock, failures = Clock(), [OUT, OUT]

        def work() -> str:
            if failures:
                raise failures.pop()
            return "done"

        assert Outages(clock).sit_out(work) == "done"
        assert clock.pauses == [0.4, 0.8]

    def test_is_for_the_database_only(self) -> None:
        def work() -> None:
            raise Unavailable("the mail server does not answer")

        clock = Clock()
        with pytest.raises(Unavailable):
            Outages(clock).sit_out(work)
        assert clock.pauses == []
