"""From requests and messages to arguments: nothing is dropped, nothing is said twice, nothing comes from nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from functions.runtime.inputs import bind, gather, read_event
from functions.runtime.triggers import Cron, Function, Http, Topic, load
from functions.tasks.errors import InvalidInput
from functions.tasks.events import Changes, RawMessage
from functions.tasks.models import Caller, CompleteTask, CreateTask, TaskRef, UpdateTask
from functions.tasks.query import ListActivity, ListTasks
from functions.tasks.tags import ManageTags

TASK = str(UUID(int=1))
USER = str(UUID(int=2))


def function(name: str) -> Function:
    return load([name])[0]


def gathered(name: str, verb: str = "POST", query: str = "", body: object = None) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return gather(function(name), verb, query, raw)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidInput) as error:
        call()
    return error.value.field


class TestBody:
    def test_is_the_inputs(self) -> None:
        assert gathered("create-task", body={"title": "a", "tags": ["b"]}) == {"title": "a", "tags": ["b"]}

    def test_may_be_left_out(self) -> None:
        assert gathered("create-task") == {}

    @pytest.mark.parametrize(
        "body",
        [
            b"not json",
            b"{",
            b'{"title": "a"} x',
            b"title=a",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": "\xff"}',
            b'{"a": "\\ud800"}',
            b"\xef\xbb\xbf{}",
            b"{'a': 1}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"\x00",
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_that_is_not_json_is_refused(self, body: bytes) -> None:
        assert refused(lambda: gathered("create-task", body=body)) == "body"

    @pytest.mark.parametrize("body", [[], [{"title": "a"}], "a", 1, True], ids=repr)
    def test_that_is_not_an_object_is_refused(self, body: object) -> None:
        assert refused(lambda: gathered("create-task", body=body)) == "body"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b'{"title": "a", "title": "b"}', "title"),
            (b'{"title": "a", "title": "a"}', "title"),
            (b'{"title": "a", "titl\\u0065": "b"}', "title"),
            (b'{"title": "a", "recurrence": {"type": "daily", "type": "weekly"}}', "type"),
            (b'{"title": "a", "reminders": [{"offset": "PT1H"}, {"offset": "PT1H", "offset": "PT2H"}]}', "offset"),
        ],
    )
    def test_that_says_a_name_twice_is_refused(self, body: bytes, field: str) -> None:
        assert refused(lambda: gathered("create-task", body=body)) == field

    def test_may_say_a_name_in_two_objects(self) -> None:
        body = {"title": "a", "reminders": [{"offset": "PT1H"}, {"offset": "PT2H"}], "n": -0.5e-7}
        assert gathered("create-task", body=body) == body

    def test_of_null_is_refused(self) -> None:
        assert refused(lambda: gathered("create-task", body=b"null")) == "body"

    @given(st.binary(max_size=40))
    def test_of_any_bytes_is_an_object_or_refused(self, body: bytes) -> None:
        try:
            inputs = gathered("create-task", body=body)
        except InvalidInput:
            return
        assert inputs == (json.loads(body) if body else {})


class TestQuery:
    def test_has_the_path_parameters_and_the_body_the_rest(self) -> None:
        inputs = gathered("update-task", "PATCH", f"task_id={TASK}", {"title": "b"})
        assert inputs == {"task_id": TASK, "title": "b"}

    def test_reads_numbers_and_booleans_where_the_field_is_one(self) -> None:
        query = "limit=20&overdue=true&search=true&tags=1,2&sort_order=asc"
        assert gathered("list-tasks", "GET", query) == {
            "limit": 20,
            "overdue": True,
            "search": "true",
            "tags": "1,2",
            "sort_order": "asc",
        }

    @pytest.mark.parametrize(
        ("name", "query", "model"),
        [
            (
                "list-tasks",
                "limit=200&overdue=false&priority=high,low&due_before=2026-11-23T09:00:00%2B01:00",
                ListTasks,
            ),
            ("list-tasks", "search=20&tags=2026&cursor=123&tags_any=true", ListTasks),
            ("list-activity", "from=2026-11-23T09:00:00Z&to=2026-11-24T09:00:00Z&offset=5&limit=1", ListActivity),
            ("get-task", f"task_id={TASK}", TaskRef),
        ],
    )
    def test_is_what_the_function_takes(self, name: str, query: str, model: type[BaseModel]) -> None:
        assert model.model_validate(gathered(name, "GET", query))

    @pytest.mark.parametrize(
        "query", ["limit=20x", "limit=", "limit=1.5", "limit=+5", "limit=%D9%A5", "overdue=1", "overdue=TRUE"]
    )
    def test_leaves_what_is_not_one_for_the_model_to_refuse(self, query: str) -> None:
        with pytest.raises(ValidationError):
            ListTasks.model_validate(gathered("list-tasks", "GET", query))

    def test_of_an_unknown_field_is_left_for_the_model_to_refuse(self) -> None:
        with pytest.raises(ValidationError):
            ListTasks.model_validate(gathered("list-tasks", "GET", "colour=red"))

    def test_decodes_percent_and_plus(self) -> None:
        assert gathered("list-tasks", "GET", "search=caf%C3%A9+au%20lait%26") == {"search": "café au lait&"}

    @pytest.mark.parametrize("query", ["search=%FF", "search=%C3%28", "&".join(f"a{n}=1" for n in range(101))])
    def test_that_is_malformed_is_refused(self, query: str) -> None:
        assert refused(lambda: gathered("list-tasks", "GET", query)) == "query"

    def test_that_names_a_field_twice_differently_is_refused(self) -> None:
        assert refused(lambda: gathered("list-tasks", "GET", "limit=1&limit=2")) == "limit"
        assert refused(lambda: gathered("update-task", "PATCH", f"task_id={TASK}", {"task_id": USER})) == "task_id"
        assert refused(lambda: gathered("manage-tags", "PATCH", "action=update", {"action": "delete"})) == "action"

    @pytest.mark.parametrize(
        ("name", "verb", "query", "body"),
        [
            ("update-task", "PATCH", f"task_id={TASK}", {"task_id": TASK}),
            ("list-tasks", "GET", "limit=5&limit=5", None),
            ("list-tasks", "GET", "overdue=true&overdue=true", None),
            ("update-task", "PUT", f"task_id={TASK}&replace=true", {"replace": True, "title": "a"}),
        ],
    )
    def test_that_names_a_field_twice_alike_is_taken(self, name: str, verb: str, query: str, body: object) -> None:
        assert gathered(name, verb, query, body)

    @given(st.dictionaries(st.sampled_from(["search", "cursor", "sort_by"]), st.text(st.characters(codec="utf-8"))))
    def test_of_text_arrives_as_it_was(self, fields: dict[str, str]) -> None:
        assert gathered("list-tasks", "GET", urlencode(fields)) == fields


class TestVerb:
    @pytest.mark.parametrize(
        ("name", "verb", "body", "model", "expected"),
        [
            ("update-task", "PUT", {"task_id": TASK, "title": "a"}, UpdateTask, {"replace": True}),
            ("update-task", "PATCH", {"task_id": TASK, "title": "a"}, UpdateTask, {"replace": False}),
            ("update-task", "POST", {"task_id": TASK, "title": "a"}, UpdateTask, {"replace": False}),
            ("manage-tags", "GET", {}, ManageTags, {"action": "list"}),
            ("manage-tags", "POST", {"name": "a"}, ManageTags, {"action": "create"}),
            ("manage-tags", "PATCH", {"tag_id": TASK}, ManageTags, {"action": "update"}),
            ("manage-tags", "DELETE", {"tag_id": TASK}, ManageTags, {"action": "delete"}),
            ("manage-tags", "POST", {"action": "list"}, ManageTags, {"action": "list"}),
            ("complete-task", "POST", {"task_id": TASK}, CompleteTask, {"action": "complete"}),
            ("complete-task", "POST", {"task_id": TASK, "action": "reopen"}, CompleteTask, {"action": "reopen"}),
        ],
    )
    def test_says_what_the_body_does_not(
        self, name: str, verb: str, body: dict[str, Any], model: type[BaseModel], expected: dict[str, Any]
    ) -> None:
        assert model.model_validate(gathered(name, verb, body=body)).model_dump(include=set(expected)) == expected

    def test_may_always_be_post_the_dapr_spelling(self) -> None:
        for one in load():
            if one.https:
                assert isinstance(gather(one, "POST", "", b"{}"), dict)

    @pytest.mark.parametrize(
        ("name", "verb"),
        [
            ("create-task", "GET"),
            ("list-tasks", "DELETE"),
            ("delete-task", "PUT"),
            ("get-task", "NONE"),
            ("get-task", ""),
        ],
    )
    def test_that_the_function_does_not_have_is_refused(self, name: str, verb: str) -> None:
        assert refused(lambda: gathered(name, verb)) == "method"


class TestReadEvent:
    def read(self, name: str, message: object, identity: str = "e-1") -> tuple[Any, Caller | None]:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        return read_event(function(name), data, identity)

    def command(self, **fields: Any) -> dict[str, Any]:
        return {"user_id": USER, "command": {"title": "a"}} | fields

    def test_of_a_change_is_the_change(self) -> None:
        message = {
            **{"event_id": TASK, "type": "task.created", "user_id": USER, "seq": 3, "entity_type": "task"},
            **{"occurred_at": "2026-11-23T09:00:00Z", "entity_id": TASK, "data": {"task": {}}, "later": 1},
        }
        changes, caller = self.read("log-activity", {"events": [message], "later": 1})
        assert isinstance(changes, Changes)
        assert [(event.seq, event.user_id) for event in changes.events] == [(3, UUID(USER))]
        assert caller is None

    def test_of_a_command_is_the_inputs_and_the_user_they_are_for(self) -> None:
        message = self.command(name="Ann", email="ann@example.com", correlation_id="c-1")
        inputs, caller = self.read("create-task", message)
        assert isinstance(inputs, CreateTask)
        assert inputs.title == "a"
        assert caller == Caller(
            user_id=UUID(USER), name="Ann", email="ann@example.com", correlation_id="c-1", by_message=True
        )

    def test_without_a_correlation_id_has_the_events(self) -> None:
        _, caller = self.read("create-task", self.command())
        assert caller is not None
        assert caller.correlation_id == "e-1"

    @pytest.mark.parametrize("command", [{"title": "a"}, {"title": "a", "id": None}], ids=["absent", "null"])
    def test_without_an_id_has_one_of_the_event_so_that_again_is_the_same(self, command: dict[str, Any]) -> None:
        first, second, other = (
            self.read("create-task", self.command(command=command), identity)[0].id
            for identity in ("e-1", "e-1", "e-2")
        )
        assert first is not None
        assert first == second != other

    def test_with_an_id_keeps_it(self) -> None:
        inputs, _ = self.read("create-task", self.command(command={"title": "a", "id": TASK}))
        assert str(inputs.id) == TASK

    @pytest.mark.parametrize("data", [b"\xff\x00", b"", b'{"user_id": 1}'])
    def test_of_a_dead_message_is_its_bytes(self, data: bytes) -> None:
        assert self.read("bury-message", data) == (RawMessage(data=data), None)

    @pytest.mark.parametrize(
        "message",
        [
            b"not json",
            b"",
            [],
            {},
            {"command": {"title": "a"}},
            {"user_id": "1", "command": {"title": "a"}},
            {"user_id": USER},
            {"user_id": USER, "command": "create"},
            {"user_id": USER, "command": {}},
            {"user_id": USER, "command": {"title": ""}},
            {"user_id": USER, "command": {"title": "a", "surprise": 1}},
            {"user_id": USER, "command": {"title": "a", "time_zone": "Mars"}},
            {"user_id": USER, "command": {"title": "a\x00b"}},
            {"user_id": USER, "command": {"title": "a", "recurrence": {"type": "fortnightly"}}},
            {"user_id": USER, "command": {"title": "a"}, "name": "a\x00b"},
            {"user_id": USER, "command": {"title": "a"}, "email": "a\x00b"},
            {"user_id": USER, "command": {"title": "a"}, "correlation_id": "a\x00b"},
        ],
        ids=repr,
    )
    def test_that_cannot_be_read_is_a_value_error_or_invalid_input(self, message: object) -> None:
        with pytest.raises((ValueError, InvalidInput)):
            self.read("create-task", message)


class _Store:
    """A dependency."""


class _Other:
    """One that nothing provides."""


CALLER = Caller(user_id=UUID(USER), name="Ann")
STORE = _Store()


def wanting_all(command: TaskRef, caller: Caller, store: _Store, now: datetime) -> tuple[Any, ...]:
    return command, caller, store, now


def wanting_nothing() -> str:
    return "done"


def wanting_the_unknown(command: TaskRef, other: _Other) -> None: ...


def failing_inside(command: TaskRef) -> None:
    TaskRef.model_validate({})


def untyped_default(command: TaskRef, limit: int = 5) -> None: ...


def of(handler: Callable[..., Any]) -> Function:
    return Function("a-function", handler, (Http("GET", "/a"), Topic("t"), Cron("c", "@every 1s")))


class TestBind:
    def test_fills_in_what_a_handler_asks_for_by_type(self) -> None:
        command = TaskRef(task_id=uuid4())
        before = datetime.now(UTC)
        got = bind(of(wanting_all), {_Store: STORE})(command, CALLER)
        assert got[:3] == (command, CALLER, STORE)
        assert before <= got[3] <= before + timedelta(minutes=1)
        assert got[3].tzinfo is UTC

    def test_gives_the_time_of_each_call(self) -> None:
        call = bind(of(wanting_all), {_Store: STORE})
        command = TaskRef(task_id=uuid4())
        assert call(command, CALLER)[3] <= call(command, CALLER)[3]

    def test_needs_nothing_where_a_handler_asks_for_nothing(self) -> None:
        assert bind(of(wanting_nothing), {})(None, None) == "done"

    def test_tells_a_model_that_fails_inside_from_an_input_that_is_wrong(self) -> None:
        with pytest.raises(RuntimeError):
            bind(of(failing_inside), {})(TaskRef(task_id=uuid4()), CALLER)

    @pytest.mark.parametrize("handler", [wanting_the_unknown, untyped_default, wanting_all])
    def test_of_what_nothing_provides_is_an_error_at_start(self, handler: Callable[..., Any]) -> None:
        with pytest.raises(TypeError, match="a-function: nothing provides"):
            bind(of(handler), {})
