"""The Dapr components of every environment: the same names, and what must not differ between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


@every_component
def test_only_functions_with_a_limit_get_the_state_store(file: Path, component: Document) -> None:
    if component["metadata"]["name"] == STATE:
        limited = [function.name for function in load() if Limits in function.hints.values()]
        assert component["scopes"] == [HOST, *limited]
    else:
        assert "scopes" not in component


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
