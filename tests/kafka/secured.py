"""A Kafka as clouds have it: SASL over TLS, with a certificate authority of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.delivery.certificates import contexts
from tests.support.waiting import eventually
from tools import kafka
from tools.console import REPOSITORY
from tools.options import LOOPBACK
from tools.ports import free_ports

PLAIN_USERS = {"key": "api-secret", "$ConnectionString": "Endpoint=sb://tickler.example/;SharedAccessKey=a+b/c=="}
SCRAM_USER, SCRAM_PASSWORD = "tickler", "scram-secret"


class SecuredKafka:
    """`brokers` takes SASL over TLS; tests look at it by a listener without either."""

    def __init__(self, folder: Path) -> None:
        contexts(folder, LOOPBACK)
        self._keystore = folder / "certificate.pem"
        self.authority = folder / "authority.pem"
        self.authority.write_text(self._keystore.read_text().partition("-----BEGIN PRIVATE KEY-----")[0])
        self._folder = folder
        self._properties = folder / "server.properties"
        self._choose_ports()

    def _choose_ports(self) -> None:
        self.brokers, plain, controller = (f"{LOOPBACK}:{port}" for port in free_ports(3))
        self.admin = AdminClient({"bootstrap.servers": plain, "log_level": 0})
        self._properties.write_text(kafka.text(self._settings(plain, controller)))

    def _settings(self, plain: str, controller: str) -> dict[str, str]:
        users = " ".join(f'user_{name}="{password}"' for name, password in PLAIN_USERS.items())
        login = "org.apache.kafka.common.security"
        return {
            **kafka.SETTINGS,
            "listeners": f"SASL_SSL://{self.brokers},PLAINTEXT://{plain},CONTROLLER://{controller}",
            "advertised.listeners": f"SASL_SSL://{self.brokers},PLAINTEXT://{plain}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"{kafka.SETTINGS['node.id']}@{controller}",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required {users};",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
            "log.dirs": str(self._folder / "data"),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[SecuredKafka]:
        classes = str(kafka.obtain() / "*")
        log4j2 = f"-Dlog4j2.configurationFile={REPOSITORY / 'tools/kafka/log4j2.properties'}"
        java: list[str | Path] = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", log4j2]
        java += ["-cp", classes]
        form = [*java, "kafka.tools.StorageTool", "format", "--cluster-id=MkU3OEVBNTcwNTJENDM2Qg"]
        subprocess.run([*form, "-c", self._properties], check=True, capture_output=True)
        self._choose_ports()  # again: by now somebody may have those
        said = self._folder / "server.log"
        with said.open("wb") as log:
            server = subprocess.Popen(
                [*java, "kafka.Kafka", self._properties],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(lambda: server.poll() is not None or self._answers(), timeout=60, what="Kafka answers")
            assert server.poll() is None, f"Kafka ended: {said.read_text()[-3000:]}"
            scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
            user = UserScramCredentialUpsertion(SCRAM_USER, scram, SCRAM_PASSWORD.encode())
            for answer in self.admin.alter_user_scram_credentials([user]).values():
                answer.result()
            yield self
        finally:
            server.kill()
            server.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(KafkaException):
            return bool(self.admin.list_topics(timeout=1).brokers)
        return False

    def create_topic(self, name: str) -> None:
        for answer in self.admin.create_topics([NewTopic(name, 1, 1)]).values():
            answer.result()

    def groups(self) -> set[str]:
        return {group.group_id for group in self.admin.list_consumer_groups().result().valid}
