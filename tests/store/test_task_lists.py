"""Lists: what a filter lets through, and pages that are the whole list cut up."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Caller, Task
from functions.tasks.query import ListTasks, encode_cursor, search_expression, words_of
from functions.tasks.values import fold
from tests.store.world import DAY, HOUR, NOW, World

PRIORITIES = ["low", "medium", "high", "urgent"]
SORTS = ["due_date", "priority", "created_at", "title"]


@pytest.fixture(scope="module")
def reader(world: World) -> Caller:
    """A user with 120 tasks of every kind, many alike in what lists sort by."""
    caller, chance = world.user(), random.Random(3)
    titles = ["Buy milk", "buy Milk", "Écrire", "ecrire", "Zebra", "a", "日本語", "Ärger", "Straße", "_", "~"]
    for _ in range(120):
        due = chance.choice(
            [
                None,
                "2026-11-20",
                "2026-11-23",
                (NOW + chance.randrange(-50, 50) * HOUR).isoformat(),
                "2026-11-23T09:00:00Z",
            ]
        )
        task = world.add(
            caller,
            NOW - chance.randrange(5) * DAY,
            title=chance.choice(titles),
            description=chance.choice(["", "with café", "call Ann-Marie"]),
            priority=chance.choice(PRIORITIES),
            due_date=due,
            time_zone=chance.choice(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]),
            tags=chance.sample(["home", "work", "garden"], chance.randrange(4)),
        )
        if chance.random() < 0.3:
            world.complete(caller, task.id)
        if chance.random() < 0.05:
            world.delete(caller, task.id)
    return caller


@pytest.fixture(scope="module")
def everything(world: World, reader: Caller) -> list[Task]:
    """All tasks of the reader, in no order."""
    rows = world.rows("select task_id from tasks where user_id = %s and deleted_at is null", reader.user_id)
    return [world.tasks.get(reader, row["task_id"]) for row in rows]


def listed(world: World, caller: Caller, **query: Any) -> list[Task]:
    """All pages together."""
    found: list[Task] = []
    cursor = None
    while True:
        page = world.lists.page(caller, ListTasks.model_validate(query | {"cursor": cursor}), NOW)
        assert len(page.items) <= query.get("limit", 50)
        found += page.items
        assert len(found) <= 1000, "pages without end"
        if page.next_cursor is None:
            return found
        assert page.items
        cursor = page.next_cursor


def ordered(tasks: list[Task], sort_by: str, order: str) -> list[Task]:
    """The order of the API: by the sort, then by id; tasks without a due date last in both orders."""
    keys: dict[str, Any] = {
        "due_date": lambda task: task.due_at,
        "priority": lambda task: PRIORITIES.index(task.priority),
        "created_at": lambda task: task.created_at,
        "title": lambda task: fold(task.title),
    }
    key = keys[sort_by]
    last = [task for task in tasks if key(task) is None]
    first = [task for task in tasks if key(task) is not None]
    descending = order == "desc"
    first.sort(key=lambda task: (key(task), task.id), reverse=descending)
    last.sort(key=lambda task: task.id, reverse=descending)
    return first + last


class TestPages:
    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("sort_by", SORTS)
    @pytest.mark.parametrize("limit", [1, 7, 50, 200])
    def test_are_the_sorted_whole_cut_up(
        self, world: World, reader: Caller, everything: list[Task], sort_by: str, order: str, limit: int
    ) -> None:
        found = listed(world, reader, sort_by=sort_by, sort_order=order, limit=limit)
        assert [task.id for task in found] == [task.id for task in ordered(everything, sort_by, order)]

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.fixed_dictionaries(
            {
                "sort_by": st.sampled_from(SORTS),
                "sort_order": st.sampled_from(["asc", "desc"]),
                "limit": st.integers(1, 40),
            },
            optional={
                "status": st.sampled_from(["open", "completed"]),
                "priority": st.lists(st.sampled_from(PRIORITIES), max_size=3),
                "tags": st.lists(st.sampled_from(["home", "WORK", "garden", "none"]), max_size=3),
                "tags_any": st.lists(st.sampled_from(["Home", "work", "none"]), max_size=3),
                "due_before": st.integers(-60, 60).map(lambda hours: (NOW + hours * HOUR).isoformat()),
                "due_after": st.integers(-60, 60).map(lambda hours: (NOW + hours * HOUR).isoformat()),
                "overdue": st.booleans(),
            },
        )
    )
    def test_have_what_every_filter_lets_through(
        self, world: World, reader: Caller, everything: list[Task], query: dict[str, Any]
    ) -> None:
        wanted = ListTasks.model_validate(query)

        def lets_through(task: Task) -> bool:
            names = {tag.name.casefold() for tag in task.tags}
            overdue = task.status == "open" and task.overdue_at is not None and task.overdue_at < NOW
            return all(
                (
                    wanted.status in (None, task.status),
                    not wanted.priority or task.priority in wanted.priority,
                    not wanted.tags or {name.casefold() for name in wanted.tags} <= names,
                    not wanted.tags_any or bool({name.casefold() for name in wanted.tags_any} & names),
                    wanted.due_before is None or (task.due_at is not None and task.due_at < wanted.due_before),
                    wanted.due_after is None or (task.due_at is not None and task.due_at > wanted.due_after),
                    wanted.overdue in (None, overdue),
                )
            )

        expected = ordered([t for t in everything if lets_through(t)], wanted.sort_by, wanted.sort_order)
        assert [task.id for task in listed(world, reader, **query)] == [task.id for task in expected]

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("sort_by", SORTS)
    def test_neither_skip_nor_repeat_a_task_while_others_come_and_go(
        self, world: World, sort_by: str, order: str
    ) -> None:
        caller, chance = world.user(), random.Random(5)

        def one() -> Task:
            return world.add(
                caller,
                NOW + chance.randrange(3) * HOUR,
                title=chance.choice("abc"),
                priority=chance.choice(PRIORITIES),
                due_date=chance.choice([None, "2026-11-24", "2026-11-25"]),
            )

        staying = [one().id for _ in range(20)]
        leaving = [one().id for _ in range(10)]
        seen, cursor = [], None
        while True:
            query = ListTasks.model_validate({"sort_by": sort_by, "sort_order": order, "limit": 3, "cursor": cursor})
            page = world.lists.page(caller, query, NOW)
            seen += [task.id for task in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
            one()
            if leaving:
                world.delete(caller, leaving.pop())
        assert len(seen) == len(set(seen))
        assert set(staying) <= set(seen)

    def test_have_a_cursor_only_where_more_follows(self, world: World) -> None:
        caller = world.user()
        for _ in range(4):
            world.add(caller)
        assert world.lists.page(caller, ListTasks(limit=4), NOW).next_cursor is None
        assert world.lists.page(caller, ListTasks(limit=3), NOW).next_cursor is not None

    def test_of_a_user_whom_nobody_knows_are_empty(self, world: World) -> None:
        page = world.lists.page(world.user(), ListTasks(), NOW)
        assert (page.items, page.next_cursor) == ([], None)

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_go_on_after_any_due_date_that_a_task_may_have(self, world: World, order: str) -> None:
        """Also where a day begins in another year, in UTC, than it is."""
        caller = world.user()
        for due in ("1900-01-01", "1900-01-01T00:00:00Z", "9999-12-29", "9999-12-29T23:59:59.999999Z", None):
            for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
                world.add(caller, due_date=due, time_zone=zone)
        assert len(listed(world, caller, limit=1, sort_order=order)) == 15

    def test_go_on_after_any_title(self, world: World) -> None:
        caller = world.user()
        for title in (
            "x" * 500,
            "x" * 499 + "y",
            "'",
            '"',
            "\\",
            "%",
            "\N{GRINNING FACE}" * 500,
            "\N{NO-BREAK SPACE}a",
            "ﷺ" * 500,
        ):
            world.add(caller, title=title)
        assert len({task.id for task in listed(world, caller, sort_by="title", limit=1)}) == 9

    @pytest.mark.parametrize(
        "key",
        [
            ["due_date asc", "2026-11-23T09:00:00+00:00"],
            ["due_date asc", "2026-11-23T09:00:00+00:00", "no-id"],
            ["due_date asc", "2026-11-23T09:00:00+00:00", str(uuid4()), 1],
            ["due_date asc", "now", str(uuid4())],
            ["due_date asc", "2026-11-23'09:00:00+00:00", str(uuid4())],
            ["due_date asc", "2026-W48-1T09:00:00Z", str(uuid4())],
            ["due_date asc", None, str(uuid4())],
            ["due_date asc", "infinity", 5],
            ["due_date desc", "infinity", str(uuid4())],
            ["title asc", "a", str(uuid4())],
            [],
        ],
        ids=repr,
    )
    def test_refuse_a_cursor_that_no_page_answered(self, world: World, reader: Caller, key: list[Any]) -> None:
        with pytest.raises(InvalidInput) as error:
            world.lists.page(reader, ListTasks(cursor=encode_cursor(key)), NOW)
        assert error.value.field == "cursor"

    @pytest.mark.parametrize("identity", [f"urn:uuid:{uuid4()}", f"{{{uuid4()}}}", str(uuid4()).replace("-", "")])
    def test_take_or_refuse_another_spelling_of_an_id(self, world: World, reader: Caller, identity: str) -> None:
        """What Python reads as a UUID and PostgreSQL may not."""
        query = ListTasks(cursor=encode_cursor(["due_date asc", "infinity", identity]))
        try:
            assert world.lists.page(reader, query, NOW).items is not None
        except InvalidInput:
            return


class TestOverdue:
    def at(self, world: World, caller: Caller, now: datetime) -> int:
        return len(world.lists.page(caller, ListTasks(overdue=True), now).items)

    def test_a_day_is_overdue_when_it_is_over_in_its_own_zone(self, world: World) -> None:
        caller = world.user()
        world.add(caller, due_date="2026-11-23", time_zone="Pacific/Kiritimati")  # UTC+14
        over = datetime.fromisoformat("2026-11-23T10:00:00+00:00")
        assert (self.at(world, caller, over), self.at(world, caller, over + timedelta(microseconds=1))) == (0, 1)

    def test_a_completed_task_is_not(self, world: World) -> None:
        caller = world.user()
        task = world.add(caller, due_date="2026-11-01")
        assert self.at(world, caller, NOW) == 1
        world.complete(caller, task.id)
        assert self.at(world, caller, NOW) == 0


@pytest.fixture(scope="module")
def texts(world: World) -> tuple[Caller, dict[str, str]]:
    caller = world.user()
    texts = {
        "milk": ("Buy milk", ""),
        "cafe": ("Meet at the Café", "bring the MILK money"),
        "plan": ("Plan the garden-party", "ask Straßenbauamt; e-mail ann@example.com"),
        "japan": ("日本語 を 学ぶ", ""),
        "china": ("买牛奶和面包", ""),
        "thai": ("ซื้อนมและขนมปัง", ""),
        "long": ("w" * 400, "x" * 5000 + " needle"),
        "quote": ("it's 'quoted' \\ & | ! <-> :*", ""),
    }
    return caller, {
        str(world.add(caller, title=title, description=description).id): name
        for name, (title, description) in texts.items()
    }


class TestSearch:
    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("milk", {"milk", "cafe"}),
            ("MILK buy", {"milk"}),
            ("mil", {"milk", "cafe"}),
            ("mil buy", set()),  # only the last word is a prefix
            ("ilk", set()),
            ("cafe", {"cafe"}),
            ("café", {"cafe"}),
            ("strassen", {"plan"}),
            ("garden party", {"plan"}),
            ("example.com", {"plan"}),
            ("日本語", {"japan"}),
            ("日本", {"japan"}),
            ("本語", {"japan"}),  # a word of a script without spaces may begin anywhere
            ("語", {"japan"}),
            ("牛奶", {"china"}),
            ("面包 买牛奶", {"china"}),
            ("奶牛", set()),
            ("ขนม", {"thai"}),
            ("needle", {"long"}),
            ("w" * 150, {"long"}),
            ("it's", {"quote"}),
            ("' \\ quoted & :*", {"quote"}),
            ("milk'; drop table tasks; --", set()),
            ("nothing", set()),
            ("!?", set()),
            (" ", {"milk", "cafe", "plan", "japan", "china", "thai", "long", "quote"}),  # as if nothing were asked
        ],
    )
    def test_finds_all_words_in_title_and_description(
        self, world: World, texts: tuple[Caller, dict[str, str]], search: str, found: set[str]
    ) -> None:
        caller, named = texts
        assert {named[str(task.id)] for task in listed(world, caller, search=search)} == found

    def test_follows_a_change_and_forgets_the_old_words(self, world: World) -> None:
        caller = world.user()
        task = world.add(caller, title="before")
        world.update(caller, task.id, title="after", description="more")
        assert [listed(world, caller, search=word) != [] for word in ("before", "after", "more")] == [False, True, True]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=80).filter(str.strip))
    def test_for_a_title_finds_it_and_is_never_an_error(self, world: World, title: str) -> None:
        caller = world.user()
        task = world.add(caller, title=title)
        expected = [task.id] if words_of(title) else []
        assert [each.id for each in listed(world, caller, search=title)] == expected

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(st.characters(codec="utf-8"), max_size=500))
    def test_is_a_tsquery_that_postgresql_reads(self, world: World, text: str) -> None:
        assert world.value("select numnode(%s::tsquery) >= 0", search_expression(text))
