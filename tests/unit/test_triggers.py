"""The catalogue of functions: one small, described module each, run by what it declares and nothing else."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import functions
from functions.runtime.triggers import Cron, Function, Http, Topic, cron, http, load, names, on, sends
from functions.tasks import events

CATALOGUE = load()
PACKAGE = Path(functions.__file__).parent
TOPICS = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}


def by_name(function: Function) -> str:
    return function.name


@http("POST", "/api/things")
@http("PUT", "/api/things/{thing_id}", replace=True)
@on("thing.create", dead_letter="thing.dlq")
@cron("thing-tick", "@every 2s")
@sends("thing.events")
def manage_things() -> None: ...


def of(handler: object) -> Function:
    assert callable(handler)
    return Function("manage-things", handler, handler.triggers)  # type: ignore[attr-defined]


class TestDeclaring:
    def test_keeps_the_triggers_in_the_order_they_are_read(self) -> None:
        assert of(manage_things).triggers == (
            Http("POST", "/api/things"),
            Http("PUT", "/api/things/{thing_id}", {"replace": True}),
            Topic("thing.create", "thing.dlq"),
            Cron("thing-tick", "@every 2s"),
        )

    def test_has_dead_letters_though_nothing_says_so(self) -> None:
        @on("thing.events")
        def log_things() -> None: ...

        assert of(log_things).topics == [Topic("thing.events", "message.dlq")]

    def test_leaves_the_handler_as_it_is(self) -> None:
        manage_things()
        assert manage_things.__name__ == "manage_things"

    def test_counts_what_it_sends_as_no_trigger(self) -> None:
        assert manage_things.__dict__["sends"] == ("thing.events",)
        assert {function.name: function.sends for function in CATALOGUE}["due-reminders"] == (events.REMINDER_DUE,)

    def test_sorts_them_by_kind(self) -> None:
        function = of(manage_things)
        assert [trigger.verb for trigger in function.https] == ["POST", "PUT"]
        assert [trigger.name for trigger in function.topics] == ["thing.create"]
        assert [trigger.binding for trigger in function.crons] == ["thing-tick"]


class TestLoad:
    def test_knows_a_function_for_each_module(self) -> None:
        modules = {path.stem.replace("_", "-") for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
        assert set(names()) == modules == {function.name for function in CATALOGUE}

    def test_loads_what_is_asked_for(self) -> None:
        assert [function.name for function in load(["get-task", "create-task"])] == ["get-task", "create-task"]

    @pytest.mark.parametrize("name", ["no-such", "create_task", "runtime", "__main__", "", "../create-task"])
    def test_of_an_unknown_one_says_which_there_are(self, name: str) -> None:
        with pytest.raises(LookupError) as error:
            load([name])
        assert repr(name) in error.value.args[0]
        assert "create-task" in error.value.args[0]

    def test_names_them_without_importing_them(self) -> None:
        script = (
            "import sys; from functions.runtime.triggers import names; "
            "print([n for n in names() if 'functions.' + n.replace('-', '_') in sys.modules])"
        )
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("function", CATALOGUE, ids=by_name)
class TestEachFunction:
    def test_is_a_small_module(self, function: Function) -> None:
        lines = inspect.getsource(inspect.getmodule(function.handler) or function.handler).splitlines()
        assert len(lines) < 150

    def test_says_what_it_does(self, function: Function) -> None:
        name, _, text = function.summary.partition(": ")
        assert name == function.name
        assert text.endswith(".")

    def test_has_a_trigger(self, function: Function) -> None:
        assert function.triggers

    def test_has_types_everywhere(self, function: Function) -> None:
        assert set(function.hints) == {*inspect.signature(function.handler).parameters, "return"}

    def test_takes_a_model_where_something_is_sent_to_it(self, function: Function) -> None:
        if function.https or function.topics:
            assert function.input is not None
            assert issubclass(function.input, BaseModel)

    def test_takes_every_parameter_of_its_paths_and_verbs(self, function: Function) -> None:
        for trigger in function.https:
            in_path = {part[1:-1] for part in trigger.path.split("/") if part.startswith("{")}
            assert function.input is not None
            assert in_path | trigger.fixed.keys() <= function.input.model_fields.keys()

    def test_consumes_a_topic_that_there_is(self, function: Function) -> None:
        for topic in function.topics:
            assert topic.name in TOPICS
            assert topic.dead_letter is None or topic.dead_letter in TOPICS


def test_every_topic_has_a_consumer() -> None:
    assert {topic.name for function in CATALOGUE for topic in function.topics} == TOPICS


def test_every_message_ends_with_the_dead_messages_whatever_fails() -> None:
    dead_letters = {topic.name: topic.dead_letter for function in CATALOGUE for topic in function.topics}
    for name in dead_letters:
        passed = [name]
        while (following := dead_letters[passed[-1]]) is not None:
            assert following not in passed
            passed.append(following)
        assert passed[-1] == events.MESSAGE_DLQ


def test_what_takes_any_bytes_says_so() -> None:
    """daprd hands over a CloudEvent's payload elsewhere, and gives up what is none."""
    for function in CATALOGUE:
        for topic in function.topics:
            assert topic.raw == (function.input is events.RawMessage), function.name


def test_the_functions_of_a_topic_subscribe_alike() -> None:
    """daprd keeps one subscription a topic and app."""
    declared = {topic for function in CATALOGUE for topic in function.topics}
    assert len(declared) == len({topic.name for topic in declared})


def test_each_path_and_verb_runs_one_function() -> None:
    routes = [(trigger.verb, trigger.path) for function in CATALOGUE for trigger in function.https]
    assert len(routes) == len(set(routes))


def test_each_tick_runs_one_function() -> None:
    ticks = [trigger.binding for function in CATALOGUE for trigger in function.crons]
    assert len(ticks) == len(set(ticks))
