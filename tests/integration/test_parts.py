"""Between the parts of one system: who may call whom, and what for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from dapr.ext.grpc import App
from dapr.proto import api_v1

from tests.conftest import MODE, unique_user
from tests.support import parts
from tests.support.daprd import running_daprd
from tests.support.system import System
from tools.console import REPOSITORY
from tools.options import LOOPBACK
from tools.ports import free_ports

PUBSUB = REPOSITORY / "components/embedded/pubsub.yaml"


@pytest.fixture
def app(system: System) -> str:
    return "tickler" if MODE == "embedded" else "create-task"


def test_a_function_answers_to_its_sidecar_only(system: System, app: str) -> None:
    parts.app_refuses(system, app, "wrong")
    assert system.client(unique_user("parts")).create("by way of the sidecar")["title"]


def test_a_sidecar_answers_to_its_function_only(system: System, app: str) -> None:
    parts.sidecar_refuses(system, app, ("wrong",))


def test_a_sidecar_does_what_functions_need_and_nothing_else(system: System, app: str) -> None:
    parts.sidecar_has_nothing_else(system, app)


def test_a_secret_that_no_function_reads_is_not_given(system: System) -> None:
    app = "tickler" if MODE == "embedded" else "send-digest"
    for name in ("TICKLER_DATABASE_URL", "TICKLER_REDIS_PASSWORD", "DAPR_API_TOKEN", "APP_API_TOKEN", "PATH"):
        assert parts.secret_status(system, app, name) is grpc.StatusCode.PERMISSION_DENIED
    with system.sidecar(app) as sidecar:
        bulk = sidecar.GetBulkSecret(api_v1.GetBulkSecretRequest(store_name="secrets"), timeout=10)
    assert bulk.data.keys() <= {"TICKLER_SMTP_PASSWORD"}


def test_tokens_are_each_app_s_own_and_on_no_command_line(system: System) -> None:
    tokens = [app["api_token"] for app in system.run["apps"].values()]
    for process in system.processes():
        if process.pid == os.getpid():
            continue
        environment = process.environ()
        tokens += [environment[name] for name in ("APP_API_TOKEN",) if name in environment]
        if process.pid in (system.pid("postgres"), system.pid("mail")):
            assert not {"DAPR_API_TOKEN", "APP_API_TOKEN"} & environment.keys()
    # A function and its sidecar have the same two.
    assert len(set(tokens)) >= 2 * len(system.run["apps"])
    lines = [" ".join(process.cmdline()) for process in system.processes() if psutil.pid_exists(process.pid)]
    assert not [line for line in lines for token in tokens if token in line]


def test_an_unknown_topic_is_for_nobody(system: System, app: str) -> None:
    assert parts.publication_status(system, app, "task.other") is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("app_id", "publishes", "receives"),
    [
        ("create-task", {"task.events", "reminder.events", "message.dlq"}, {"task.create"}),
        ("due-reminders", {"reminder.due"}, set()),
        ("log-activity", {"message.dlq"}, {"task.events", "reminder.events"}),
        ("bury-message", set(), {"message.dlq"}),
    ],
)
def test_an_app_uses_its_own_topics_and_no_other(
    app_id: str, publishes: set[str], receives: set[str], tmp_path: Path
) -> None:
    """As daprd reads the component's file: for each broker the scopes are the same (tests/unit/test_components.py)."""
    topics = ("task.create", "task.events", "reminder.events", "reminder.due", "notification.send", "message.dlq")
    with running_daprd(app_id, [PUBSUB], tmp_path) as daprd:
        assert {topic for topic in topics if not daprd.refuses_to_publish(topic)} == publishes
        assert {topic for topic in topics if not daprd.refuses_to_subscribe(topic)} == receives


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of an app that answers to `list-tasks`."""
    app, (port,) = App(), free_ports(1)
    app.method("list-tasks")(lambda request: "answered")
    thread = threading.Thread(target=app.run, args=(port, LOOPBACK), daemon=True)
    thread.start()
    yield port
    app.stop()
    thread.join()


@pytest.mark.parametrize(("policy", "status"), [("kafka", 200), ("cloud/kubernetes", 403)])
def test_in_a_cluster_who_does_not_prove_to_be_the_gateway_invokes_nothing(
    answering: int, policy: str, status: int, tmp_path: Path
) -> None:
    """Here nobody can: that takes the cluster's Sentry."""
    env = {"TICKLER_DATA": str(tmp_path)}
    names, gateway = (REPOSITORY / "components" / name / "configuration.yaml" for name in ("kafka", "gateway"))
    asked = [names, REPOSITORY / "components" / policy / "configuration.yaml"]
    with (
        running_daprd("list-tasks", [], tmp_path, env, configurations=asked, app_port=answering),
        running_daprd("gateway", [], tmp_path, env, configurations=[gateway]) as door,
    ):
        url = f"http://{LOOPBACK}:{door.http_port}/v1.0/invoke/list-tasks/method/list-tasks"
        assert httpx.post(url, trust_env=False, timeout=10).status_code == status


@pytest.mark.parametrize("app_id", ["list-tasks", "gateway", "stranger"])
def test_an_app_that_needs_no_broker_has_none(app_id: str, tmp_path: Path) -> None:
    with running_daprd(app_id, [PUBSUB], tmp_path) as daprd:
        assert daprd.components() == set()
