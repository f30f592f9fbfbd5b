"""Nobody reads or writes another user's data or does anything without a token; nothing of daprd is reachable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import unique_user
from tests.support.client import OPERATIONS, Api, Client, Json, Spelling, refused
from tests.support.system import System
from tests.support.waiting import eventually

SPELLINGS: list[Spelling] = ["rest", "dapr", "dapr-get"]


@dataclass
class Owner:
    """A user with a task, a tag and a history, and all that they see of it."""

    client: Client
    task: Json
    tag: Json

    def look(self) -> tuple[Any, ...]:
        return (
            self.client.tasks(),
            self.client.tags(),
            self.client.activity(),
            self.client.get(self.task["id"]),
        )

    @property
    def inputs(self) -> dict[str, Json]:
        """Good inputs of every operation, with this owner's ids."""
        task, tag = {"task_id": self.task["id"]}, {"tag_id": self.tag["id"]}
        reminder = {"reminder_id": self.task["reminders"][0]["id"]}
        return {
            "get": task,
            "update": {**task, "title": "stolen"},
            "replace": {**task, "title": "stolen"},
            "delete": task,
            "complete": task,
            "reopen": task,
            "skip": task,
            "reminders": task,
            "snooze": {**reminder, "minutes": 5},
            "cancel": reminder,
            "update_tag": {**tag, "name": "stolen"},
            "delete_tag": tag,
        }


@pytest.fixture(scope="module")
def owner(system: System) -> Owner:
    client = system.client(unique_user("owner"))
    task = client.create(
        "secret plan",
        tags=["secret"],
        due_date="2027-01-01T09:00:00Z",
        reminder_offset="PT1H",
        recurrence={"type": "daily"},
    )
    eventually(lambda: len(client.activity()) == 2, what="the activity log has the task and its tag")
    return Owner(client, task, client.tags()[0])


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "operation",
    [
        *("get", "update", "replace", "delete", "complete", "reopen", "skip"),
        *("reminders", "snooze", "cancel", "update_tag", "delete_tag"),
    ],
)
def test_another_users_id__is_not_found(
    system: System, owner: Owner, user: str, operation: str, spelling: Spelling
) -> None:
    """Another user's id and one that nobody has are told apart by nothing."""
    before = owner.look()
    stranger = system.client(user, {"X-Correlation-Id": "same"})
    inputs = owner.inputs[operation]
    name = next(iter(inputs))
    others = refused(Api(stranger, spelling)(operation, **inputs), 404, code=5)
    nobodys = refused(Api(stranger, spelling)(operation, **{**inputs, name: str(uuid4())}), 404, code=5)
    assert others == nobodys
    assert owner.look() == before
    assert not system.sql("select seq from users where user_id = %s and seq > 0", stranger.user_id)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_lists__show_only_ones_own(system: System, owner: Owner, user: str, spelling: Spelling) -> None:
    stranger = Api(system.client(user), spelling)
    own = stranger.client.create("mine", tags=["secret"])
    eventually(lambda: len(stranger.client.activity()) == 2, what="the stranger's log has the task and its tag")
    for filters in ({}, {"search": "plan"}, {"tags": "secret"}, {"tags_any": "secret"}, {"status": "open"}):
        seen = stranger.ok("list", **filters)["items"]
        assert [task["id"] for task in seen] == ([] if "search" in filters else [own["id"]])
    assert [tag["id"] for tag in stranger.ok("tags")["items"]] == [own["tags"][0]["id"]]
    for filters in ({"task_id": owner.task["id"]}, {"entity_id": owner.task["id"]}, {"entity_id": owner.tag["id"]}):
        assert stranger.ok("activity", **filters)["items"] == []
    assert {entry["entity_id"] for entry in stranger.ok("activity")["items"]} == {own["id"], own["tags"][0]["id"]}


def test_cursor__of_another_user_shows_nothing_of_theirs(system: System, user: str) -> None:
    rich, poor = system.client(f"rich-{user}"[:64]), system.client(user)
    for client, titles in ((rich, "abcdef"), (poor, "uvwxyz")):
        for title in titles:
            client.create(title)
        eventually(lambda client=client: len(client.activity()) == 6, what="the log has all tasks")  # type: ignore[misc]
    for operation, sort in (("list", {"sort_by": "title"}), ("list", {"sort_by": "created_at"}), ("activity", {})):
        cursor = Api(rich, "rest").ok(operation, limit=2, **sort)["next_cursor"]
        seen = Api(poor, "rest").ok(operation, cursor=cursor, **sort)["items"]
        theirs = {task["id"] for task in poor.tasks()}
        assert {item.get("entity_id", item["id"]) for item in seen} <= theirs


