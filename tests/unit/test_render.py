"""What is rendered from the triggers: current, whole, and without two answers to one question."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.runtime import render
from functions.runtime.openapi import openapi
from functions.runtime.scopes import MARK, with_scopes
from functions.runtime.triggers import Function, load
from functions.tasks import events

CATALOGUE = load()
UUID = "01a207a2-3280-7d4b-a45f-90293695dcbc"

# The REST paths of the public API that functions serve, with a sample of each parameter.
REST = {
    ("POST", "/api/tasks"): "create-task",
    ("GET", "/api/tasks"): "list-tasks",
    ("GET", f"/api/tasks/{UUID}"): "get-task",
    ("PUT", f"/api/tasks/{UUID}"): "update-task",
    ("PATCH", f"/api/tasks/{UUID}"): "update-task",
    ("DELETE", f"/api/tasks/{UUID}"): "delete-task",
    ("POST", f"/api/tasks/{UUID}/complete"): "complete-task",
    ("POST", f"/api/tasks/{UUID}/reopen"): "complete-task",
    ("GET", "/api/tags"): "manage-tags",
    ("POST", "/api/tags"): "manage-tags",
    ("PATCH", f"/api/tags/{UUID}"): "manage-tags",
    ("DELETE", f"/api/tags/{UUID}"): "manage-tags",
    ("POST", "/api/recurrence/preview"): "preview-recurrence",
    ("GET", "/api/activity"): "list-activity",
    ("GET", "/api/sync"): "sync-changes",
    ("POST", "/api/auth/signup"): "issue-token",
    ("POST", "/api/auth/token"): "issue-token",
    ("POST", "/api/auth/refresh"): "issue-token",
    ("GET", "/.well-known/jwks.json"): "issue-token",
    ("POST", "/api/auth/signout"): "manage-tokens",
    ("POST", "/api/auth/password"): "manage-tokens",
    ("GET", "/api/auth/tokens"): "manage-tokens",
    ("POST", "/api/auth/tokens"): "manage-tokens",
    ("DELETE", f"/api/auth/tokens/{UUID}"): "manage-tokens",
}

_BLOCK = re.compile(r"^@(\S+) path_regexp path (\S+)\nhandle @(\S+) \{\n(.*?)^\}$", re.M | re.S)
_INVOKE = re.compile(r"@(\w+) method (\w+)\n\thandle @(\w+) \{\n\t\timport invoke (\S+) \4 \"(.*?)\"\n")


class Edge:
    """The rendered routes as Caddy reads them: a path's block, and the invocation for its method."""

    def __init__(self, text: str) -> None:
        self.blocks = [
            (name, pattern, {verb: (function, query) for _, verb, _, function, query in _INVOKE.findall(body)}, body)
            for name, pattern, _, body in _BLOCK.findall(text)
        ]

    def matching(self, path: str) -> list[dict[str, tuple[str, str]]]:
        return [targets for _, pattern, targets, _ in self.blocks if re.search(pattern, path)]

    def invoked(self, verb: str, path: str) -> tuple[str, str] | None:
        (targets,) = self.matching(path)
        return targets.get(verb)


EDGE = Edge(render.routes(CATALOGUE))


def test_no_rendered_file_is_stale() -> None:
    assert render.stale() == [], "run `make render` and commit"


