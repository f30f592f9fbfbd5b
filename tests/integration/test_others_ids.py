"""Another user's ids: every function, and every input that names an id, as the triggers and the models say.

A function that is added is tried too. What is asked of it: another user's id is answered as one that nobody has.
"""

from __future__ import annotations

import typing
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from functions.runtime.triggers import Function, Http, load
from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, Operation, Spelling, expect, refused
from tests.support.system import System
from tests.support.waiting import eventually

SECRET = "secret plan"

GOOD: Json = {"title": "stolen", "name": "stolen", "minutes": 5}
"""Inputs without which some action is refused before it looks for an id."""


@dataclass(frozen=True)
class Entry:
    """One way into a function, with the name of an input."""

    function: Function
    http: Http
    field: str
    spelling: Spelling

    def __str__(self) -> str:
        said = "-".join(str(value) for value in self.http.fixed.values())
        return f"{self.http.verb}-{self.function.name}-{said}-{self.field}-{self.spelling}"

    @property
    def in_path(self) -> bool:
        return f"{{{self.field}}}" in self.http.path

    def ask(self, client: Client, inputs: Json) -> Any:
        http = self.http
        call = Operation(self.function.name, http.verb, http.path, dict(http.fixed))
        return Api(client, self.spelling).call(call, inputs)


def model_of(function: Function) -> type[BaseModel]:
    return function.input or BaseModel


def entries(name: typing.Callable[[str, Any], bool]) -> Iterator[Entry]:
    """The ways into all functions that need a token, for each input that `name(name, annotation)` says."""
    for function in load():
        for http in function.https if not function.public else ():
            spellings: list[Spelling] = ["rest", "dapr", "dapr-get"] if http.verb == "GET" else ["rest", "dapr"]
            for field, info in model_of(function).model_fields.items():
                if name(field, info.annotation):
                    yield from (Entry(function, http, field, spelling) for spelling in spellings)


def names_an_id(field: str, annotation: Any) -> bool:
    return field == "id" or field.endswith("_id") or UUID in (annotation, *typing.get_args(annotation))


IDS = list(entries(names_an_id))
CURSORS = [
    entry
    for entry in entries(lambda field, _: field == "cursor")
    if "limit"
    in model_of(entry.function).model_fields  # else a second page takes megabytes: tests/store/test_exports.py
]


@dataclass
class Owner:
    """A user who has something of everything."""

    system: System
    client: Client

    def _tables(self) -> list[tuple[str, str]]:
        """Each table that has rows of users, with the names of its ids."""
        rows = self.system.sql(
            "select table_name, string_agg(column_name, ',') filter (where data_type = 'uuid') as ids"
            " from information_schema.columns where table_schema = 'public' group by 1"
        )
        return [(row["table_name"], row["ids"]) for row in rows if "user_id" in (row["ids"] or "").split(",")]

    def rows(self) -> dict[str, list[Json]]:
        """All that the database has of this user."""
        return {
            table: self.system.sql(f"select * from {table} t where user_id = %s order by t::text", self.client.user_id)
            for table, _ in self._tables()
        }

    def ids(self) -> dict[str, set[str]]:
        """The ids of this user's things, by the names of their columns."""
        found: dict[str, set[str]] = defaultdict(set)
        rows = self.rows()
        for table, ids in self._tables():
            for column in set(ids.split(",")) - {"user_id"}:
                found[column] |= {str(row[column]) for row in rows[table] if row[column] is not None}
        return found


@pytest.fixture(scope="module")
def owner(system: System) -> Owner:
    client = system.client(unique_user("owner"))
    recurring: Json = {"due_date": "2027-01-01T09:00:00Z", "recurrence": {"type": "daily"}}
    client.create(SECRET, tags=["secret"], reminder_offset="PT1H", **recurring)
    client.create(SECRET)
    expect(client.rest("POST", "/api/auth/tokens", {"name": SECRET, "scopes": ["read"]}))
    expect(client.rest("POST", "/api/devices", {"kind": "email", "endpoint": "secret@example.com"}))
    eventually(lambda: len(client.activity()) == 3, what="the activity log has the tasks and the tag")
    eventually(
        lambda: not system.sql("select 1 from events where user_id = %s and published_at is null", client.user_id),
        what="all events are published",
    )
    return Owner(system, client)


def test_every_function_with_an_id_is_tried() -> None:
    tried = {entry.function.name for entry in IDS}
    assert {"get-task", "update-task", "manage-tags", "manage-reminders", "manage-devices", "list-activity"} <= tried
    paths = {http.path for function in load() for http in function.https if "{" in http.path}
    assert {entry.http.path for entry in IDS if entry.in_path} == paths, "what stands in a path names an id"
    for function in load():
        if not function.https:
            continue
        inner = model_of(function).model_json_schema().get("$defs", {})
        assert "uuid" not in str(inner), f"{function.name} takes an id within another input: try it here too"


@pytest.mark.parametrize("entry", IDS, ids=str)
def test_another_users_id__is_as_one_that_nobody_has(system: System, owner: Owner, user: str, entry: Entry) -> None:
    before, ids = owner.rows(), owner.ids()
    assert not entry.in_path or ids[entry.field], f"the owner has no {entry.field}: make one in the fixture"
    stranger = system.client(user, {"X-Correlation-Id": "same"})
    model = model_of(entry.function)
    required = {name: GOOD[name] for name, info in model.model_fields.items() if info.is_required() and name in GOOD}
    statuses = set()
    everything = {value for values in ids.values() for value in values}
    for given in sorted(ids[entry.field] or everything):
        for name in (None, *(name for name in GOOD if name in model.model_fields)):
            inputs = required if name is None else {**required, name: GOOD[name]}
            theirs, nobodys = (entry.ask(stranger, {**inputs, entry.field: some}) for some in (given, str(uuid4())))
            statuses.add(theirs.status_code)
            assert theirs.status_code == nobodys.status_code, theirs.text
            if theirs.status_code == 200:
                assert SECRET not in theirs.text
                assert not [one for one in everything - {given} if one in theirs.text]
            else:
                assert refused(theirs, theirs.status_code) == refused(nobodys, theirs.status_code)
    assert owner.rows() == before
    if entry.in_path:
        assert 404 in statuses, f"give GOOD what else {entry} needs"
        assert statuses <= {400, 404}
        assert not system.sql("select 1 from users where user_id = %s and seq > 0", stranger.user_id)


@pytest.mark.parametrize("entry", CURSORS, ids=str)
def test_another_users_cursor__shows_nothing_of_theirs(system: System, owner: Owner, user: str, entry: Entry) -> None:
    cursor = expect(entry.ask(owner.client, {"limit": 1}))["next_cursor"]
    assert cursor is not None
    before, ids = owner.rows(), owner.ids()
    answer = entry.ask(system.client(user), {"cursor": cursor})
    page = expect(answer)
    assert not [name for name in ("items", "tasks", "tags") if page.get(name)]
    assert not [one for values in ids.values() for one in values if one in answer.text]
    assert owner.rows() == before
