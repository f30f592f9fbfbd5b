"""What Kafka's start asks of the machine and writes for the server; Java and Maven are small programs here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import cache, kafka
from tools.console import REPOSITORY, OperatorError
from tools.kafka import VERSION, check, obtain, server_settings, text


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """No Java, no Maven, an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    return {"PATH": f"{tmp_path / 'bin'}:/bin"}


def program(tmp_path: Path, name: str, script: str) -> None:
    file = tmp_path / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def only_bin(env: dict[str, str]) -> dict[str, str]:
    return {"PATH": env["PATH"].split(":")[0]}


MAVEN = 'for each; do case $each in -DoutputDirectory=*) out="${each#*=}";; esac; done; mkdir -p "$out"'


def test_the_version_is_the_one_that_maven_is_asked_for() -> None:
    pom = (REPOSITORY / "tools/kafka/pom.xml").read_text()
    assert re.findall(r"kafka_2\.13</artifactId>\s*<version>(.+)</version>", pom) == [VERSION]


def test_the_properties_are_of_this_machine_only() -> None:
    lines = text(server_settings(9092, 9093, Path("/data/kafka"))).splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093" in lines
    assert "advertised.listeners=PLAINTEXT://127.0.0.1:9092" in lines
    assert "controller.quorum.voters=1@127.0.0.1:9093" in lines
    assert "auto.create.topics.enable=false" in lines
    assert "log.dirs=/data/kafka" in lines
    assert "0.0.0.0" not in text(server_settings(9092, 9093, Path("/data")))


def test_a_backslash_in_a_path_is_kept() -> None:
    assert text({"log.dirs": "/a\\b"}) == "log.dirs=/a\\\\b\n"


def test_without_java_the_way_to_mend_it_is_one_line(env: dict[str, str]) -> None:
    with pytest.raises(OperatorError, match=r"Java .* not on PATH; install Java 17 .*, or set TICKLER_KAFKA_BROKERS"):
        kafka._java(only_bin(env))


@pytest.mark.parametrize("said", ['openjdk version "11.0.2" 2019', 'java version "1.8.0_392"', "no Java runtime"])
def test_an_old_java_is_named(env: dict[str, str], tmp_path: Path, said: str) -> None:
    program(tmp_path, "java", f"echo '{said}' >&2; echo more >&2")
    with pytest.raises(OperatorError, match="Java is too old for Kafka") as failure:
        kafka._java(env)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("said", ['openjdk version "17.0.15" 2025', 'openjdk version "21" 2023'])
def test_a_java_that_is_new_enough_is_used(env: dict[str, str], tmp_path: Path, said: str) -> None:
    program(tmp_path, "java", f"echo '{said}' >&2")
    assert kafka._java(env) == str(tmp_path / "bin/java")


def test_without_maven_the_way_to_mend_it_is_one_line(env: dict[str, str]) -> None:
    with pytest.raises(OperatorError, match=r"Maven .* not on PATH; install it \(mvn\), or set TICKLER_KAFKA_BROKERS"):
        obtain(only_bin(env))


def test_what_maven_collected_is_kept(env: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path, "mvn", f'{MAVEN}; echo jar > "$out/kafka.jar"')
    jars = obtain(env)
    assert [jar.name for jar in jars.iterdir()] == ["kafka.jar"]
    (tmp_path / "bin/mvn").unlink()
    assert obtain(env) == jars
    assert sorted(entry.name for entry in cache.folder("kafka").iterdir()) == [jars.name, "lock"]


def test_a_maven_that_fails_is_told_by_its_first_error_and_leaves_nothing(env: dict[str, str], tmp_path: Path) -> None:
    program(
        tmp_path, "mvn", f'{MAVEN}; echo x > "$out/half.jar"; echo "[ERROR] no such host"; echo "[ERROR] -X"; exit 1'
    )
    with pytest.raises(OperatorError, match=r"Maven cannot obtain Kafka: \[ERROR\] no such host; mend that and run"):
        obtain(env)
    assert [entry.name for entry in cache.folder("kafka").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("brokers", "expected"),
    [
        ("127.0.0.1:1", r"Kafka of TICKLER_KAFKA_BROKERS does not answer at 127\.0\.0\.1:1: "),
        ("kafka", r"TICKLER_KAFKA_BROKERS must be host:port"),
    ],
)
def test_a_kafka_that_cannot_be_used_is_one_line(brokers: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_CHECK_SECONDS", 0.3)
    with pytest.raises(OperatorError, match=expected) as failure:
        check(brokers)
    assert "\n" not in str(failure.value)