class TestStale:
    def test_names_what_is_missing_differs_or_is_left_over(self, tmp_path: Path) -> None:
        for name, text in render.rendered().items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        assert render.stale(tmp_path) == []
        (tmp_path / "dapr.yaml").unlink()
        (tmp_path / "bindings/cron.yaml").write_text("changed")
        (tmp_path / "docs/events/task.exploded.json").write_text("{}")
        assert sorted(render.stale(tmp_path)) == ["bindings/cron.yaml", "dapr.yaml", "docs/events/task.exploded.json"]

    def test_makes_check_fail_with_a_line_for_each_and_writes_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(render, "stale", lambda: ["dapr.yaml", "docs/openapi.json"])
        monkeypatch.setattr(render, "ROOT", tmp_path)
        assert render.main(["--check"]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 2
        assert not any(tmp_path.iterdir())

    def test_is_mended_by_rendering(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        shutil.copytree(render.ROOT / "components", tmp_path / "components")
        for name in render.RENDERED:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        component = tmp_path / "components/kafka/pubsub.yaml"
        component.write_text(component.read_text().partition(MARK)[0] + MARK)
        left_over = tmp_path / "docs/events/task.exploded.json"
        left_over.parent.mkdir()
        left_over.write_text("{}")
        found = render.stale(tmp_path)
        monkeypatch.setattr(render, "stale", lambda: found)
        monkeypatch.setattr(render, "ROOT", tmp_path)
        assert render.main([]) == 0
        monkeypatch.undo()
        assert render.stale(tmp_path) == []
        assert not left_over.exists()

    def test_leaves_what_stands_before_the_mark(self, tmp_path: Path) -> None:
        file = tmp_path / "components/x/state.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(f"# by hand\n{MARK}scopes:\n- nobody\n")
        (tmp_path / "components/x/secrets.yaml").write_text("# whole\n")
        made = with_scopes(tmp_path, CATALOGUE, "host")
        assert made.keys() == {"components/x/state.yaml"}
        limited = ("issue-token", "manage-devices", "manage-tokens", "redrive-notifications")
        scopes = "".join(f"- {name}\n" for name in ("host", *limited))
        assert made["components/x/state.yaml"] == f"# by hand\n{MARK}scopes:\n{scopes}"


class TestRoutes:
    def test_are_read_in_full_by_this_test(self) -> None:
        text = render.routes(CATALOGUE)
        assert len(EDGE.blocks) == text.count("path_regexp path")
        assert sum(len(targets) for _, _, targets, _ in EDGE.blocks) == text.count("import invoke")

    @pytest.mark.parametrize(("verb", "path"), REST, ids=" ".join)
    def test_have_one_block_for_each_path_of_the_api(self, verb: str, path: str) -> None:
        assert len(EDGE.matching(path)) == 1
        invoked = EDGE.invoked(verb, path)
        assert invoked is not None
        assert invoked[0] == REST[verb, path]

    def test_have_no_two_blocks_of_one_name_or_path(self) -> None:
        assert max(Counter(name for name, *_ in EDGE.blocks).values()) == 1
        assert max(Counter(pattern for _, pattern, *_ in EDGE.blocks).values()) == 1

    def test_say_what_path_and_verb_say(self) -> None:
        task = "task_id={re.path.task_id}"
        assert EDGE.invoked("PUT", f"/api/tasks/{UUID}") == ("update-task", f"{task}&replace=true")
        assert EDGE.invoked("PATCH", f"/api/tasks/{UUID}") == ("update-task", task)
        assert EDGE.invoked("POST", f"/api/tasks/{UUID}/reopen") == ("complete-task", f"{task}&action=reopen")
        assert EDGE.invoked("GET", "/api/tags") == ("manage-tags", "action=list")

    @pytest.mark.parametrize("function", [f for f in CATALOGUE if f.https], ids=lambda function: function.name)
    def test_pass_the_dapr_spelling_through_exactly(self, function: Function) -> None:
        path = f"/v1.0/invoke/{function.name}/method/{function.name}"
        assert EDGE.invoked("POST", path) == (function.name, "")
        for other in (path + "/", path + "/x", path.replace("v1.0", "v1x0"), path + "x", path.replace("/method", "")):
            assert EDGE.matching(other) == []

    @pytest.mark.parametrize("function", [f for f in CATALOGUE if not f.https], ids=lambda function: function.name)
    def test_expose_no_function_without_http(self, function: Function) -> None:
        assert EDGE.matching(f"/v1.0/invoke/{function.name}/method/{function.name}") == []

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/api",
            "/api/tasks/",
            f"/api/tasks/{UUID}/",
            f"/api/tasks/{UUID}/x",
            f"/api/tasks/{UUID}/complete/x",
            "/api/tasks//complete",
            "/x/api/tasks",
            "/v1.0/metadata",
            "/v1.0/publish/pubsub/task.create",
            "/v1.0/invoke/http://example.com/method/x",
            "/v1.0/invoke/create-task/method/delete-task",
            "/v1.0/state/statestore",
        ],
    )
    def test_expose_nothing_else(self, path: str) -> None:
        assert EDGE.matching(path) == []

    def test_refuse_the_methods_that_a_path_does_not_take(self) -> None:
        for name, _, targets, body in EDGE.blocks:
            (allowed,) = re.findall(r'import refuse_method "(.*?)"', body)
            assert set(allowed.split(", ")) == set(targets), name


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


class TestSubscriptions:
    made = documents(render.subscriptions(CATALOGUE))

    def test_are_one_for_each_topic(self) -> None:
        topics = [document["spec"]["topic"] for document in self.made]
        assert sorted(topics) == sorted({topic.name for function in CATALOGUE for topic in function.topics})
        assert len({document["metadata"]["name"] for document in self.made}) == len(topics)

    def test_are_for_the_host_and_the_consumers(self) -> None:
        for document in self.made:
            topic = document["spec"]["topic"]
            consumers = [f.name for f in CATALOGUE if topic in [t.name for t in f.topics]]
            assert document["scopes"] == [render.HOST, *consumers]

    def test_have_a_route_for_every_event(self) -> None:
        """Rules without a default would drop what does not match."""
        for document in self.made:
            assert document["spec"]["routes"] == {"default": document["spec"]["topic"]}

    def test_name_the_dead_letter_topic(self) -> None:
        named = {document["spec"]["topic"]: document["spec"].get("deadLetterTopic") for document in self.made}
        sends = dict.fromkeys(events.SEND_TOPICS.values(), events.NOTIFICATION_DLQ)
        assert named == dict.fromkeys(named, events.MESSAGE_DLQ) | sends | {events.MESSAGE_DLQ: None}

    def test_take_any_bytes_where_dead_messages_come(self) -> None:
        raw = {document["spec"]["topic"]: document["spec"].get("metadata") for document in self.made}
        assert {topic: metadata for topic, metadata in raw.items() if metadata} == {
            events.MESSAGE_DLQ: {"rawPayload": "true"}
        }


