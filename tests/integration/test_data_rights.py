"""Everything of mine as a file, and all of it gone: on the whole system, in both spellings."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, expect, refused
from tests.support.reminders import due_in, wait_delivered
from tests.support.system import System
from tests.support.topic import Topic
from tests.support.waiting import eventually

LISTS = ("devices", "tags", "tasks", "activity", "deliveries", "digests")


def export(api: Api) -> tuple[Json, int]:
    """The file that the parts of an export make, and how many these were."""
    file, parts = api.ok("export"), 1
    cursor = file["next_cursor"]
    while cursor:
        part = api.ok("export", cursor=cursor)
        for name in LISTS:
            file[name] += part[name]
        cursor, parts = part["next_cursor"], parts + 1
    return file, parts


def fill(client: Client) -> None:
    """A user with something of everything."""
    expect(client.rest("PATCH", "/api/settings", {"time_zone": "Europe/Berlin", "digest_at": "07:30"}))
    expect(client.rest("POST", "/api/devices", {"kind": "email", "endpoint": f"device-{client.email}"}))
    client.create("plain", description="— ✓\n", tags=["Home", "work"], priority="urgent")
    client.create("all day", due_date="2027-02-28", reminder_offset="P1D")
    series = client.create("series", due_date="2027-01-31T09:00:00Z", recurrence={"type": "monthly", "count": 4})
    client.complete(series["id"])
    eventually(lambda: len(client.tasks()) == 4, what="the next occurrence is there")
    told = client.create("told", due_date=due_in(0.2), reminders=[{"offset": "PT0S"}])
    wait_delivered(client, told["id"], count=3)
    seq = expect(client.rest("GET", "/api/export"))["seq"]
    eventually(lambda: len(client.activity()) == seq, what="the activity log has it all")


def test_export__is_a_file_to_keep(client: Client) -> None:
    client.create("a task")
    for answer in (
        client.rest("GET", "/api/export"),
        client.dapr("export-data"),
        client.dapr("export-data", verb="GET"),
    ):
        file = expect(answer)
        day = file["exported_at"][:10]
        assert answer.headers["content-disposition"] == f'attachment; filename="tickler-export-{day}.json"'
        assert answer.headers["cache-control"] == "no-store"
        assert (file["format"], file["format_version"], file["next_cursor"]) == ("tickler-export", 1, None)
        assert [task["title"] for task in file["tasks"]] == ["a task"]


def test_export__has_everything_as_the_api_answers_it(api: Api) -> None:
    fill(api.client)
    file, parts = export(api)
    client = api.client
    assert parts == 1
    assert all(file[name] for name in LISTS if name != "digests")
    tasks = sorted(client.tasks(), key=lambda task: str(task["id"]))
    assert [{name: value for name, value in task.items() if name != "create"} for task in file["tasks"]] == tasks
    assert sorted(tag["name"] for tag in file["tags"]) == [tag["name"] for tag in client.tags()]
    assert file["activity"] == client.activity()[::-1]
    assert file["settings"] == expect(client.rest("GET", "/api/settings"))
    assert file["devices"] == expect(client.rest("GET", "/api/devices"))["items"]
    assert {delivery["status"] for delivery in file["deliveries"]} == {"sent"}
    assert file["account"]["email"] == client.email


def anonymous(file: Json) -> list[Json]:
    """What a new user who was given these tasks has too: all but ids of reminders and tags, versions, and when."""
    own = re.compile(r'"(version|created_at|updated_at|completed_at|recurrence_id|occurrence)": [^,}]+')
    tasks: list[Json] = []
    for task in file["tasks"]:
        shown: Json = json.loads(own.sub(r'"\1": null', json.dumps(task)))
        shown["tags"] = [tag["name"] for tag in shown["tags"]]
        kept = ("offset", "at", "scheduled_time", "delivery_channel")
        shown["reminders"] = [{name: reminder[name] for name in kept} for reminder in shown["reminders"]]
        tasks.append(shown | {"recurrence": shown["create"]["recurrence"]})
    return tasks


def test_export__a_new_user_who_is_given_its_tasks_exports_the_same(system: System, client: Client) -> None:
    fill(client)
    file, _ = export(Api(client, "rest"))
    other = system.client(unique_user("again"))
    for task in file["tasks"]:
        expect(other.rest("POST", "/api/tasks", task["create"]))
        if task["status"] == "completed":
            expect(other.rest("POST", f"/api/tasks/{task['id']}/complete"))
    again, _ = export(Api(other, "rest"))
    assert len(file["tasks"]) == 5
    assert anonymous(again) == anonymous(file)
    assert again["account"]["user_id"] != file["account"]["user_id"]


def test_export__of_a_large_account_comes_in_parts(system: System, client: Client) -> None:
    """More than a sidecar carries at once (4 MiB)."""
    client.create("the first")
    system.sql(
        "insert into tasks (user_id, task_id, title, description, status, priority, time_zone, version, created_at,"
        "  updated_at, title_key, search)"
        " select %s, gen_random_uuid(), 'task ' || n, repeat('description — ', 100), 'open', 'medium', 'UTC', 1, now(),"
        "  now(), n, '' from generate_series(1, 3000) n returning 1",
        client.user_id,
    )
    file, parts = export(Api(client, "rest"))
    assert len({task["id"] for task in file["tasks"]}) == len(file["tasks"]) == 3001
    assert parts > 3


@pytest.mark.parametrize("confirm", [None, "", "yes", "somebody@example.org", 1, "\x00"], ids=repr)
def test_delete__not_without_the_right_word(api: Api, confirm: Any) -> None:
    task = api.client.create("kept")
    inputs = {} if confirm is None else {"confirm": confirm}
    refused(api.client.dapr("delete-account", inputs), 400, code=3, field="confirm")
    refused(api.client.rest("DELETE", "/api/account", inputs), 400, code=3, field="confirm")
    assert [kept["id"] for kept in api.client.tasks()] == [task["id"]]


def rows(system: System, client: Client) -> dict[str, int]:
    names = system.sql(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'user_id'"
    )
    counts = {
        name: len(system.sql(f"select 1 from {name} where user_id = %s", client.user_id))
        for (name,) in (row.values() for row in names)
    }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("by", ["name", "email"])
def test_delete__leaves_nothing(system: System, client: Client, by: str) -> None:
    fill(client)
    assert rows(system, client).keys() >= {"users", "tasks", "reminders", "deliveries", "events", "activity", "devices"}
    confirm = client.user.upper() if by == "name" else client.email
    assert expect(client.rest("DELETE", "/api/account", {"confirm": confirm})) == {"deleted": True}
    assert rows(system, client) == {}
    file, _ = export(Api(client, "rest"))
    assert (file["account"], [file[name] for name in LISTS]) == (None, [[]] * len(LISTS))
    assert expect(client.dapr("delete-account", {"confirm": confirm})) == {"deleted": True}
    assert client.create("anew")["version"] == 1
    assert [task["title"] for task in client.tasks()] == ["anew"]


def test_delete__what_comes_late_brings_nothing_back(system: System, client: Client) -> None:
    """Every message of the user again, commands included, and one that no function can handle."""
    series = client.create("series", due_date=due_in(3600), recurrence={"type": "daily"}, reminder_offset="PT1H")
    client.complete(series["id"])
    eventually(lambda: len(client.activity()) >= 3, what="it is completed, and the next one there")
    changes = system.sql(
        "select json_build_object('event_id', event_id, 'type', type, 'user_id', user_id, 'seq', seq, 'occurred_at',"
        " occurred_at, 'entity_type', entity_type, 'entity_id', entity_id, 'data', data) as change from events"
        " where user_id = %s order by seq",
        client.user_id,
    )
    expect(client.rest("DELETE", "/api/account", {"confirm": client.user}))
    late, dead, marker = str(uuid4()), str(uuid4()), str(uuid4())
    Topic(system, "task.events").event(late, {"events": [row["change"] for row in changes]})
    commands = Topic(system)
    commands.publish(client, event_id=late, title="imported")
    commands.event(dead, {"user_id": str(client.user_id), "command": "none"})
    other = system.client(unique_user("other"))
    commands.publish(other, event_id=marker, title="the next one")
    eventually(other.tasks, timeout=40, what="the message behind was handled")
    for function in ("log-activity", "spawn-recurrence"):
        eventually(
            lambda function=function: any(  # type: ignore[misc]
                line["function"] == function for line in Topic(system, "task.events").log(late, "consumed")
            ),
            what=f"{function} heard of the deleted user",
        )
    eventually(
        lambda: any(f'"dead_event_id": "{dead}"' in line for line in system.log("functions")),
        what="what could not be handled was buried",
    )
    assert rows(system, client) == {}
    assert commands.dead(dead) == []
