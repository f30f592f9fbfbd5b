"""The edge: nothing of daprd is reachable through it, by no path, header or trick; only what the API says."""

from __future__ import annotations

import pytest

from tests.conftest import unique_user
from tests.support.client import Client, refused
from tests.support.system import System


@pytest.fixture(scope="module")
def visitor(system: System) -> Client:
    """A user with a task, so that a list says whose it is."""
    client = system.client(unique_user("visitor"))
    client.create("seen by its owner")
    return client


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
    "/v1.0/secrets/secrets/TICKLER_DATABASE_URL",
    "/v1.0-beta1/workflows/dapr/x/start",
    "/v1.0-alpha1/subscribe/x",
    "/v1.0-alpha1/crypto/x/encrypt",
    "/v1.0-alpha2/conversation/x/converse",
    "/v1.0/actors/a/b/method/c",
    "/dapr.proto.runtime.v1.Dapr/GetMetadata",
    "/dapr.proto.runtime.v1.AppCallback/OnInvoke",
    "/dapr.proto.internals.v1.ServiceInvocation/CallLocal",
    "/v1.0/invoke/gateway/method/list-tasks",
    "/v1.0/invoke/list-tasks.default/method/list-tasks",
    "/v1.0/invoke/https://127.0.0.1:1/method/x",
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
    "/v1.0/invoke/relay-sync/method/relay-sync",
    "/v1.0/invoke/sync-hub/method/api/ws/tasks",
    "/v1.0/invoke/sync-hub/method/healthz",
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
def test_edge__nothing_else_is_reachable(system: System, visitor: Client, target: str) -> None:
    """Neither daprd's API, nor the functions that have no path, nor a file; by no spelling, method or header."""
    for headers in ({}, {"dapr-app-id": "tickler"}, {"Dapr-App-Id": "create-task", "dapr-api-token": "x"}):
        for verb, content in (("GET", None), ("POST", b'{"title": "x"}'), ("PUT", b"[]"), ("DELETE", None)):
            response = visitor.rest(verb, target, headers=headers, content=content)
            error = refused(response, range(400, 500))
            assert error["code"] in (3, 5, 12), error


@pytest.mark.parametrize(
    "target", ["//api/tasks", "/api//tasks", "/api/./tasks", "/api/x/../tasks", "/api%2Ftasks", "/api/tasks?/../x"]
)
def test_edge__another_spelling_of_a_path_is_that_path_with_all_its_checks(
    system: System, visitor: Client, target: str
) -> None:
    nobody = system.client(None).rest("GET", target)
    assert nobody.status_code in (401, 404), nobody.text
    mine = visitor.rest("GET", target)
    if mine.status_code == 200:
        assert mine.json()["items"] == visitor.tasks()


@pytest.mark.parametrize("app", ["tickler", "create-task", "nothing", "http://127.0.0.1:1", "../x"])
def test_edge__an_app_id_in_a_header_changes_nothing(visitor: Client, app: str) -> None:
    answer = visitor.rest("GET", "/api/tasks", headers={"dapr-app-id": app, "dapr-callee-app-id": app})
    assert answer.status_code == 200
    assert answer.json()["items"] == visitor.tasks()


def test_edge__another_host_name_is_not_served(system: System, visitor: Client) -> None:
    """A page that rebinds its own name to this address reaches nothing."""
    for host in ("evil.example", "127.0.0.1.evil.example", f"evil.example:{system.port}"):
        refused(visitor.rest("GET", "/api/tasks", headers={"Host": host}), 421)


def test_edge__no_other_site_may_read_an_answer(visitor: Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": visitor.url}, {"Origin": "null"}):
        answer = visitor.rest("GET", "/api/tasks", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_edge__says_nothing_of_what_is_behind_it(system: System, visitor: Client) -> None:
    for answer in (visitor.rest("GET", "/api/tasks"), system.client(None).rest("GET", "/api/tasks")):
        assert not [name for name in answer.headers if name.startswith(("dapr", "grpc", "traceparent", "x-powered"))]


STRICT = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/api/tasks", 200),
        ("HEAD", "/api/tasks", 200),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/healthz", 200),
        ("GET", "/api/unsubscribe?token=x", 400),
        ("GET", "/api/tasks/x", 400),
        ("GET", "/", 404),
        ("PATCH", "/api/tasks", 405),
        ("POST", "/api/tasks", 413),
    ],
)
def test_edge__every_answer_has_strict_headers(visitor: Client, verb: str, path: str, status: int) -> None:
    content = b"x" * 2_000_000 if status == 413 else None
    answer = visitor.rest(verb, path, content=content)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in STRICT} == STRICT
    assert "camera=()" in answer.headers["permissions-policy"]
    assert not {"server", "via", "strict-transport-security", "alt-svc"} & set(answer.headers)


def test_edge__passes_on_nothing_that_a_caller_says_of_tokens_between_the_parts(visitor: Client) -> None:
    for name in ("dapr-api-token", "Dapr-Api-Token", "DAPR-API-TOKEN"):
        assert visitor.rest("GET", "/api/tasks", headers={name: "wrong"}).status_code == 200


def test_edge__a_header_that_is_too_long_is_refused(visitor: Client) -> None:
    assert visitor.rest("GET", "/api/tasks", headers={"X-Long": "x" * 60_000}).status_code == 431


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
