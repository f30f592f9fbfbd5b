"""`python -m tools.contracts`: which commit it compares with, what it refuses, and where it has nothing to compare."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from functions.runtime.asyncapi import asyncapi
from functions.runtime.event_schemas import accepted as accepted_topics
from functions.runtime.event_schemas import messages
from functions.runtime.triggers import load
from tools import contracts
from tools.contracts import ASYNCAPI, BASE, EVENTS, accepted, refusals

TASK = f"{EVENTS}/task.created.json"
STRING = {"type": "string"}


class Repository:
    """A repository with contracts in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / EVENTS).mkdir(parents=True)
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(self.root), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, *fields: str, path: str = TASK) -> None:
        schema = {"type": "object", "properties": dict.fromkeys(fields, STRING)}
        (self.root / path).write_text(json.dumps(schema))

    def commit(self, *fields: str) -> str:
        """One in which the schema has these fields, or is as it is."""
        if fields:
            self.write(*fields)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(BASE, raising=False)
    return Repository(tmp_path / "repository")


def refused(repository: Repository, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that are told, and that the exit status goes with them."""
    status = contracts.main(repository.root)
    told = capsys.readouterr()
    assert told.out == ""
    assert status == (1 if told.err else 0)
    return told.err.splitlines()


class TestBase:
    def test_is_the_last_commit_where_the_contracts_differ_from_it(
        self, repository: Repository, capsys: pytest.CaptureFixture[str]
    ) -> None:
        repository.commit("a")
        repository.commit("a", "b")
        repository.write("a")
        (line,) = refused(repository, capsys)
        assert line.startswith(f"{TASK}: $.b is removed: leave it")

    def test_is_the_last_commit_for_a_file_that_git_does_not_know_yet(
        self, repository: Repository, capsys: pytest.CaptureFixture[str]
    ) -> None:
        repository.commit("a", "b")
        repository.commit("a")
        repository.write("x", path=f"{EVENTS}/task.updated.json")
        assert refused(repository, capsys) == []

    def test_is_the_one_before_where_they_are_as_in_the_last_one(
        self, repository: Repository, capsys: pytest.CaptureFixture[str]
    ) -> None:
        repository.commit("a", "b")
        repository.commit("a")
        (repository.root / "README.md").write_text("of no matter")
        (line,) = refused(repository, capsys)
        assert "$.b is removed" in line
        repository.commit()
        assert refused(repository, capsys) == []

    def test_is_the_first_parent_of_a_merge(self, repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
        repository.commit("a", "b")
        repository.git("checkout", "--quiet", "-b", "branch")
        repository.commit("a", "c", "b")
        repository.git("checkout", "--quiet", "-")
        repository.commit()
        repository.git("merge", "--quiet", "--no-ff", "branch", "--message", "x")
        assert refused(repository, capsys) == []

    def test_may_be_named(
        self, repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.commit("a", "b")
        repository.git("tag", "v1")
        for _ in range(2):
            repository.commit("a")
        assert refused(repository, capsys) == []
        monkeypatch.setenv(BASE, "v1")
        (line,) = refused(repository, capsys)
        assert "$.b is removed" in line

    @pytest.mark.parametrize("name", ["v9", "--all", "HEAD:docs"])
    def test_that_is_named_and_not_there_is_told_in_one_line(
        self, repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        repository.commit("a")
        monkeypatch.setenv(BASE, name)
        (line,) = refused(repository, capsys)
        assert line.startswith(f"tickler: {BASE}={name} names no commit")


class TestNothingToCompare:
    def passed(self, root: Path, capsys: pytest.CaptureFixture[str]) -> str:
        """The one line that says why."""
        assert contracts.main(root) == 0
        told = capsys.readouterr()
        assert told.err == ""
        (line,) = told.out.splitlines()
        assert line.startswith("contracts: nothing to compare with: ")
        return line

    def test_in_a_tarball(self, repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "not a git repository" in self.passed(tmp_path, capsys)

    def test_in_a_tarball_within_another_repository(
        self, repository: Repository, capsys: pytest.CaptureFixture[str]
    ) -> None:
        inner = repository.root / "vendor"
        inner.mkdir()
        assert "is not the root of a repository" in self.passed(inner, capsys)

    def test_without_git(
        self, repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(repository.root))
        assert "git is not installed" in self.passed(repository.root, capsys)

    def test_before_and_at_the_first_commit(self, repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
        repository.write("a")
        assert "the previous commit is not here" in self.passed(repository.root, capsys)
        repository.commit()
        assert "the previous commit is not here" in self.passed(repository.root, capsys)

    def test_in_a_shallow_clone(
        self, repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        repository.commit("a", "b")
        repository.commit("a")
        repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.root}", str(tmp_path / "clone"))
        assert "the previous commit is not here" in self.passed(tmp_path / "clone", capsys)

    def test_where_the_previous_commit_has_no_contracts_all_are_new(
        self, repository: Repository, capsys: pytest.CaptureFixture[str]
    ) -> None:
        repository.commit()
        repository.commit("a")
        assert refused(repository, capsys) == []


def document(*, sent: tuple[str, ...] = (), **channels: list[str]) -> dict[str, Any]:
    """An AsyncAPI document with these topics and their messages, and who sends on them."""
    return {
        "channels": {topic: {"messages": {name: {} for name in names}} for topic, names in channels.items()},
        "operations": {topic: {"action": "send", "channel": {"$ref": f"#/channels/{topic}"}} for topic in sent},
    }


class TestRefusals:
    def test_of_a_schema_that_is_gone(self) -> None:
        (line,) = refusals({TASK: {}}, {})
        assert line.startswith(f"{TASK}: $ is removed: ")

    def test_of_a_topic_that_is_gone(self) -> None:
        old, new = document(a=["Changes"], b=["Changes"]), document(a=["Changes"], c=["Changes"])
        (line,) = refusals({ASYNCAPI: old}, {ASYNCAPI: new})
        assert line.startswith(f"{ASYNCAPI}: $.channels.b is removed: ")

    def test_of_a_message_that_a_topic_has_no_more(self) -> None:
        (line,) = refusals({ASYNCAPI: document(a=["Changes"])}, {ASYNCAPI: document(a=["Change"])})
        assert line.startswith(f"{ASYNCAPI}: $.channels.a.messages.Changes is removed: ")

    def test_of_an_event_that_is_on_another_topic(self) -> None:
        old, new = document(a=["Changes"], b=["Changes"]), document(a=["Changes"], b=["Changes"])
        old["channels"]["a"]["x-event-types"] = new["channels"]["b"]["x-event-types"] = {"task.created": {}}
        (line,) = refusals({ASYNCAPI: old}, {ASYNCAPI: new})
        assert line.startswith(f"{ASYNCAPI}: $.channels.a.x-event-types.task.created is removed: ")

    def test_not_of_what_is_new(self) -> None:
        old = {TASK: STRING, ASYNCAPI: document(a=["Changes"])}
        new = {ASYNCAPI: document(a=["Changes", "More"], b=["Changes"]), f"{EVENTS}/More.json": STRING} | {TASK: STRING}
        assert refusals(old, new) == []

    def test_are_fewer_for_a_message_that_others_publish(self) -> None:
        old, new = {"enum": ["x"]}, {"enum": ["x", "y"]}
        name = f"{EVENTS}/Command.json"
        ours, others = document(sent=("a",), a=["Command"]), document(a=["Command"])
        assert len(refusals({name: old}, {name: new, ASYNCAPI: ours})) == 1
        assert refusals({name: old}, {name: new, ASYNCAPI: others}) == []
        assert len(refusals({name: new}, {name: old, ASYNCAPI: others})) == 1


def test_the_messages_that_others_publish_are_those_that_the_functions_say() -> None:
    functions = load()
    names = {messages(functions)[topic].__name__ for topic in accepted_topics(functions)}
    assert accepted(asyncapi(functions)) == {f"{EVENTS}/{name}.json" for name in names} != set()
