"""Kafka and Redis as `make run-kafka` starts them where no container does, and the topics job on that Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import ConfigEntry, ConfigResource, ResourceType

from functions.runtime.topics import KafkaSettings, read_table
from tests.support.supervising import supervised
from tests.support.waiting import eventually
from tools import kafka, redis
from tools.console import REPOSITORY
from tools.ports import free_ports
from tools.processes import Child, Supervisor
from tools.servers import Servers

ENV = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@dataclass
class Broker:
    """A Kafka under a supervisor."""

    supervisor: Supervisor
    data: Path
    brokers: str

    @property
    def child(self) -> Child:
        return next(child for child in self.supervisor.children if child.name == "kafka")

    @property
    def port(self) -> int:
        return int(self.brokers.rpartition(":")[2])

    def end(self, *, kill: bool) -> Child:
        """Ends the server, by SIGKILL or as it likes to be ended."""
        child = self.child
        self.supervisor.children.remove(child)
        child.process.kill() if kill else child.process.terminate()
        child.process.wait(30)
        return child

    def publish(self, topic: str, messages: dict[int, int]) -> None:
        """Puts so many messages on each partition."""
        producer = Producer({"bootstrap.servers": self.brokers})
        for partition, count in messages.items():
            for number in range(count):
                producer.produce(topic, f"{partition}-{number}".encode(), partition=partition)
        assert producer.flush(20) == 0

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group})
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        consumer.close()

    def read(self, topic: str, partition: int, offset: int) -> bytes | None:
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "reader"})
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(20)
        consumer.close()
        return None if message is None else message.value()

    def topics(self) -> dict[str, int]:
        """Each topic's partitions."""
        found = KafkaSettings(brokers=self.brokers).admin().list_topics(timeout=20).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def retention(self, topic: str) -> str | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        admin = KafkaSettings(brokers=self.brokers).admin()
        entries: dict[str, ConfigEntry] = admin.describe_configs([resource])[resource].result()
        return entries["retention.ms"].value

    def job(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "functions.runtime.topics", *arguments],
            cwd=REPOSITORY,
            env={**ENV, "TICKLER_KAFKA_BROKERS": self.brokers},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def finish(job: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """The exit status and the lines of a topics job."""
    out, err = job.communicate(timeout=60)
    return job.returncode, (out + err).splitlines()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    data = tmp_path_factory.mktemp("broker")
    (data / "logs").mkdir()
    with pytest.MonkeyPatch.context() as patch, supervised(data / "logs") as supervisor:
        patch.delenv("MAKELEVEL", raising=False)
        (port,) = free_ports(1)
        yield Broker(supervisor, data, kafka.start(supervisor, data, ENV, port))


def table(tmp_path: Path, **topics: str) -> Path:
    """A table of topics, each written as in `partitions: 1, retention: P1D`."""
    file = tmp_path / "topics.yaml"
    file.write_text("topics:\n" + "".join(f"  {name}: {{{row}}}\n" for name, row in topics.items()))
    return file


def test_the_job_creates_the_topics_of_the_table_once(broker: Broker) -> None:
    wanted = {name: config.partitions for name, config in read_table().items()}
    status, lines = finish(broker.job())
    assert (status, len(lines)) == (0, len(wanted)), lines
    assert all(" created with " in line for line in lines)
    assert {name: count for name, count in broker.topics().items() if name in wanted} == wanted
    assert broker.retention("task.events") == str(7 * 24 * 3600 * 1000)
    assert finish(broker.job()) == (0, [f"{name}: unchanged" for name in wanted])


def test_a_retention_that_differs_is_corrected_and_more_partitions_are_fine(broker: Broker, tmp_path: Path) -> None:
    assert finish(broker.job(table(tmp_path, kept="partitions: 2, retention: P2D")))[0] == 0
    status, lines = finish(broker.job(table(tmp_path, kept="partitions: 1, retention: PT12H")))
    assert (status, lines) == (0, ["kept: retention 0.5 d, was 2 d"])
    assert broker.retention("kept") == str(12 * 3600 * 1000)
    assert broker.topics()["kept"] == 2


def test_too_few_partitions_are_refused_before_anything_is_changed(broker: Broker, tmp_path: Path) -> None:
    few = "partitions: 1, retention: P1D"
    assert finish(broker.job(table(tmp_path, few=few)))[0] == 0
    status, lines = finish(broker.job(table(tmp_path, few="partitions: 3, retention: P2D", later=few)))
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("topics: few has 1 partitions and the table says 3: adding some would break the order")
    assert broker.topics()["few"] == 1
    assert broker.retention("few") == str(24 * 3600 * 1000)
    assert "later" not in broker.topics()


def test_the_lag_of_a_partition_without_a_commit_is_all_that_it_holds(broker: Broker, tmp_path: Path) -> None:
    assert finish(broker.job(table(tmp_path, lagging="partitions: 3, retention: P1D")))[0] == 0
    broker.publish("lagging", {0: 5, 1: 3})
    broker.commit("behind", "lagging", 0, 2)
    assert kafka.lag(broker.brokers, "behind") == {("lagging", 0): 3, ("lagging", 1): 3, ("lagging", 2): 0}
    assert kafka.lag(broker.brokers, "unheard-of") == {}
    assert sum(kafka.lag(broker.brokers, "unheard-of", ["lagging"]).values()) == 8


def test_topics_messages_and_offsets_outlive_kill_9_and_another_port(broker: Broker, tmp_path: Path) -> None:
    file = table(tmp_path, lasting="partitions: 1, retention: P1D")
    assert finish(broker.job(file))[0] == 0
    broker.publish("lasting", {0: 4})
    broker.commit("group", "lasting", 0, 3)

    killed = broker.end(kill=True)
    waiting = broker.job(file)
    broker.supervisor.start("kafka", killed.process.args, env=ENV, cwd=broker.data, grace=20)  # type: ignore[arg-type]
    broker.supervisor.until(kafka.probe(broker.port), what="no Kafka", timeout=60)
    assert finish(waiting) == (0, ["lasting: unchanged"])
    assert kafka.lag(broker.brokers, "group") == {("lasting", 0): 1}
    assert broker.read("lasting", 0, 3) == b"0-3"

    broker.end(kill=False)
    (port,) = free_ports(1)
    broker.brokers = kafka.start(broker.supervisor, broker.data, ENV, port)
    assert broker.port == port
    assert kafka.lag(broker.brokers, "group") == {("lasting", 0): 1}
    assert broker.read("lasting", 0, 0) == b"0-0"


def test_one_that_is_given_is_taken_and_nothing_is_started(broker: Broker, tmp_path: Path) -> None:
    before = list(broker.supervisor.children)
    servers = Servers(broker.supervisor, tmp_path, {**ENV, "TICKLER_KAFKA_BROKERS": broker.brokers})
    assert servers.kafka() == broker.brokers
    assert broker.supervisor.children == before


def test_redis_keeps_what_was_written_through_kill_9(broker: Broker, tmp_path: Path) -> None:
    import redis as client

    (port,) = free_ports(1)
    url = redis.start(broker.supervisor, tmp_path, ENV, port)
    with client.Redis.from_url(url) as connection:
        connection.set("key", "value")
    child = broker.supervisor.children.pop()
    child.process.kill()
    child.process.wait(10)
    assert not redis.answers(port)
    broker.supervisor.start("redis", child.process.args, env=ENV, cwd=tmp_path)  # type: ignore[arg-type]
    eventually(lambda: redis.answers(port), what="Redis is back")
    redis.check(url)
    with client.Redis.from_url(url) as connection:
        assert connection.get("key") == b"value"