@pytest.mark.parametrize("spelling", ["rest", "dapr"])
def test_create__with_the_id_of_another_users_task_makes_ones_own(
    system: System, owner: Owner, user: str, spelling: Spelling
) -> None:
    before = owner.look()
    stranger = Api(system.client(user), spelling)
    task = stranger.ok("create", id=owner.task["id"], title="mine", recurrence={"type": "daily"}, due_date="2027-01-01")
    assert (task["id"], task["title"]) == (owner.task["id"], "mine")
    assert stranger.ok("complete", task_id=task["id"])["status"] == "completed"
    assert owner.look() == before


BAD_TOKENS = {
    "none": None,
    "empty": "",
    "no user": "Bearer dev:",
    "no scheme": "dev:someone",
    "another scheme": "Basic ZGV2OnNvbWVvbmU=",
    "lower case": "bearer dev:someone",
    "another token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzb21lb25lIn0.",
    "a space in it": "Bearer dev:some one",
    "two spaces": "Bearer  dev:someone",
    "a path": "Bearer dev:../someone",
    "SQL": "Bearer dev:' or 1=1 --",
    "a line break": "Bearer dev:someone%0d%0aX: y",
    "too long": "Bearer dev:" + "x" * 65,
    "two of them": "Bearer dev:a, Bearer dev:b",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_token__without_a_good_one_every_function_says_the_same(
    system: System, owner: Owner, operation: str, spelling: Spelling
) -> None:
    """401, with the same words whatever is wrong with it, also where the input is bad or the id unknown."""
    inputs = owner.inputs.get(operation, {})
    answers = []
    for token in BAD_TOKENS.values():
        headers = {"X-Correlation-Id": "same"} | ({} if token is None else {"Authorization": token})
        nobody = Api(system.client(None, headers), spelling)
        for given in (inputs, {**inputs, "colour": 1}, dict.fromkeys(inputs, "x")):
            answers.append(refused(nobody(operation, **given), 401, code=16))
    assert all(answer == answers[0] for answer in answers)


def test_token__without_one_nothing_changes(system: System, owner: Owner) -> None:
    before = owner.look()
    nobody = Api(system.client(None), "rest")
    for operation, inputs in owner.inputs.items():
        refused(nobody(operation, **inputs), 401)
    assert owner.look() == before


DAPRD = [
    "/v1.0/healthz",
    "/v1.0/healthz/outbound",
    "/v1.0/metadata",
    "/v1.0/metadata/x",
    "/v1.0/shutdown",
    "/v1.0/publish/pubsub/task.create",
    "/v1.0-alpha1/publish/bulk/pubsub/task.create",
    "/v1.0/state/state",
    "/v1.0/state/state/key",
    "/v1.0/secrets/secrets/PATH",
    "/v1.0/secrets/secrets/bulk",
    "/v1.0/configuration/x",
    "/v1.0/bindings/smtp",
    "/v1.0/bindings/reminder-tick",
    "/v1.0/actors/a/b/state",
    "/v1.0/workflows/dapr/x/start",
    "/v1.0-alpha1/lock/x",
    "/v1.0-alpha1/jobs/x",
    "/dapr/config",
    "/dapr/subscribe",
    "/v1.0/invoke/http://127.0.0.1:1/method/x",
    "/v1.0/invoke/http%3A%2F%2F127.0.0.1%3A1/method/x",
    "/v1.0/invoke/tickler/method/healthz",
    "/v1.0/invoke/tickler/method/create-task",
    "/v1.0/invoke/tickler/method/task.events",
    "/v1.0/invoke/create-task/method/list-tasks",
    "/v1.0/invoke/create-task/method/healthz",
    "/v1.0/invoke/list-tasks/method/list-tasks/",
    "/v1.0/invoke/list-tasks/method/list-tasks/x",
    "/v1.0/invoke/list-tasks/method/",
    "/v1.0/invoke/publish-outbox/method/publish-outbox",
    "/v1.0/invoke/due-reminders/method/due-reminders",
    "/v1.0/invoke/push-notification/method/push-notification",
    "/v1.0/invoke/spawn-recurrence/method/spawn-recurrence",
    "/v1.0/invoke/log-activity/method/log-activity",
    "/v1.0/invoke/bury-notification/method/bury-notification",
    "/v1.0/invoke/nothing/method/nothing",
    "/create-task",
    "/reminder-tick",
    "/task.events",
    "/metrics",
    "/config/",
    "/",
    "/index.html",
    "/docs/openapi.json",
    "/Makefile",
    "/.tickler/run.json",
]
TRICKS = [
    "/v1.0//metadata",
    "//v1.0/metadata",
    "/v1.0/./metadata",
    "/v1.0/x/../metadata",
    "/v1.0/invoke/../metadata",
    "/v1%2e0/metadata",
    "/v1.0%2fmetadata",
    "/V1.0/METADATA",
    "/v1.0/metadata%00",
    "/v1.0/metadata;x",
    "/v1.0\\metadata",
    "/v1.0/invoke/list-tasks/method/../../../metadata",
    "/v1.0/invoke/list-tasks/method/list-tasks/../../../../metadata",
    "/v1.0/invoke/list-tasks/method/list-tasks%2f..%2f..%2f..%2f..%2fmetadata",
    "/v1.0/invoke/list-tasks/method/..%2f..%2f..%2fmetadata",
    "/v1.0/invoke/list-tasks/method/list-tasks%00",
    "/v1.0/invoke/LIST-TASKS/method/LIST-TASKS",
    "/v1.0/invoke/list%2dtasks%2fmethod/x",
    "/v1.0/invoke/list-tasks/method/list-tasks%3f",
    "/api/../v1.0/metadata",
    "/api/tasks/../../v1.0/metadata",
    "/api/tasks/..%2f..%2fv1.0%2fmetadata",
    "/api/tasks/%2e%2e/%2e%2e/v1.0/metadata",
    "/api/openapi.json/../../Makefile",
    "/api/openapi.json/..%2f..%2fMakefile",
    "/api/tasks/",
    "/api/tasks%0a",
    "/API/TASKS",
    "http://127.0.0.1:1/v1.0/metadata",
]


@pytest.mark.parametrize("target", DAPRD + TRICKS)
def test_edge__nothing_else_is_reachable(system: System, owner: Owner, target: str) -> None:
    """Neither daprd's API, nor the functions that have no path, nor a file; by no spelling, method or header."""
    for headers in ({}, {"dapr-app-id": "tickler"}, {"Dapr-App-Id": "create-task", "dapr-api-token": "x"}):
        for verb, content in (("GET", None), ("POST", b'{"title": "x"}'), ("PUT", b"[]"), ("DELETE", None)):
            response = owner.client.rest(verb, target, headers=headers, content=content)
            error = refused(response, range(400, 500))
            assert error["code"] in (3, 5, 12), error


@pytest.mark.parametrize(
    "target", ["//api/tasks", "/api//tasks", "/api/./tasks", "/api/x/../tasks", "/api%2Ftasks", "/api/tasks?/../x"]
)
def test_edge__another_spelling_of_a_path_is_that_path_with_all_its_checks(
    system: System, owner: Owner, target: str
) -> None:
    nobody = system.client(None).rest("GET", target)
    assert nobody.status_code in (401, 404), nobody.text
    mine = owner.client.rest("GET", target)
    if mine.status_code == 200:
        assert mine.json()["items"] == owner.client.tasks()


@pytest.mark.parametrize("app", ["tickler", "create-task", "nothing", "http://127.0.0.1:1", "../x"])
def test_edge__an_app_id_in_a_header_changes_nothing(owner: Owner, app: str) -> None:
    answer = owner.client.rest("GET", "/api/tasks", headers={"dapr-app-id": app, "dapr-callee-app-id": app})
    assert answer.status_code == 200
    assert answer.json()["items"] == owner.client.tasks()


def test_edge__another_host_name_is_not_served(system: System, owner: Owner) -> None:
    """A page that rebinds its own name to this address reaches nothing."""
    for host in ("evil.example", "127.0.0.1.evil.example", f"evil.example:{system.port}"):
        refused(owner.client.rest("GET", "/api/tasks", headers={"Host": host}), 421)


def test_edge__no_other_site_may_read_an_answer(owner: Owner) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": owner.client.url}, {"Origin": "null"}):
        answer = owner.client.rest("GET", "/api/tasks", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_edge__says_nothing_of_what_is_behind_it(system: System, owner: Owner) -> None:
    for answer in (owner.client.rest("GET", "/api/tasks"), system.client(None).rest("GET", "/api/tasks")):
        assert not [name for name in answer.headers if name.startswith(("dapr", "grpc", "traceparent", "x-powered"))]


def test_edge__survives_what_is_no_http(system: System) -> None:
    """Garbage, half a request, and two lengths (request smuggling) end that connection and nothing else."""
    requests = [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /api/tasks HTTP/1.1\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n{}",
        b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /v1.0/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/v1.0/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    for request in requests:
        answer = system.send(request)
        assert b"200 OK" not in answer.split(b"\r\n", 1)[0], answer
        assert b"daprVersion" not in answer
        assert b'"runtimeVersion"' not in answer
    assert system.client(None).rest("GET", "/healthz").status_code == 200
