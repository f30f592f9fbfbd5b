"""Between the parts where each function has a process and a sidecar."""

from __future__ import annotations

from pathlib import Path

import grpc
import httpx
import pytest

from tests.conftest import unique_user
from tests.support import parts
from tests.support.client import expect
from tests.support.daprd import running_daprd
from tests.support.system import System
from tools.console import REPOSITORY


@pytest.mark.parametrize("app", ["create-task", "log-activity"])
def test_a_function_answers_to_its_own_sidecar_only(kafka: System, app: str) -> None:
    other = kafka.run["apps"]["list-tasks"]["api_token"]
    parts.app_refuses(kafka, app, other)
    assert kafka.client(unique_user("parts")).create("by way of the gateway")["title"]


@pytest.mark.parametrize("app", ["gateway", "create-task", "list-tasks"])
def test_a_sidecar_answers_to_its_own_app_only(kafka: System, app: str) -> None:
    apps = kafka.run["apps"]
    parts.sidecar_refuses(kafka, app, ("wrong", apps["get-task"]["api_token"]))
    assert len({each["api_token"] for each in apps.values()}) == len(apps)


def test_the_gateway_invokes_and_does_nothing_else(kafka: System) -> None:
    gateway = kafka.run["apps"]["gateway"]
    headers = {"dapr-api-token": gateway["api_token"]}
    url = f"http://127.0.0.1:{gateway['http']}"
    token = {"Authorization": f"Bearer {kafka.signed_in(unique_user('gateway')).token}"}
    invoked = httpx.post(
        f"{url}/v1.0/invoke/list-tasks/method/list-tasks", json={}, headers=headers | token, trust_env=False, timeout=10
    )
    assert expect(invoked)["items"] == []
    for verb, path in parts.APIS:
        if "/invoke/" not in path:
            answer = httpx.request(verb, url + path, headers=headers, trust_env=False, timeout=10)
            assert answer.status_code in (404, 405), (verb, path, answer.text)


def test_a_function_s_sidecar_invokes_no_other_function(kafka: System) -> None:
    app = kafka.run["apps"]["create-task"]
    answer = httpx.post(
        f"http://127.0.0.1:{app['http']}/v1.0/invoke/list-tasks/method/list-tasks",
        json={},
        headers={"dapr-api-token": app["api_token"]},
        trust_env=False,
        timeout=10,
    )
    assert answer.status_code == 404
    parts.sidecar_has_nothing_else(kafka, "create-task")


@pytest.mark.parametrize(
    ("app", "topic"),
    [("create-task", "task.create"), ("due-reminders", "task.events"), ("log-activity", "task.events")],
)
def test_a_function_publishes_on_its_own_topics_only(kafka: System, app: str, topic: str) -> None:
    assert parts.publication_status(kafka, app, topic) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("app", ["list-tasks", "gateway"])
def test_what_needs_no_broker_has_none(kafka: System, app: str) -> None:
    code = parts.publication_status(kafka, app, "task.create")
    # The gateway has no such API at all.
    assert code is (grpc.StatusCode.UNIMPLEMENTED if app == "gateway" else grpc.StatusCode.INVALID_ARGUMENT)


def test_a_secret_is_for_those_that_read_one(kafka: System) -> None:
    assert parts.secret_status(kafka, "send-digest", "TICKLER_DATABASE_URL") is grpc.StatusCode.PERMISSION_DENIED
    assert parts.secret_status(kafka, "due-reminders", "TICKLER_SMTP_PASSWORD") is grpc.StatusCode.FAILED_PRECONDITION


def test_a_function_receives_its_own_topics_only(kafka: System, tmp_path: Path) -> None:
    """By another sidecar of that name, on the same Kafka."""
    env = {"TICKLER_KAFKA_BROKERS": kafka.run["kafka_brokers"]}
    with running_daprd("due-reminders", [REPOSITORY / "components/kafka/pubsub.yaml"], tmp_path, env) as daprd:
        for topic in ("task.events", "reminder.due", "notification.send"):
            assert daprd.refuses_to_subscribe(topic)
