"""The table of topics, and what the topics job refuses before it asks Kafka for anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.runtime import topics
from functions.runtime.topics import Found, KafkaSettings, TopicConfig, TopicsError, check_partitions, read_table
from functions.runtime.triggers import load
from functions.tasks import events


def test_every_topic_that_a_function_names_is_in_the_table() -> None:
    triggers = [topic for function in load() for topic in function.topics]
    named = {topic.name for topic in triggers} | {topic.dead_letter for topic in triggers if topic.dead_letter}
    assert len(named) > 5
    assert named <= read_table().keys()


def test_every_topic_that_is_published_to_is_in_the_table() -> None:
    named = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    assert len(named) > 5
    assert named <= read_table().keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topics: [", "while parsing"),
        ("{}", "topics: Field required"),
        ("topics: {}", "at least 1"),
        ("topics: {a: {partitions: 0, retention: P1D}}", "topics.a.partitions: .*greater than or equal to 1"),
        ("topics: {a: {partitions: 1, retention: 7 days ago}}", "topics.a.retention: "),
        ("topics: {a: {partitions: 1, retention: PT0S}}", "topics.a.retention: .*greater than"),
        ("topics: {a b: {partitions: 1, retention: P1D}}", "topics.a b.*match pattern"),
        ("topics: {a: {partitions: 1, retention: P1D, replicas: 3}}", "topics.a.replicas: Extra"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text(text)
    with pytest.raises(TopicsError, match=expected) as failure:
        read_table(file)
    assert "\n" not in str(failure.value)
    assert str(failure.value).startswith(str(file))


def test_fewer_partitions_than_the_table_says_are_refused_and_more_are_fine() -> None:
    table = {name: TopicConfig.model_validate({"partitions": 6, "retention": "P7D"}) for name in ("a", "b", "c")}
    check_partitions(table, {"a": Found(6, "1"), "b": Found(12, "1")})
    with pytest.raises(TopicsError) as failure:
        check_partitions(table, {"a": Found(3, "1"), "b": Found(6, "1"), "c": Found(1, "1")})
    first, second = str(failure.value).splitlines()
    assert first.startswith("a has 3 partitions and the table says 6: adding some would break the order per key; ")
    assert "--alter --topic a --partitions 6" in first
    assert second.startswith("c has 1 ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "TICKLER_KAFKA_BROKERS must be host:port[,host:port]"),
        ({"BROKERS": "kafka"}, "TICKLER_KAFKA_BROKERS must be"),
        ({"BROKERS": "a:1, b:2"}, "TICKLER_KAFKA_BROKERS must be"),
        ({"BROKERS": "a:1", "SECURITY_PROTOCOL": "TLS"}, "TICKLER_KAFKA_SECURITY_PROTOCOL: Input should be"),
        (
            {"BROKERS": "a:1", "USERNAME": "ann", "PASSWORD": "secret"},
            "PROTOCOL=SASL_... and TICKLER_KAFKA_USERNAME go",
        ),
        ({"BROKERS": "a:1", "SECURITY_PROTOCOL": "SASL_SSL", "PASSWORD": "secret"}, "USERNAME go together"),
    ],
)
def test_a_wrong_setting_is_one_line_without_its_password(
    settings: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TICKLER_KAFKA_BROKERS", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"TICKLER_KAFKA_{name}", value)
    assert topics.main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("topics: ")
    assert expected in said
    assert said.count("\n") == 1
    assert "secret" not in said


@pytest.mark.parametrize("brokers", ["kafka:9092", "10.0.0.1:9092,[::1]:9093", "a.example.org:9092,b.example.org:9092"])
def test_brokers_are_hosts_with_ports(brokers: str) -> None:
    assert KafkaSettings(brokers=brokers).brokers == brokers


def test_brokers_that_do_not_answer_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TICKLER_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setattr(topics, "_WAIT_SECONDS", 0.2)
    assert topics.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("topics: Kafka at 127.0.0.1:1: ")
    assert said.count("\n") == 1
