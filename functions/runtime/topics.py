"""Makes Kafka's topics what components/kafka/topics.yaml says: `python -m functions.runtime.topics [table]`.

It may run at any time and twice: it creates what is missing, corrects the retention, and never removes anything.
Settings are `TICKLER_KAFKA_...`, see KafkaSettings. Exit status: 0; 1 when the brokers do not answer or refuse; 2 when
a setting, the table or a topic has to be changed first.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import yaml
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TABLE = Path(__file__).parents[2] / "components" / "kafka" / "topics.yaml"
_WAIT_SECONDS = 60
_ANSWER_SECONDS = 30
_RETENTION = "retention.ms"
_BROKER = r"(\[[0-9A-Fa-f:]+\]|[^\s,:/]+):\d+"
_PREFIX = "TICKLER_KAFKA_"


class KafkaSettings(BaseSettings):
    """How to reach Kafka, from the environment: `TICKLER_KAFKA_BROKERS` and so on."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    brokers: str = Field(default="", description="host:port[,host:port]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str = Field(
        default="", description="PEM file of who signed the brokers' certificates; empty: the system's"
    )
    replication: int = Field(default=-1, ge=-1, description="replicas of a new topic; -1: the brokers' default")

    @model_validator(mode="after")
    def _whole(self) -> KafkaSettings:
        if not re.fullmatch(rf"{_BROKER}(,{_BROKER})*", self.brokers):
            raise ValueError(f"{_PREFIX}BROKERS must be host:port[,host:port]")
        if self.security_protocol.startswith("SASL") != bool(self.username):
            raise ValueError(f"{_PREFIX}SECURITY_PROTOCOL=SASL_... and {_PREFIX}USERNAME go together")
        return self

    def options(self) -> dict[str, str | int | float | bool]:
        """Those of any client of librdkafka; errors are told by exceptions only."""
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.brokers,
            "security.protocol": self.security_protocol,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 0,
        }
        if self.username:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password.get_secret_value(),
            }
        if self.ca_file:
            options["ssl.ca.location"] = self.ca_file
        return options

    def admin(self) -> AdminClient:
        """A client that has yet to connect."""
        return AdminClient(self.options())


class TopicConfig(BaseModel):
    """A row of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: Annotated[int, Field(ge=1)]
    retention: Annotated[timedelta, Field(gt=timedelta(0))]

    @property
    def retention_ms(self) -> str:
        """The retention as Kafka has it, in milliseconds."""
        return str(self.retention // timedelta(milliseconds=1))


class Table(BaseModel):
    """components/kafka/topics.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")], TopicConfig], Field(min_length=1)]


@dataclass(frozen=True)
class Found:
    """A topic as the brokers have it."""

    partitions: int
    retention_ms: str


class TopicsError(Exception):
    """Lines that say what has to be changed first, and how."""


