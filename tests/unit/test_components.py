"""The Dapr components of every environment: the same names, and what must not differ between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from functions.runtime.limits import Limits
from functions.runtime.render import HOST
from functions.runtime.sidecar import STATE
from functions.runtime.triggers import load
from tools.console import REPOSITORY

FOLDER = REPOSITORY / "components"
KINDS = {"pubsub": "pubsub", STATE: "state", "secrets": "secretstores"}
"""Names that the functions know, and what they are. Where they run is nothing that a function knows."""
SECRET = re.compile("password|secret|token|clientkey|accesskey", re.IGNORECASE)
"""Names of metadata that hold one."""
KEY_VAULT_NAME = re.compile("[0-9A-Za-z-]{1,127}")
"""https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates"""

Document = dict[str, Any]


def documents(kind: str) -> list[tuple[Path, Document]]:
    return [
        (file, document)
        for file in sorted(FOLDER.rglob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document.get("kind") == kind
    ]


def name_of(value: object) -> str:
    return str(value.relative_to(FOLDER)) if isinstance(value, Path) else ""


COMPONENTS = documents("Component")
every_component = pytest.mark.parametrize(("file", "component"), COMPONENTS, ids=name_of)
every_kafka = pytest.mark.parametrize(
    ("file", "component"),
    [(file, component) for file, component in COMPONENTS if component["spec"]["type"] == "pubsub.kafka"],
    ids=name_of,
)


def metadata(component: Document) -> dict[str, Document]:
    items = {item["name"]: item for item in component["spec"]["metadata"]}
    assert len(items) == len(component["spec"]["metadata"]), "something is said twice"
    return items


@every_component
def test_a_component_has_a_name_that_functions_know_and_a_file_of_that_name(file: Path, component: Document) -> None:
    name = component["metadata"]["name"]
    assert component["apiVersion"] == "dapr.io/v1alpha1"
    assert component["spec"]["type"].partition(".")[0] == KINDS[name]
    assert component["spec"]["version"] == "v1"
    assert file.stem == name


@every_component
def test_secrets_come_from_the_secret_store_and_everything_has_one_source(file: Path, component: Document) -> None:
    references = set()
    for name, item in metadata(component).items():
        (source,) = item.keys() - {"name"}
        assert source in ("value", "envRef", "secretKeyRef")
        assert isinstance(item[source], dict if source == "secretKeyRef" else str), "quote it: Dapr reads strings"
        assert source == "secretKeyRef" or not SECRET.search(name), f"{name} is a secret"
        if source == "secretKeyRef":
            references.add(item[source]["name"])
            # Key Vault has one value a secret, under the secret's own name; so the other stores have it, too.
            assert item[source]["key"] == item[source]["name"]
    if references:
        assert component["auth"] == {"secretStore": "secrets"}
    if FOLDER / "cloud" in file.parents:
        assert all(KEY_VAULT_NAME.fullmatch(name) for name in references)


USERS = {
    "pubsub": {f.name for f in load() if f.topics or f.sends},
    STATE: {f.name for f in load() if Limits in f.hints.values()},
    "secrets": {"push-notification", "send-digest", *(f.name for f in load() if f.https)},
}
"""The functions that use a component by themselves; of `secrets`, those that send mail, and those that have callers,
whose tokens they verify."""


@every_component
def test_a_component_is_for_the_functions_that_use_it(file: Path, component: Document) -> None:
    name = component["metadata"]["name"]
    expected = set(USERS[name])
    if name == "secrets" and FOLDER / "kafka" in file.parents:
        expected |= USERS[STATE]  # its password
    if name == "secrets" and FOLDER / "cloud" in file.parents:
        expected |= USERS[STATE] | USERS["pubsub"]
    if name == "secrets":
        expected.add("sync-hub")  # which verifies tokens
    host, *functions = component["scopes"]
    assert host == HOST
    assert set(functions) == expected
    assert len(functions) == len(expected)


class TestTopicScopes:
    made: ClassVar = [metadata(component) for _, component in COMPONENTS if component["metadata"]["name"] == "pubsub"]

    def scopes(self, name: str) -> dict[str, set[str]]:
        """As daprd reads them (pkg/scopes/scopes.go)."""
        value = self.made[0][name]["value"].replace(" ", "")
        return {app: set(topics.split(",")) for app, _, topics in (part.partition("=") for part in value.split(";"))}

    def test_are_the_same_for_each_broker(self) -> None:
        for name in ("allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes"):
            assert len({items[name]["value"] for items in self.made}) == 1

    def test_know_every_topic_and_protect_each(self) -> None:
        """An app without a scope of its own could use every topic that is not protected."""
        for name in ("allowedTopics", "protectedTopics"):
            topics = set(self.made[0][name]["value"].replace(" ", "").split(","))
            assert topics == set(yaml.safe_load((FOLDER / "kafka/topics.yaml").read_text())["topics"])

    def test_let_each_function_receive_what_triggers_it(self) -> None:
        scopes = self.scopes("subscriptionScopes")
        assert scopes.pop(HOST) == {topic.name for f in load() for topic in f.topics}
        assert scopes == {f.name: {topic.name for topic in f.topics} for f in load() if f.topics}

    def test_let_each_function_publish_what_it_sends_its_dead_letters_and_the_whole_change_log(self) -> None:
        scopes = self.scopes("publishingScopes")
        assert scopes["due-reminders"] == {"reminder.due"}
        assert scopes["log-activity"] == {"message.dlq"}
        assert scopes["push-notification"] == {"notification.dlq", "reminder.events", "task.events"}
        assert scopes["manage-tags"] == {"task.events", "reminder.events"}
        assert not scopes.keys() & {"bury-message", "list-tasks", "manage-settings", "gateway"}
        for function in load():
            assert set(function.sends) <= scopes.get(function.name, set())

    def test_let_publish_outbox_publish_every_dead_message_again(self) -> None:
        received = {topic.name for f in load() for topic in f.topics}
        assert received <= self.scopes("publishingScopes")["publish-outbox"]


@every_kafka
def test_every_kafka_is_asked_for_the_same(file: Path, component: Document) -> None:
    items = metadata(component)
    assert items["brokers"]["envRef"] == "TICKLER_KAFKA_BROKERS"
    # Else what was published before a function's first start would never reach it.
    assert items["initialOffset"]["value"] == "oldest"
    assert items["maxMessageBytes"]["value"] == "1000000"
    # The group is the app-id, so that each function gets every message; an attempt that failed is made again; and
    # nothing talks to a broker that could be anybody.
    assert not items.keys() & {"consumerGroup", "consumerID", "consumeRetryEnabled", "skipVerify", "disableTls"}
    if items["authType"]["value"] != "none":
        assert items["authType"]["value"] == "password"
        assert items["saslMechanism"]["value"] in ("PLAINTEXT", "SHA-256", "SHA-512")
        assert {"saslUsername", "saslPassword"} <= items.keys()


def test_a_component_is_there_once_in_each_environment() -> None:
    for folder in {file.parent for file in FOLDER.glob("*/pubsub.yaml")}:
        names = [component["metadata"]["name"] for file, component in COMPONENTS if file.parent == folder]
        assert sorted(names) == sorted(KINDS)
    # In the cloud a deployment takes one of each.
    cloud = {component["metadata"]["name"] for file, component in COMPONENTS if FOLDER / "cloud" in file.parents}
    assert cloud == KINDS.keys()


@pytest.mark.parametrize(("file", "policies"), documents("Resiliency"), ids=name_of)
def test_the_state_store_has_no_circuit_breaker(file: Path, policies: Document) -> None:
    """To Dapr an ETag that does not match is a failure like any other (pkg/components/state/bulk.go): with a breaker
    a caller who sends many requests at once would switch their own limit off."""
    targets = policies["spec"].get("targets", {}).get("components", {}).get(STATE, {})
    assert "circuitBreaker" not in targets.get("outbound", {})
