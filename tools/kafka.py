"""Apache Kafka: one server that is broker and controller (KRaft), from Maven's artifacts, and what its groups lag.

The artifacts of tools/kafka/pom.xml are kept in ${XDG_CACHE_HOME:-~/.cache}/tickler/kafka, a folder per version.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pydantic import ValidationError

from functions.runtime.topics import KafkaSettings, said
from tools import cache
from tools.console import REPOSITORY, OperatorError, Progress, step
from tools.options import LOOPBACK
from tools.ports import accepts, free_ports
from tools.processes import Supervisor

NAME = "kafka"
VERSION = "4.3.1"
"""What tools/kafka/pom.xml asks for."""
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "6000",
    "offsets.retention.minutes": str(30 * 24 * 60),
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.replication.factor": "1",
}
"""Of a server on its own (https://kafka.apache.org/documentation/#brokerconfigs), wherever it runs.

A group that was away keeps its offsets longer than the topics keep their messages. A broker that was killed is let in
again once its session has ended: with Kafka's own 9 s it is away for 12.
"""
_MODULE = REPOSITORY / "tools" / "kafka"
_JAVA_NEEDED = 17
_CHECK_SECONDS = 10
_ANSWER_SECONDS = 30
_COORDINATOR_AWAY = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
"""A group's coordinator, for moments after a start."""
HEAP = "-Xmx512m"
_JVM = (HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
"""Small and soon up, for one machine."""
_OTHERWISE = "or set TICKLER_KAFKA_BROKERS to a Kafka of your own"


def start(supervisor: Supervisor, data: Path, env: Mapping[str, str], port: int) -> str:
    """Starts the server on `<data>/kafka`, made when absent; returns its brokers, `127.0.0.1:port`.

    What it runs may be killed and run again as it is: it finds its topics and offsets.
    """
    java, jars = _java(env), obtain(env, supervisor.check)
    classes = str(jars / "*")
    folder = data / "kafka"
    if not folder.exists():
        _format(supervisor, folder, env, [java, "-cp", classes])
    controller = next(each for each in free_ports(2) if each != port)
    properties = folder / "server.properties"
    properties.write_text(text(server_settings(port, controller, folder / "data")))
    command = [java, *_JVM, f"-Dlog4j2.configurationFile={_MODULE / 'log4j2.properties'}", "-cp", classes]
    supervisor.start(NAME, [*command, "kafka.Kafka", properties], env=env, cwd=folder, grace=20)
    supervisor.until(probe(port), what="Kafka did not start", timeout=300)
    return f"{LOOPBACK}:{port}"


def probe(port: int) -> Callable[[], bool]:
    """Tells at each call whether the broker at the loopback port serves; after a crash it recovers first."""
    admin = KafkaSettings(brokers=f"{LOOPBACK}:{port}", security_protocol="PLAINTEXT", username="").admin()
    progress = Progress("Kafka starts")

    def serves() -> bool:
        progress.tick()
        try:
            return accepts(port) and bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    return serves


def check(brokers: str) -> None:
    """OperatorError unless the Kafka that the operator named answers."""
    mend = "correct it, or unset TICKLER_KAFKA_BROKERS to have one started"
    try:
        settings = KafkaSettings(brokers=brokers)
    except ValidationError as error:
        raise OperatorError(f"{said(error, 'TICKLER_KAFKA_')}; {mend}") from None
    try:
        settings.admin().list_topics(timeout=_CHECK_SECONDS)
    except KafkaException as error:
        raise OperatorError(
            f"Kafka of TICKLER_KAFKA_BROKERS does not answer at {brokers}: {error.args[0].str()}; {mend}"
        ) from None


def lag(brokers: str, group: str, topics: Iterable[str] = ()) -> dict[tuple[str, int], int]:
    """How many messages a consumer group has yet to handle, per topic and partition, as Kafka reports it.

    Of the topics that the group has committed offsets of, and of `topics`. Kafka leaves out partitions without a
    commit: there it is all that they hold. Raises confluent_kafka.KafkaException.
    """
    # AdminClient.list_consumer_group_offsets would be for this, but the answer that the coordinator is elsewhere, as
    # right after a crash, makes librdkafka 2.16 dereference a null pointer. This consumer never joins the group.
    consumer = Consumer({**KafkaSettings(brokers=brokers).options(), "group.id": group, "enable.auto.commit": False})
    try:
        known = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        partitions = [
            TopicPartition(name, partition)
            for name, topic in sorted(known.items())
            for partition in topic.partitions
            if not name.startswith("__")
        ]
        committed = _committed(consumer, partitions)
        wanted = {each.topic for each in committed if each.offset >= 0} | set(topics)
        return {(each.topic, each.partition): _lag(consumer, each) for each in committed if each.topic in wanted}
    finally:
        consumer.close()


def _committed(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            return consumer.committed(partitions, timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_AWAY or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _lag(consumer: Consumer, committed: TopicPartition) -> int:
    if committed.error:
        raise KafkaException(committed.error)
    start, end = consumer.get_watermark_offsets(committed, timeout=_ANSWER_SECONDS)
    return end - (committed.offset if committed.offset >= 0 else start)


def server_settings(port: int, controller: int, folder: Path | str, *, listen: str = LOOPBACK) -> dict[str, str]:
    """The settings of a server that this machine reaches at the loopback port; it listens at the address `listen`."""
    return {
        **SETTINGS,
        "listeners": f"PLAINTEXT://{listen}:{port},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        # Static, so that its port may change: a quorum that bootstraps itself keeps it in the data.
        "controller.quorum.voters": f"{SETTINGS['node.id']}@{LOOPBACK}:{controller}",
        "log.dirs": str(folder),
    }


def text(settings: Mapping[str, str]) -> str:
    """The settings as a Java properties file."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in settings.items())


def _format(supervisor: Supervisor, folder: Path, env: Mapping[str, str], command: list[str | Path]) -> None:
    """Prepares the data folder, in one rename: a crash half way leaves nothing half made."""
    for leftover in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
    properties = draft / "server.properties"
    port, controller = free_ports(2)
    properties.write_text(text(server_settings(port, controller, draft / "data")))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", properties]
    supervisor.run("kafka-format", command, env=env, cwd=draft)
    draft.rename(folder)


def obtain(env: Mapping[str, str] = os.environ, check: cache.Check = lambda: None) -> Path:
    """The folder of the server's jars; OperatorError with the way to mend it when they cannot be had."""
    pom = _MODULE / "pom.xml"
    target = cache.folder(NAME) / f"{VERSION}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    if target.exists():
        return target
    with cache.only_one(NAME, check):
        if not target.exists():
            _download(pom, target, env, check)
        return target


def _download(pom: Path, target: Path, env: Mapping[str, str], check: cache.Check) -> None:
    maven = shutil.which("mvn", path=env.get("PATH"))
    if maven is None:
        raise OperatorError(f"Maven is needed to obtain Kafka and is not on PATH; install it (mvn), {_OTHERWISE}")
    step(f"Kafka {VERSION}: Maven downloads it (44 MB)")
    command = [maven, "-q", "-B", "-ntp", "-Dstyle.color=never", "-f", str(pom), "dependency:copy-dependencies"]
    with cache.new(NAME, target) as made:
        status, lines = cache.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={made}"],
            cwd=cache.folder(NAME),
            env=env,
            check=check,
            progress=Progress("Maven downloads Kafka"),
        )
        if status:
            reason = next((line for line in lines if "ERROR" in line), "mvn gave no reason")
            raise OperatorError(
                f"Maven cannot obtain Kafka: {reason.strip()[:300]}; mend that and run again, {_OTHERWISE}"
            )


def _java(env: Mapping[str, str]) -> str:
    mend = f"install Java {_JAVA_NEEDED} or newer, {_OTHERWISE}"
    java = shutil.which("java", path=env.get("PATH"))
    if java is None:
        raise OperatorError(f"Java is needed for Kafka and is not on PATH; {mend}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, env=env).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < _JAVA_NEEDED:
        first = next(iter(said.splitlines()), "no version")
        raise OperatorError(f"Java is too old for Kafka ({first}); {mend}")
    return java