def read_table(path: Path = TABLE) -> dict[str, TopicConfig]:
    """The table. Raises TopicsError when it cannot be read."""
    try:
        return Table.model_validate(yaml.safe_load(path.read_text())).topics
    except (OSError, yaml.YAMLError) as error:
        raise TopicsError(f"{path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise TopicsError(f"{path}: {said(error)}") from error


def check_partitions(table: Mapping[str, TopicConfig], found: Mapping[str, Found]) -> None:
    """Raises TopicsError, a line a topic, where one has fewer partitions than the table says.

    They are not added here: a key's later messages would go to another partition and overtake its earlier ones
    (https://kafka.apache.org/documentation/#basic_ops_modify_topic).
    """
    lines = [
        f"{name} has {found[name].partitions} partitions and the table says {wanted.partitions}: adding some would "
        f"break the order per key; set `partitions: {found[name].partitions}` in {TABLE.name}, or stop what publishes, "
        f"wait until the lag of its groups is 0, and run kafka-topics.sh --alter --topic {name} "
        f"--partitions {wanted.partitions}"
        for name, wanted in table.items()
        if name in found and found[name].partitions < wanted.partitions
    ]
    if lines:
        raise TopicsError("\n".join(lines))


def apply(admin: AdminClient, table: Mapping[str, TopicConfig], *, replication: int = -1) -> list[str]:
    """Makes the brokers' topics those of the table; a line a topic says what was done.

    Raises TopicsError, before anything is changed, as `check_partitions` does; KafkaException when the brokers refuse.
    """
    found = _found(admin, table)
    check_partitions(table, found)
    _create(admin, {name: wanted for name, wanted in table.items() if name not in found}, replication)
    _retain(admin, {name: table[name] for name in found if found[name].retention_ms != table[name].retention_ms})
    return [f"{name}: {_done(wanted, found.get(name))}" for name, wanted in table.items()]


def _done(wanted: TopicConfig, found: Found | None) -> str:
    if found is None:
        return f"created with {wanted.partitions} partitions, retention {_days(wanted.retention_ms)}"
    if found.retention_ms != wanted.retention_ms:
        return f"retention {_days(wanted.retention_ms)}, was {_days(found.retention_ms)}"
    return "unchanged"


def _days(milliseconds: str) -> str:
    return "without end" if milliseconds == "-1" else f"{int(milliseconds) / 86_400_000:g} d"


def _found(admin: AdminClient, table: Mapping[str, TopicConfig]) -> dict[str, Found]:
    existing = admin.list_topics(timeout=_ANSWER_SECONDS).topics
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in table if name in existing]
    if not resources:
        return {}
    answers = admin.describe_configs(resources, request_timeout=_ANSWER_SECONDS)
    retention = {resource.name: answer.result()[_RETENTION].value for resource, answer in answers.items()}
    return {name: Found(len(existing[name].partitions), str(value)) for name, value in retention.items()}


def _create(admin: AdminClient, missing: Mapping[str, TopicConfig], replication: int) -> None:
    """Creates topics, and returns when the brokers tell of them: a subscription to a missing one stalls."""
    if not missing:
        return
    topics = [
        NewTopic(name, wanted.partitions, replication, config={_RETENTION: wanted.retention_ms})
        for name, wanted in missing.items()
    ]
    for answer in admin.create_topics(topics, operation_timeout=_ANSWER_SECONDS).values():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another job was faster
                raise
    deadline = time.monotonic() + _ANSWER_SECONDS
    while missing.keys() - admin.list_topics(timeout=_ANSWER_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the brokers do not tell of the new topics"))
        time.sleep(0.1)


def _retain(admin: AdminClient, wrong: Mapping[str, TopicConfig]) -> None:
    if not wrong:
        return
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(_RETENTION, wanted.retention_ms, incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for name, wanted in wrong.items()
    ]
    for answer in admin.incremental_alter_configs(resources, request_timeout=_ANSWER_SECONDS).values():
        answer.result()


def wait_for_brokers(admin: AdminClient, seconds: float) -> None:
    """Returns when a broker answers; raises KafkaException when none has after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            admin.list_topics(timeout=max(0.1, min(5, deadline - time.monotonic())))
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def said(error: ValidationError, prefix: str = "") -> str:
    """The first thing that is wrong, in a line, without the value: it may be a password.

    `prefix` is that of environment variables, where these are what is wrong.
    """
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{prefix + place.upper() if prefix else place}: {message}" if place else message


def main(arguments: list[str]) -> int:
    try:
        settings = KafkaSettings()
        table = read_table(Path(arguments[0]) if arguments else TABLE)
        admin = settings.admin()
        wait_for_brokers(admin, _WAIT_SECONDS)
        print("\n".join(apply(admin, table, replication=settings.replication)))
    except ValidationError as error:
        print(f"topics: {said(error, _PREFIX)}", file=sys.stderr)
        return 2
    except TopicsError as error:
        for line in str(error).splitlines():
            print(f"topics: {line}", file=sys.stderr)
        return 2
    except KafkaException as error:
        print(f"topics: Kafka at {settings.brokers}: {error.args[0].str()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
