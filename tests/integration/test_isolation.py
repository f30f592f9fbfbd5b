"""Nobody reads or writes another user's data, and nobody does anything without a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from functions.runtime.settings import Settings
from functions.runtime.tokens import MAX_TOKEN
from functions.tasks.models import Caller
from tests.conftest import unique_user
from tests.support.client import OPERATIONS, Api, Client, Json, Spelling, refused
from tests.support.forge import WRONG, Forge
from tests.support.system import System
from tests.support.waiting import eventually

SPELLINGS: list[Spelling] = ["rest", "dapr", "dapr-get"]


@dataclass
class Owner:
    """A user with a task, a tag and a history, and all that they see of it."""

    client: Client
    task: Json
    tag: Json

    def look(self) -> tuple[Any, ...]:
        return (
            self.client.tasks(),
            self.client.tags(),
            self.client.activity(),
            self.client.get(self.task["id"]),
        )

    @property
    def inputs(self) -> dict[str, Json]:
        """Good inputs of every operation, with this owner's ids."""
        task, tag = {"task_id": self.task["id"]}, {"tag_id": self.tag["id"]}
        reminder = {"reminder_id": self.task["reminders"][0]["id"]}
        return {
            "get": task,
            "update": {**task, "title": "stolen"},
            "replace": {**task, "title": "stolen"},
            "delete": task,
            "complete": task,
            "reopen": task,
            "skip": task,
            "reminders": task,
            "snooze": {**reminder, "minutes": 5},
            "cancel": reminder,
            "update_tag": {**tag, "name": "stolen"},
            "delete_tag": tag,
        }


@pytest.fixture(scope="module")
def owner(system: System) -> Owner:
    client = system.client(unique_user("owner"))
    task = client.create(
        "secret plan",
        tags=["secret"],
        due_date="2027-01-01T09:00:00Z",
        reminder_offset="PT1H",
        recurrence={"type": "daily"},
    )
    eventually(lambda: len(client.activity()) == 2, what="the activity log has the task and its tag")
    return Owner(client, task, client.tags()[0])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_lists__show_only_ones_own(system: System, owner: Owner, user: str, spelling: Spelling) -> None:
    stranger = Api(system.client(user), spelling)
    own = stranger.client.create("mine", tags=["secret"])
    eventually(lambda: len(stranger.client.activity()) == 2, what="the stranger's log has the task and its tag")
    for filters in ({}, {"search": "plan"}, {"tags": "secret"}, {"tags_any": "secret"}, {"status": "open"}):
        seen = stranger.ok("list", **filters)["items"]
        assert [task["id"] for task in seen] == ([] if "search" in filters else [own["id"]])
    assert [tag["id"] for tag in stranger.ok("tags")["items"]] == [own["tags"][0]["id"]]
    for filters in ({"task_id": owner.task["id"]}, {"entity_id": owner.task["id"]}, {"entity_id": owner.tag["id"]}):
        assert stranger.ok("activity", **filters)["items"] == []
    assert {entry["entity_id"] for entry in stranger.ok("activity")["items"]} == {own["id"], own["tags"][0]["id"]}


def test_cursor__of_another_user_shows_nothing_of_theirs(system: System, user: str) -> None:
    rich, poor = system.client(f"rich-{user}"[:64]), system.client(user)
    for client, titles in ((rich, "abcdef"), (poor, "uvwxyz")):
        for title in titles:
            client.create(title)
        eventually(lambda client=client: len(client.activity()) == 6, what="the log has all tasks")  # type: ignore[misc]
    for operation, sort in (("list", {"sort_by": "title"}), ("list", {"sort_by": "created_at"}), ("activity", {})):
        cursor = Api(rich, "rest").ok(operation, limit=2, **sort)["next_cursor"]
        seen = Api(poor, "rest").ok(operation, cursor=cursor, **sort)["items"]
        theirs = {task["id"] for task in poor.tasks()}
        assert {item.get("entity_id", item["id"]) for item in seen} <= theirs


@pytest.mark.parametrize("spelling", ["rest", "dapr"])
def test_create__with_the_id_of_another_users_task_makes_ones_own(
    system: System, owner: Owner, user: str, spelling: Spelling
) -> None:
    before = owner.look()
    stranger = Api(system.client(user), spelling)
    task = stranger.ok("create", id=owner.task["id"], title="mine", recurrence={"type": "daily"}, due_date="2027-01-01")
    assert (task["id"], task["title"]) == (owner.task["id"], "mine")
    assert stranger.ok("complete", task_id=task["id"])["status"] == "completed"
    assert owner.look() == before


BAD_TOKENS = {
    "none": None,
    "empty": "",
    "no token": "Bearer",
    "no scheme": "{good}",
    "another scheme": "Basic {good}",
    "another kind": "Bearer dev:someone",
    "an id for a token": "Bearer {id}",
    "a space in it": "Bearer {good} x",
    "two spaces": "Bearer  {good}",
    "a path": "Bearer ../{good}",
    "SQL": "Bearer ' or 1=1 --",
    "a line break": "Bearer {good}%0d%0aX: y",
    "too long": "Bearer {good}" + "x" * MAX_TOKEN,
    "two of them": "Bearer {good}, Bearer {good}",
}
"""Headers around a token that does hold."""


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_token__without_a_good_one_every_function_says_the_same(
    system: System, owner: Owner, operation: str, spelling: Spelling
) -> None:
    """401, with the same words whatever is wrong with it, also where the input is bad or the id unknown."""
    inputs = owner.inputs.get(operation, {})
    good = system.signed_in(owner.client.user).token
    answers = []
    for form in BAD_TOKENS.values():
        token = {} if form is None else {"Authorization": form.format(good=good, id=owner.client.user_id)}
        headers = {"X-Correlation-Id": "same", **token}
        nobody = Api(system.client(None, headers), spelling)
        for given in (inputs, {**inputs, "colour": 1}, dict.fromkeys(inputs, "x")):
            answers.append(refused(nobody(operation, **given), 401, code=16))
    assert all(answer == answers[0] for answer in answers)


@pytest.fixture(scope="module")
def forge(system: System, owner: Owner) -> Forge:
    """With the keys of the system, so that each token is wrong in one thing only."""
    settings = Settings(data=system.data, public_url=system.url)
    return Forge(settings, Caller(user_id=owner.client.user_id, name="owner", sign_in=uuid4()))


@pytest.mark.parametrize("why", WRONG)
def test_token__that_is_forged_is_refused_as_none_is(system: System, owner: Owner, forge: Forge, why: str) -> None:
    """Through the edge: with the same status, words and headers, in every spelling."""

    def asked(token: str | None, spelling: Spelling) -> tuple[Any, ...]:
        headers = {"X-Correlation-Id": "same", **({} if token is None else {"Authorization": f"Bearer {token}"})}
        answer = Api(system.client(None, headers), spelling)("get", task_id=owner.task["id"])
        said = {name: value for name, value in answer.headers.items() if name != "date"}
        return answer.status_code, answer.json(), said

    for spelling in SPELLINGS:
        assert asked(forge.good, spelling)[:2] == (200, owner.client.get(owner.task["id"]))
        refusal = asked(forge.wrong()[why], spelling)
        assert refusal[0] == 401
        assert refusal == asked(None, spelling)


def test_token__without_one_nothing_changes(system: System, owner: Owner) -> None:
    before = owner.look()
    nobody = Api(system.client(None), "rest")
    for operation, inputs in owner.inputs.items():
        refused(nobody(operation, **inputs), 401)
    assert owner.look() == before
