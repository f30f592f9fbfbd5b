"""The brokers of components/cloud as Dapr uses them: loaded as they are, with only addresses, credentials and the
certificate authority given, against a real Kafka that demands SASL and TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kafka.secured import PLAIN_USERS, SCRAM_PASSWORD, SCRAM_USER, SecuredKafka
from tests.support.daprd import running_daprd, secret_store, start_daprd
from tools.console import REPOSITORY

CLOUD = REPOSITORY / "components" / "cloud"
PASSWORD, AUTHORITY = "tickler-kafka-password", "tickler-kafka-ca"
"""Names in the secret store."""


@dataclass(frozen=True)
class Access:
    """What a deployment gives a component: the environment of its sidecar, and its secrets."""

    env: dict[str, str]
    secrets: dict[str, str] = field(repr=False)

    def files(self, component: str, folder: Path) -> list[Path]:
        return [CLOUD / component / "pubsub.yaml", secret_store(folder, self.secrets)]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with SecuredKafka(tmp_path_factory.mktemp("kafka")).running() as kafka:
        yield kafka


def access(kafka: SecuredKafka, component: str) -> Access:
    brokers = {"TICKLER_KAFKA_BROKERS": kafka.brokers}
    system_authority = {"SSL_CERT_FILE": str(kafka.authority)}
    match component:
        case "confluent":
            env = {**brokers, **system_authority, "TICKLER_KAFKA_USERNAME": "key"}
            return Access(env, {PASSWORD: PLAIN_USERS["key"]})
        case "event-hubs":
            return Access({**brokers, **system_authority}, {PASSWORD: PLAIN_USERS["$ConnectionString"]})
        case _:
            env = {**brokers, "TICKLER_KAFKA_USERNAME": SCRAM_USER}
            return Access(env, {PASSWORD: SCRAM_PASSWORD, AUTHORITY: kafka.authority.read_text()})


TOPICS = {"confluent": "task.create", "event-hubs": "task.events", "redpanda": "reminder.due"}
COMPONENTS = list(TOPICS)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_message_is_published_and_received(kafka: SecuredKafka, component: str, tmp_path: Path) -> None:
    given = access(kafka, component)
    topic, app_id = TOPICS[component], "tickler"  # the components' scopes have both
    kafka.create_topic(topic)
    with running_daprd(app_id, given.files(component, tmp_path), tmp_path, given.env) as daprd:
        daprd.publish(topic, b'{"n": 1}')
        # Published before the group was: `initialOffset` is oldest.
        assert json.loads(daprd.receive(topic)) == {"n": 1}
    # The consumer group is the app-id.
    assert app_id in kafka.groups()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_wrong_password_is_refused(kafka: SecuredKafka, component: str, tmp_path: Path) -> None:
    given = access(kafka, component)
    wrong = Access(given.env, {**given.secrets, PASSWORD: "wrong"})
    with start_daprd("tickler", wrong.files(component, tmp_path), tmp_path, wrong.env) as daprd:
        assert "SASL Authentication failed" in daprd.refuses_to_start()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_broker_with_another_certificate_is_refused(kafka: SecuredKafka, component: str, tmp_path: Path) -> None:
    given = access(kafka, component)
    env = {name: value for name, value in given.env.items() if name != "SSL_CERT_FILE"}
    unknown = Access(env, {PASSWORD: given.secrets[PASSWORD]})
    with start_daprd("tickler", unknown.files(component, tmp_path), tmp_path, unknown.env) as daprd:
        assert "certificate signed by unknown authority" in daprd.refuses_to_start()
