"""Lists: filters, full-text search, sorting, and pages that never skip or repeat."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, Spelling, refused
from tests.support.system import System

PRIORITIES = ("low", "medium", "high", "urgent")

BOARD: list[Json] = [
    {"title": "Plant tulips", "priority": "low", "tags": ["garden"], "due_date": "2027-01-01T08:00:00Z"},
    {"title": "Prune roses", "priority": "high", "tags": ["garden", "spring"], "due_date": "2027-02-01T08:00:00Z"},
    {"title": "Invoice for März", "priority": "urgent", "tags": ["Work"], "due_date": "2027-02-01"},
    {
        "title": "Call the café",
        "description": "about the Straßenfest, re-book it",
        "tags": ["work", "spring"],
        "due_date": "2020-05-05",
    },
    {"title": "Overdue report", "priority": "urgent", "tags": ["work"], "due_date": "2021-01-01T00:00:00Z"},
    {"title": "Someday", "description": "learn the theremin"},
    {"title": "Done long ago", "due_date": "2021-01-01T00:00:00Z", "status": "completed"},
]


@pytest.fixture(scope="module")
def board(system: System) -> Client:
    """A user with the tasks of BOARD."""
    client = system.client(unique_user("board"))
    for fields in BOARD:
        task = client.create(**{name: value for name, value in fields.items() if name != "status"})
        if "status" in fields:
            client.complete(task["id"])
    return client


FILTERS: list[tuple[Json, set[str]]] = [
    ({}, {task["title"] for task in BOARD}),
    ({"status": "completed"}, {"Done long ago"}),
    ({"status": "open"}, {task["title"] for task in BOARD} - {"Done long ago"}),
    ({"priority": "urgent"}, {"Invoice for März", "Overdue report"}),
    ({"priority": "low,high"}, {"Plant tulips", "Prune roses"}),
    ({"due_before": "2021-06-01T00:00:00Z"}, {"Call the café", "Overdue report", "Done long ago"}),
    ({"due_before": "2021-01-01T00:00:00Z"}, {"Call the café"}),
    ({"due_after": "2027-01-15T00:00:00Z"}, {"Prune roses", "Invoice for März"}),
    ({"due_after": "2027-01-01T09:00:00+02:00"}, {"Plant tulips", "Prune roses", "Invoice for März"}),
    ({"due_after": "2021-06-01T00:00:00Z", "due_before": "2027-01-15T00:00:00Z"}, {"Plant tulips"}),
    ({"tags": "garden"}, {"Plant tulips", "Prune roses"}),
    ({"tags": "garden,spring"}, {"Prune roses"}),
    ({"tags": "WORK"}, {"Invoice for März", "Call the café", "Overdue report"}),
    ({"tags": "garden,unknown"}, set()),
    ({"tags_any": "garden,unknown"}, {"Plant tulips", "Prune roses"}),
    ({"tags_any": "garden,work"}, {task["title"] for task in BOARD if task.get("tags")}),
    ({"tags": "spring", "tags_any": "garden,work", "priority": "high"}, {"Prune roses"}),
    ({"overdue": True}, {"Call the café", "Overdue report"}),
    ({"overdue": False, "status": "open"}, {"Plant tulips", "Prune roses", "Invoice for März", "Someday"}),
    ({"search": "tulips"}, {"Plant tulips"}),
    ({"search": "TULIPS plant"}, {"Plant tulips"}),
    ({"search": "tul"}, {"Plant tulips"}),
    ({"search": "tul plant"}, set()),
    ({"search": "plant tul"}, {"Plant tulips"}),
    ({"search": "marz"}, {"Invoice for März"}),
    ({"search": "MÄRZ"}, {"Invoice for März"}),
    ({"search": "ma\u0308rz"}, {"Invoice for März"}),
    ({"search": "Cafe"}, {"Call the café"}),
    ({"search": "strassenfest"}, {"Call the café"}),
    ({"search": "re-book"}, {"Call the café"}),
    ({"search": "theremin"}, {"Someday"}),
    ({"search": "the"}, {"Call the café", "Someday"}),
    ({"search": "work"}, set()),
    ({"search": "tulips roses"}, set()),
    ({"search": "o'brien & | ! :* \\ ( <->"}, set()),
    ({"search": "report", "status": "completed"}, set()),
]


@pytest.mark.parametrize("spelling", ["rest", "dapr", "dapr-get"])
@pytest.mark.parametrize(("query", "titles"), FILTERS, ids=[str(query) for query, _ in FILTERS])
def test_filter(board: Client, spelling: Spelling, query: Json, titles: set[str]) -> None:
    """A filter lists what it says, joined to the others by AND."""
    listed = [task["title"] for task in Api(board, spelling).ok("list", **query)["items"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == titles


def test_filter__lists_may_be_json_lists(board: Client) -> None:
    answer = Api(board, "dapr").ok("list", tags=["garden", "spring"], priority=["high", "urgent"])
    assert [task["title"] for task in answer["items"]] == ["Prune roses"]


def test_filter__a_task_found_by_search_is_found_by_its_new_text_only(api: Api) -> None:
    task = api.ok("create", title="buy bread", description="rye")
    api.ok("update", task_id=task["id"], title="buy cheese")
    assert api.ok("list", search="bread")["items"] == []
    assert len(api.ok("list", search="cheese rye")["items"]) == 1
    api.ok("delete", task_id=task["id"])
    assert api.ok("list", search="cheese")["items"] == []


@pytest.fixture(scope="module")
def heap(system: System) -> tuple[Client, list[Json]]:
    """A user with 30 tasks, many of them equal in each sort key, a third without a due date."""
    client = system.client(unique_user("heap"))
    start = datetime(2027, 1, 1, tzinfo=UTC)
    tasks = []
    for number in range(30):
        fields: Json = {"title": f"{'abcABC'[number % 6]}{number % 4}", "priority": PRIORITIES[number % 4]}
        if number % 3:
            fields["due_date"] = (start + timedelta(days=number * 7 % 5)).isoformat()
        tasks.append(client.create(**fields))
    return client, tasks


KEYS: dict[str, Callable[[Json], Any]] = {
    "due_date": lambda task: task["due_date"],
    "priority": lambda task: PRIORITIES.index(task["priority"]),
    "created_at": lambda task: task["created_at"],
    "title": lambda task: task["title"].casefold(),
}
SORTS = [(key, order) for key in KEYS for order in ("asc", "desc")]


@pytest.mark.parametrize(("sort_by", "sort_order"), SORTS)
@pytest.mark.parametrize("spelling", ["rest", "dapr", "dapr-get"])
def test_sort__in_pages_as_in_one(
    heap: tuple[Client, list[Json]], spelling: Spelling, sort_by: str, sort_order: str
) -> None:
    """Pages, put together, are the whole list in its order; tasks without a due date are last in both orders."""
    client, tasks = heap
    listed = pages(Api(client, spelling), limit=7, sort_by=sort_by, sort_order=sort_order)
    assert [len(page) for page in listed] == [7, 7, 7, 7, 2]
    whole = [task for page in listed for task in page]
    assert whole == Api(client, spelling).ok("list", limit=200, sort_by=sort_by, sort_order=sort_order)["items"]
    assert sorted(task["id"] for task in whole) == sorted(task["id"] for task in tasks)
    keys = [KEYS[sort_by](task) for task in whole]
    known = [key for key in keys if key is not None]
    assert keys == known + [None] * (len(keys) - len(known))
    assert known == sorted(known, reverse=sort_order == "desc")


def pages(api: Api, **query: Any) -> list[list[Json]]:
    found: list[list[Json]] = []
    cursor: Json = {}
    while True:
        page = api.ok("list", **query, **cursor)
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize(("sort_by", "sort_order"), SORTS)
def test_sort__pages_neither_skip_nor_repeat_while_tasks_are_added(
    system: System, user: str, sort_by: str, sort_order: str
) -> None:
    client = system.client(user)
    there = {
        client.create("m", priority="medium", due_date="2027-01-02T00:00:00Z" if number % 2 else None)["id"]
        for number in range(20)
    }
    stop = threading.Event()

    def add() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            due = (None, "2027-01-01", "2027-01-02T00:00:00Z", "2027-01-03")[number % 4]
            client.create("lmnLMN"[number % 6], priority=PRIORITIES[number % 4], due_date=due)

    adding = threading.Thread(target=add)
    adding.start()
    try:
        listed = [
            task["id"]
            for page in pages(Api(client, "rest"), limit=3, sort_by=sort_by, sort_order=sort_order)
            for task in page
        ]
    finally:
        stop.set()
        adding.join()
    assert len(listed) == len(set(listed)), "a page repeats a task"
    assert there <= set(listed), "a page skips a task"


def test_limit__is_50_unless_given_and_at_most_200(system: System, user: str) -> None:
    client = system.client(user)
    for _ in range(51):
        client.create()
    page = Api(client, "rest").ok("list")
    assert len(page["items"]) == 50
    assert page["next_cursor"]
    rest = Api(client, "rest").ok("list", cursor=page["next_cursor"])
    assert len(rest["items"]) == 1
    assert rest["next_cursor"] is None
    assert len(Api(client, "rest").ok("list", limit=200)["items"]) == 51


def test_cursor__of_another_sort_is_refused(heap: tuple[Client, list[Json]]) -> None:
    client, _ = heap
    cursor = Api(client, "rest").ok("list", limit=5, sort_by="title")["next_cursor"]
    for sort in ({"sort_by": "due_date"}, {"sort_by": "title", "sort_order": "desc"}, {"sort_by": "priority"}):
        refused(Api(client, "rest")("list", cursor=cursor, **sort), 400, code=3, field="cursor")


def test_list__of_a_user_who_never_did_anything_is_empty(system: System) -> None:
    client = system.client(f"nobody-{uuid4().hex}")
    assert client.tasks() == client.tags() == client.activity() == []
