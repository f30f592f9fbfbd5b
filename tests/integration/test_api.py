"""The public API in both of its spellings: a task's whole life, tags, and the document that describes it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.client import OPERATIONS, Api, Client, Json, refused
from tests.support.system import System
from tests.support.waiting import eventually

EVERY_FIELD: Json = {
    "title": "Pay the rent",
    "description": "For the flat.\nSecond line, with an emoji \N{HOUSE WITH GARDEN}.",
    "priority": "high",
    "due_date": "2027-03-31T09:00:00+02:00",
    "time_zone": "Europe/Berlin",
    "all_day": False,
    "tags": ["home", "Money"],
    "reminder_offset": "PT1H",
    "reminders": [{"offset": "P1D"}, {"at": "2027-03-29T12:00:00Z"}],
    "recurrence": {"type": "monthly", "day_of_month": -1, "interval": 1},
}


def moment(text: str) -> datetime:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text), f"no RFC 3339: {text}"
    return datetime.fromisoformat(text)


def test_task__every_field_is_kept_and_answered(api: Api) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    task = api.ok("create", **EVERY_FIELD)
    assert UUID(task["id"]).version == 7
    for name in ("title", "description", "priority", "time_zone", "all_day", "reminder_offset"):
        assert task[name] == EVERY_FIELD[name]
    assert moment(task["due_date"]) == moment(EVERY_FIELD["due_date"])
    assert task["status"] == "open"
    assert {tag["name"] for tag in task["tags"]} == {"home", "Money"}
    assert all(set(tag) == {"id", "name", "color"} and UUID(tag["id"]) for tag in task["tags"])
    assert task["recurrence"].items() >= EVERY_FIELD["recurrence"].items()
    assert UUID(task["recurrence_id"])
    assert task["occurrence"] == 1
    assert task["version"] == 1
    assert before < moment(task["created_at"]) == moment(task["updated_at"]) < datetime.now(UTC) + timedelta(seconds=1)
    assert task["completed_at"] is None
    times = {moment(reminder["scheduled_time"]) for reminder in task["reminders"]}
    assert times == {
        moment("2027-03-31T06:00:00Z"),
        moment("2027-03-30T07:00:00Z"),
        moment("2027-03-29T12:00:00Z"),
    }
    for reminder in task["reminders"]:
        assert UUID(reminder["id"])
        assert reminder["status"] == "pending"
        assert reminder["delivery_channel"]

    assert {name: value for name, value in api.ok("get", task_id=task["id"]).items() if name in task} == task
    assert api.ok("list")["items"] == [task]


def test_task__what_is_left_out_has_its_default(api: Api) -> None:
    task = api.ok("create", title="Only a title")
    expected: Json = {
        "description": "",
        "status": "open",
        "priority": "medium",
        "due_date": None,
        "all_day": False,
        "tags": [],
        "reminder_offset": None,
        "reminders": [],
        "recurrence": None,
        "recurrence_id": None,
        "occurrence": None,
        "completed_at": None,
        "version": 1,
    }
    assert {name: task[name] for name in expected} == expected
    assert ZoneInfo(task["time_zone"])


def test_task__patch_changes_what_is_named_and_put_replaces(api: Api) -> None:
    task = api.ok("create", **EVERY_FIELD | {"recurrence": None})
    patched = api.ok("update", task_id=task["id"], title="Pay all of the rent", tags=["home", "bank"])
    changed = {"title", "tags", "version", "updated_at"}
    assert {name: value for name, value in patched.items() if name not in changed} == {
        name: value for name, value in task.items() if name not in changed
    }
    assert patched["title"] == "Pay all of the rent"
    assert {tag["name"] for tag in patched["tags"]} == {"home", "bank"}
    assert patched["version"] == 2
    assert moment(patched["updated_at"]) > moment(task["updated_at"])

    replaced = api.ok("replace", task_id=task["id"], title="Something else", priority="low")
    expected = {
        "id": task["id"],
        "title": "Something else",
        "description": "",
        "priority": "low",
        "due_date": None,
        "tags": [],
        "reminder_offset": None,
        "reminders": [],
        "recurrence": None,
        "created_at": task["created_at"],
        "version": 3,
    }
    assert {name: replaced[name] for name in expected} == expected
    assert {name: api.ok("get", task_id=task["id"])[name] for name in expected} == expected


def test_task__a_null_clears_what_may_be_null(api: Api) -> None:
    task = api.ok("create", **EVERY_FIELD)
    cleared = api.ok("update", task_id=task["id"], due_date=None, recurrence=None, reminder_offset=None, reminders=[])
    assert [cleared[name] for name in ("due_date", "recurrence", "reminder_offset", "reminders")] == [
        None,
        None,
        None,
        [],
    ]


def test_version__a_stale_one_is_refused_and_changes_nothing(api: Api) -> None:
    task = api.ok("create", title="first", tags=["one"])
    latest = api.ok("update", task_id=task["id"], title="second", version=1)
    for operation, inputs in {
        "update": {"title": "third"},
        "replace": {"title": "third"},
        "complete": {},
        "delete": {},
    }.items():
        for version in (1, 3):
            refused(api(operation, task_id=task["id"], version=version, **inputs), 409, code=10)
    assert api.ok("list")["items"] == [latest]
    assert api.ok("complete", task_id=task["id"], version=2)["version"] == 3
    refused(api("reopen", task_id=task["id"], version=2), 409, code=10)
    api.ok("delete", task_id=task["id"], version=3)


def test_complete__and_reopen_may_be_said_twice(api: Api) -> None:
    task = api.ok("create", title="once")
    completed = api.ok("complete", task_id=task["id"])
    assert completed["status"] == "completed"
    assert moment(completed["completed_at"]) >= moment(task["created_at"])
    assert completed["version"] == 2
    assert api.ok("complete", task_id=task["id"]) == completed
    reopened = api.ok("reopen", task_id=task["id"])
    assert reopened["status"] == "open"
    assert reopened["completed_at"] is None
    assert api.ok("reopen", task_id=task["id"]) == reopened
    by_patch = api.ok("update", task_id=task["id"], status="completed")
    assert by_patch["status"] == "completed"
    assert by_patch["completed_at"]


def test_delete__the_task_is_gone_for_everything(api: Api) -> None:
    kept, task = api.ok("create", title="kept"), api.ok("create", title="gone", tags=["tag"])
    api.ok("delete", task_id=task["id"])
    for operation, inputs in {
        "get": {},
        "update": {"title": "x"},
        "replace": {"title": "x"},
        "delete": {},
        "complete": {},
        "reopen": {},
    }.items():
        refused(api(operation, task_id=task["id"], **inputs), 404, code=5)
    assert api.ok("list")["items"] == [kept]
    refused(api("create", id=task["id"], title="again"), 409, code=6)


def test_create__the_same_id_twice_creates_once(api: Api, system: System) -> None:
    task_id = str(uuid4())
    task = api.ok("create", id=task_id, title="first", tags=["a"], due_date="2027-01-01")
    assert task["id"] == task_id
    assert api.ok("create", id=task_id, title="first", tags=["a"], due_date="2027-01-01") == task
    assert api.ok("create", id=task_id, title="another title") == task
    assert api.ok("list")["items"] == [task]
    assert [row["type"] for row in events(system, api.client)] == ["tag.created", "task.created"]


def test_create__the_same_id_at_once_from_many_creates_once(api: Api, system: System) -> None:
    task_id = str(uuid4())
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: api.ok("create", id=task_id, title="one", tags=["a"]), range(24)))
    assert all(answer == answers[0] for answer in answers)
    assert api.ok("list")["items"] == [answers[0]]
    assert [row["type"] for row in events(system, api.client)] == ["tag.created", "task.created"]


def events(system: System, client: Client) -> list[Json]:
    return system.sql("select seq, type from events where user_id = %s order by seq", client.user_id)


def test_tags__made_listed_renamed_recolored_and_deleted(api: Api) -> None:
    work = api.ok("create_tag", name="work", color="#123456")
    assert work == {"id": work["id"], "name": "work", "color": "#123456"}
    garden = api.ok("create_tag", name="Garden")
    assert re.fullmatch("#[0-9a-fA-F]{6}", garden["color"])
    assert api.ok("tags")["items"] == [garden, work]
    refused(api("create_tag", name="WORK"), 409, code=6)

    task = api.ok("create", title="t", tags=["Work", "garden", "new"])
    assert {tag["id"] for tag in task["tags"]} >= {work["id"], garden["id"]}
    assert {tag["name"] for tag in task["tags"]} == {"work", "Garden", "new"}

    renamed = api.ok("update_tag", tag_id=work["id"], name="job")
    assert renamed == work | {"name": "job"}
    assert api.ok("update_tag", tag_id=work["id"], color="#abcdef") == renamed | {"color": "#abcdef"}
    assert api.ok("update_tag", tag_id=work["id"], name="Job")["name"] == "Job"
    refused(api("update_tag", tag_id=work["id"], name="garden"), 409, code=6)
    assert {tag["name"] for tag in api.ok("get", task_id=task["id"])["tags"]} == {"Job", "Garden", "new"}

    api.ok("delete_tag", tag_id=work["id"])
    refused(api("delete_tag", tag_id=work["id"]), 404, code=5)
    refused(api("update_tag", tag_id=work["id"], name="again"), 404, code=5)
    assert {tag["name"] for tag in api.ok("tags")["items"]} == {"Garden", "new"}
    assert {tag["name"] for tag in api.ok("get", task_id=task["id"])["tags"]} == {"Garden", "new"}


@pytest.mark.parametrize(
    "zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Sao_Paulo", "Asia/Kolkata", "Europe/Berlin"]
)
def test_all_day__a_date_stays_the_same_date_in_any_zone(api: Api, zone: str) -> None:
    task = api.ok("create", title="all day", due_date="2027-03-28", time_zone=zone)
    assert (task["due_date"], task["all_day"], task["time_zone"]) == ("2027-03-28", True, zone)
    moved = api.ok("update", task_id=task["id"], due_date="2027-10-31")
    assert (moved["due_date"], moved["all_day"]) == ("2027-10-31", True)
    elsewhere = api.ok("update", task_id=task["id"], time_zone="Australia/Lord_Howe")
    assert (elsewhere["due_date"], elsewhere["time_zone"]) == ("2027-10-31", "Australia/Lord_Howe")
    assert api.ok("get", task_id=task["id"])["due_date"] == "2027-10-31"
    assert [item["due_date"] for item in api.ok("list")["items"]] == ["2027-10-31"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_all_day__overdue_only_when_the_day_is_over_in_its_zone(client: Client, zone: str) -> None:
    today = datetime.now(ZoneInfo(zone)).date()
    for days in (-1, 0, 1):
        client.create(str(days), due_date=(today + timedelta(days=days)).isoformat(), time_zone=zone)
    overdue = [task["title"] for task in client.tasks(overdue=True)]
    if datetime.now(ZoneInfo(zone)).date() == today:
        assert overdue == ["-1"]


def test_spellings__answer_alike(client: Client) -> None:
    task = client.create("alike", tags=["a"], due_date="2027-01-01T00:00:00Z")
    rest, dapr, query = (Api(client, spelling) for spelling in ("rest", "dapr", "dapr-get"))
    eventually(lambda: len(client.activity()) == 2, what="the activity log has the task and its tag")
    for operation, inputs in {"get": {"task_id": task["id"]}, "list": {"limit": 1}, "tags": {}, "activity": {}}.items():
        assert rest.ok(operation, **inputs) == dapr.ok(operation, **inputs) == query.ok(operation, **inputs)
    missing = {"task_id": str(uuid4())}
    errors = [refused(each("get", **missing), 404, code=5) for each in (rest, dapr, query)]
    assert len({error["message"] for error in errors}) == 1


def test_openapi__is_served_valid_and_complete(system: System, client: Client) -> None:
    response = client.rest("GET", "/api/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    document = response.json()
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()
    for operation in OPERATIONS.values():
        assert operation.verb.lower() in document["paths"][operation.path]
        assert "post" in document["paths"][f"/v1.0/invoke/{operation.function}/method/{operation.function}"]


def test_openapi__every_documented_path_is_a_function_that_asks_who_is_calling(system: System, client: Client) -> None:
    nobody = system.client(None)
    paths = client.rest("GET", "/api/openapi.json").json()["paths"]
    answers = {
        f"{verb} {path}": nobody.rest(verb.upper(), re.sub("{[^}]+}", str(uuid4()), path)).status_code
        for path, verbs in paths.items()
        for verb, operation in verbs.items()
        if operation.get("security") != []  # what the link in a mail does: its token is in it
    }
    assert len(answers) >= len(OPERATIONS)
    assert set(answers.values()) == {401}, answers


def test_health__is_answered_without_a_token(system: System) -> None:
    assert system.client(None).rest("GET", "/healthz").status_code == 200
