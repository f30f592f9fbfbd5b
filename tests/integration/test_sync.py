"""GET /api/sync: what a device that was away is told, and the whole list for a new one."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, Operation, Spelling, expect, refused
from tests.support.system import System

SYNC = Operation("sync-changes", "GET", "/api/sync")


@pytest.fixture(params=["rest", "dapr", "dapr-get"])
def api(request: pytest.FixtureRequest, client: Client) -> Api:
    spelling: Spelling = request.param
    return Api(client, spelling)


def sync(api: Api, **inputs: Any) -> Json:
    return expect(api.call(SYNC, inputs))


def test_tells_what_changed_since_in_order_with_the_task_as_it_is(api: Api) -> None:
    first = api.client.create("first", tags=["home"])
    begin = sync(api, after=0)["seq"]
    second = api.client.create("second", due_date="2027-01-31T09:00:00Z", recurrence={"type": "monthly"})
    second = api.client.patch(second["id"], title="second, changed")
    api.client.delete(first["id"])
    told = sync(api, after=begin)
    assert [(c["type"], c["entity_id"]) for c in told["changes"]] == [
        ("task.updated", second["id"]),
        ("task.deleted", first["id"]),
    ]
    assert told["changes"][0]["task"] == second
    assert told["changes"][0]["changes"] == {"title": ["second", "second, changed"]}
    assert (told["seq"], told["more"], told["reset"]) == (begin + 3, False, False)
    assert sync(api, after=told["seq"])["changes"] == []


def test_goes_through_a_long_absence_in_windows(api: Api) -> None:
    made = [api.client.create(f"task {n}")["id"] for n in range(7)]
    told: list[str] = []
    answer: Json = {"seq": 0, "more": True}
    while answer["more"]:
        answer = sync(api, after=answer["seq"], limit=3)
        assert len(answer["changes"]) <= 3
        told += [change["entity_id"] for change in answer["changes"]]
    assert told == made


def test_a_new_device_has_the_list_and_then_what_came_since(api: Api) -> None:
    for n in range(5):
        api.client.create(f"task {n}", tags=[f"tag {n}"])
    pages = [sync(api, limit=2)]
    while pages[-1]["next_cursor"]:
        pages.append(sync(api, limit=2, cursor=pages[-1]["next_cursor"]))
    tasks = {task["id"]: task for page in pages for task in page["tasks"]}
    assert tasks == {task["id"]: task for task in api.client.tasks()}
    tags = [tag for page in pages for tag in page["tags"]]
    assert sorted(tags, key=lambda tag: str(tag["name"])) == api.client.tags()
    assert sync(api, after=pages[0]["seq"])["changes"] == []


def test_says_reset_to_a_device_of_another_log(api: Api) -> None:
    seq = sync(api, after=0)["seq"]
    told = sync(api, after=seq + 1)
    assert (told["reset"], told["changes"], told["seq"]) == (True, [], seq)


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        *(({"after": -1}, "after"), ({"after": "x"}, "after"), ({"after": 2**63}, "after")),
        *(({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"cursor": "x"}, "cursor")),
        *(({"after": 0, "cursor": "x"}, "cursor"), ({"since": 1}, "since")),
    ],
)
def test_bad_input_is_named(api: Api, inputs: Json, field: str) -> None:
    refused(api.call(SYNC, inputs), 400, field=field)


def test_is_the_callers_only(system: System, api: Api) -> None:
    other = system.client(unique_user("other"))
    other.create(f"secret {uuid4()}", tags=["secret"])
    for inputs in ({"after": 0}, {}):
        assert "secret" not in api.call(SYNC, inputs).text
    refused(system.client(None).rest("GET", "/api/sync"), 401)