def test_each_tick_is_an_input_binding_of_its_function_and_the_host() -> None:
    made = documents(render.cron_bindings(CATALOGUE))
    declared = [(cron, function) for function in CATALOGUE for cron in function.crons]
    assert len(made) == len(declared)
    for document, (cron, function) in zip(made, declared, strict=True):
        settings = {item["name"]: item["value"] for item in document["spec"]["metadata"]}
        assert (document["metadata"]["name"], document["spec"]["type"]) == (cron.binding, "bindings.cron")
        assert settings == {"schedule": cron.schedule, "direction": "input"}
        assert document["scopes"] == [render.HOST, function.name]


class TestRunFiles:
    @pytest.mark.parametrize("made", [render.dapr_yaml, render.dapr_embedded_yaml])
    def test_name_folders_that_there_are(self, made: Callable[[list[Function]], str]) -> None:
        (document,) = documents(made(CATALOGUE))
        for path in [*document["common"]["resourcesPaths"], document["common"]["configFilePath"]]:
            assert (render.ROOT / path).exists()

    def test_have_an_app_for_each_function_and_the_hub_and_the_gateway_without_one(self) -> None:
        (document,) = documents(render.dapr_yaml(CATALOGUE))
        gateway, *apps = document["apps"]
        assert gateway["appID"] == render.GATEWAY
        assert not {"command", "appPort"} & gateway.keys()
        hub = {"sync-hub": "functions.hub"}
        assert {app["appID"]: app["command"][-1] for app in apps} == {f.name: f.name for f in CATALOGUE} | hub

    def test_give_no_port_twice(self) -> None:
        (document,) = documents(render.dapr_yaml(CATALOGUE))
        ports = [value for app in document["apps"] for key, value in app.items() if key.lower().endswith("port")]
        assert len(ports) == len(set(ports)) == 4 * len(document["apps"]) - 1

    def test_have_the_same_components_by_name_in_every_environment(self) -> None:
        """Code never knows where it runs."""
        names = [
            {
                document["metadata"]["name"]
                for file in (render.ROOT / "components" / folder).glob("*.yaml")
                for document in documents(file.read_text())
                if "kind" in document
            }
            for folder in ("embedded", "kafka")
        ]
        assert names[0] == names[1]


class TestOpenApi:
    made = openapi(CATALOGUE)

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (path, verb, operation) for path, verbs in self.made["paths"].items() for verb, operation in verbs.items()
        ]

    def test_has_every_path_and_verb(self) -> None:
        documented = {(verb.upper(), path) for path, verb, _ in self.operations() if not path.startswith("/v1.0")}
        assert documented == {(trigger.verb, trigger.path) for f in CATALOGUE for trigger in f.https}

    def test_has_the_dapr_spelling_of_every_function_with_http(self) -> None:
        documented = {path for path in self.made["paths"] if path.startswith("/v1.0")}
        assert documented == {f"/v1.0/invoke/{f.name}/method/{f.name}" for f in CATALOGUE if f.https}

    def test_has_an_id_of_its_own_for_each_operation(self) -> None:
        ids = [operation["operationId"] for _, _, operation in self.operations()]
        assert len(ids) == len(set(ids))

    def test_declares_every_parameter_of_a_path(self) -> None:
        for path, verb, operation in self.operations():
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path)), (verb, path)

    def test_never_asks_for_what_path_or_verb_say(self) -> None:
        for function in CATALOGUE:
            for trigger in function.https:
                operation = self.made["paths"][trigger.path][trigger.verb.lower()]
                query = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                body = set(content.get("schema", {}).get("properties", {}))
                assert not (query | body) & trigger.fixed.keys()

    def test_refers_only_to_schemas_that_it_has(self) -> None:
        def references(node: Any) -> set[str]:
            if isinstance(node, dict):
                own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
                return own.union(*map(references, node.values()))
            return set().union(*map(references, node)) if isinstance(node, list) else set()

        schemas = {f"#/components/schemas/{name}" for name in self.made["components"]["schemas"]}
        assert references(self.made) <= schemas

    def test_documents_the_errors_of_the_api(self) -> None:
        for path, verb, operation in self.operations():
            assert {"200", "400", "401", "404", "409", "413", "503"} <= operation["responses"].keys(), (verb, path)

    def test_says_nothing_of_what_is_kept_and_not_answered(self) -> None:
        for name, schema in self.made["components"]["schemas"].items():
            assert not {"series_start", "reminder_specs"} & schema.get("properties", {}).keys(), name
