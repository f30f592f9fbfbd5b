"""Writing tasks: each change whole with its event, once, in order, and never over another one."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.store.tasks import RETRIES
from functions.tasks.errors import AlreadyExists, NotFound, StaleVersion
from functions.tasks.models import Caller, CreateTask, Task, UpdateTask
from functions.tasks.planning import Change, plan_create, plan_next, plan_update
from tests.store.world import DAY, HOUR, NOW, World, together

TOMORROW = "2026-11-24T09:00:00Z"
DAILY: dict[str, Any] = {"due_date": TOMORROW, "recurrence": {"type": "daily"}}


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user("ann@example.com")


def planned(**fields: Any) -> Change:
    return plan_create(CreateTask.model_validate({"title": "a"} | fields), time_zone="UTC", now=NOW)


def renamed(task: Task, title: str) -> Change | None:
    return plan_update(UpdateTask(task_id=task.id, title=title), task, now=NOW + HOUR)


def without_tags(task: Task) -> Task:
    return task.model_copy(update={"tags": []})


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30).filter(str.strip)
COMMANDS = st.fixed_dictionaries(
    {"title": TEXTS},
    optional={
        "description": TEXTS,
        "priority": st.sampled_from(["low", "medium", "high", "urgent"]),
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"]),
        "tags": st.lists(st.sampled_from(["home", "Work", "work", "straße", "STRASSE"]), max_size=4),
        "reminders": st.lists(st.integers(-90, 90).map(lambda h: {"at": (NOW + h * HOUR).isoformat()}), max_size=3),
    },
)
DUE = st.fixed_dictionaries(
    {
        "due_date": st.integers(-(10**7), 10**10).map(lambda s: (NOW + s * HOUR / 3600).isoformat())
        | st.sampled_from(["1900-01-01", "2026-11-24", "9999-12-01", "1900-01-01T00:00:00.000001Z"])
    },
    optional={
        "reminder_offset": st.sampled_from(["PT0S", "PT1H", "P10D", "P3660D"]),
        "recurrence": st.sampled_from([{"type": "daily"}, {"rrule": "FREQ=WEEKLY;BYDAY=MO,TH"}, {"type": "yearly"}]),
    },
)


class TestCreate:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.one_of(COMMANDS, st.tuples(COMMANDS, DUE).map(lambda both: both[0] | both[1])))
    def test_keeps_the_task_exactly_as_it_was_planned(self, world: World, fields: dict[str, Any]) -> None:
        caller = world.user()
        change = planned(**fields)
        saved = world.tasks.add(change, caller)
        assert without_tags(saved) == change.task
        assert {tag.name.casefold() for tag in saved.tags} == {name.casefold() for name in change.tag_names or ()}
        assert world.tasks.get(caller, saved.id) == saved

    def test_tells_of_it_in_the_same_transaction(self, world: World, ann: Caller) -> None:
        task = world.add(ann, **DAILY, tags=["home", "work"])
        changes = world.changes(ann)
        assert [event.type for event in changes] == ["tag.created", "tag.created", "task.created"]
        assert [event.seq for event in changes] == [1, 2, 3]
        created = changes[-1]
        assert (created.entity_type, created.entity_id, created.correlation_id) == ("task", task.id, "c-1")
        assert created.occurred_at == NOW
        assert Task.model_validate(created.data["task"]) == task

    def test_wakes_the_publisher_after_the_commit(self, world: World, ann: Caller, woken: list[UUID]) -> None:
        task = world.add(ann)
        assert woken == [ann.user_id]
        world.add(ann, id=str(task.id))
        assert woken == [ann.user_id]

    def test_of_the_same_id_is_once(self, world: World, ann: Caller) -> None:
        own = str(uuid4())
        first = world.add(ann, id=own, title="first")
        again = world.add(ann, id=own, title="second", tags=["new"])
        assert again == first
        assert world.types(ann) == ["task.created"]
        assert world.tags.list(ann) == []

    def test_of_the_same_id_at_once_is_once(self, world: World, ann: Caller) -> None:
        own = str(uuid4())
        made = together(lambda number: world.add(ann, id=own, title=f"number {number}"), 8)
        assert len({task.title for task in made}) == 1
        assert world.types(ann) == ["task.created"]

    def test_of_the_same_id_for_two_users_is_one_each(self, world: World, ann: Caller) -> None:
        ben, own = world.user(), str(uuid4())
        assert world.add(ann, id=own, title="Ann's").title == "Ann's"
        assert world.add(ben, id=own, title="Ben's").title == "Ben's"

    def test_of_the_id_of_a_deleted_task_is_refused(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        world.delete(ann, task.id)
        with pytest.raises(AlreadyExists):
            world.add(ann, id=str(task.id))
        assert world.types(ann) == ["task.created", "task.deleted"]

    def test_knows_the_user_from_then_on(self, world: World, ann: Caller) -> None:
        assert world.tasks.time_zone(ann) == "UTC"
        world.add(ann)
        assert world.rows("select name, email from users where user_id = %s", ann.user_id) == [
            {"name": "Ann", "email": "ann@example.com"}
        ]

    def test_learns_the_address_of_a_user_that_a_command_without_one_made(self, world: World, ann: Caller) -> None:
        """An import on `task.create` names no address; the user's own requests do."""
        world.add(ann.model_copy(update={"name": "", "email": None}))
        world.add(ann)
        assert world.value("select email from users where user_id = %s", ann.user_id) == "ann@example.com"


@pytest.fixture
def woken(world: World) -> Any:
    users: list[UUID] = []
    world.database.on_change = users.extend
    yield users
    world.database.on_change = lambda users: None


class TestChange:
    def test_keeps_what_was_planned_and_tells_what_changed(self, world: World, ann: Caller) -> None:
        task = world.add(ann, **DAILY, tags=["home"], reminder_offset="PT1H")
        new = world.update(ann, task.id, NOW + HOUR, title="b", priority="high", tags=["work"], due_date="2026-12-24")
        assert world.tasks.get(ann, task.id) == new
        assert (new.title, new.priority, str(new.due_date), new.all_day, new.version) == (
            "b",
            "high",
            "2026-12-24",
            True,
            2,
        )
        assert [tag.name for tag in new.tags] == ["work"]
        assert new.updated_at == NOW + HOUR
        event = world.changes(ann)[-1]
        assert (event.type, event.data["changes"]["title"]) == ("task.updated", ["a", "b"])
        assert Task.model_validate(event.data["task"]) == new.model_copy(update={"field_changes": {}})

    def test_that_is_none_writes_nothing(self, world: World, ann: Caller, woken: list[UUID]) -> None:
        task = world.add(ann, tags=["home"])
        woken.clear()
        assert world.update(ann, task.id, title="a") == task
        assert world.types(ann) == ["tag.created", "task.created"]
        assert woken == []

    def test_is_planned_anew_when_another_one_came_between(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        seen: list[int] = []

        def plan(current: Task) -> Change | None:
            seen.append(current.version)
            if len(seen) == 1:
                world.update(ann, task.id, description="from elsewhere")
            return renamed(current, "b")

        new = world.tasks.change(ann, task.id, plan)
        assert seen == [1, 2]
        assert (new.title, new.description, new.version) == ("b", "from elsewhere", 3)

    def test_of_a_named_version_is_not_planned_anew(self, world: World, ann: Caller) -> None:
        task = world.add(ann)

        def plan(current: Task) -> Change | None:
            if current.version == 1:
                world.update(ann, task.id, description="from elsewhere")
            return plan_update(UpdateTask(task_id=task.id, title="b", version=1), current, now=NOW)

        with pytest.raises(StaleVersion):
            world.tasks.change(ann, task.id, plan)
        assert world.tasks.get(ann, task.id).title == "a"

    def test_gives_up_when_others_never_stop(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        tries: list[int] = []

        def plan(current: Task) -> Change | None:
            tries.append(current.version)
            world.update(ann, task.id, description=f"change {len(tries)}")
            return renamed(current, "b")

        with pytest.raises(StaleVersion):
            world.tasks.change(ann, task.id, plan)
        assert len(tries) == RETRIES

    def test_by_many_at_once_loses_none(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        fields: list[dict[str, Any]] = [
            {"title": "b"},
            {"description": "b"},
            {"priority": "high"},
            {"due_date": "2026-12-24"},
            {"tags": ["b"]},
            {"reminders": [{"at": TOMORROW}]},
        ]
        together(lambda number: world.update(ann, task.id, **fields[number]), len(fields))
        new = world.tasks.get(ann, task.id)
        assert (new.title, new.description, new.priority, str(new.due_date)) == ("b", "b", "high", "2026-12-24")
        assert [tag.name for tag in new.tags] == ["b"]
        assert len(new.reminders) == 1
        assert new.version == 7

    def test_of_what_is_not_there_or_was_deleted_is_not_found(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        world.delete(ann, task.id)
        for missing in (task.id, uuid4()):
            with pytest.raises(NotFound):
                world.tasks.get(ann, missing)
            with pytest.raises(NotFound):
                world.update(ann, missing, title="b")

    def test_of_what_is_deleted_meanwhile_is_not_found(self, world: World, ann: Caller) -> None:
        task = world.add(ann)

        def plan(current: Task) -> Change | None:
            world.delete(ann, task.id)
            return renamed(current, "b")

        with pytest.raises(NotFound):
            world.tasks.change(ann, task.id, plan)
        assert world.types(ann) == ["task.created", "task.deleted"]


class TestReminders:
    def test_that_moved_replace_those_that_were_pending(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H", reminders=[{"at": TOMORROW}])
        new = world.update(ann, task.id, due_date="2026-11-25T09:00:00Z")
        assert world.tasks.get(ann, task.id).reminders == new.reminders
        assert [reminder.status for reminder in new.reminders] == ["pending", "pending"]
        assert world.value("select count(*) from reminders where user_id = %s", ann.user_id) == 2

    def test_that_were_sent_stay_beside_the_new_one(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")
        world.rows("update reminders set status = 'sent' where user_id = %s", ann.user_id)
        new = world.update(ann, task.id, due_date="2026-11-25T09:00:00Z")
        assert [reminder.status for reminder in new.reminders] == ["sent", "pending"]

    def test_that_are_sent_while_a_change_is_planned_stay_sent(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")

        def plan(current: Task) -> Change | None:
            world.rows("update reminders set status = 'sent' where user_id = %s", ann.user_id)
            return renamed(current, "b")

        assert [reminder.status for reminder in world.tasks.change(ann, task.id, plan).reminders] == ["sent"]

    def test_that_are_sent_while_they_are_moved_stay_beside_the_new_one(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")

        def plan(current: Task) -> Change | None:
            world.rows("update reminders set status = 'sent' where user_id = %s", ann.user_id)
            command = UpdateTask.model_validate({"task_id": task.id, "due_date": "2026-11-25T09:00:00Z"})
            return plan_update(command, current, now=NOW)

        new = world.tasks.change(ann, task.id, plan)
        assert [reminder.status for reminder in new.reminders] == ["sent", "pending"]

    def test_that_are_claimed_stay_claimed_through_a_change(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")
        world.rows("update reminders set claimed_at = %s where user_id = %s", NOW, ann.user_id)
        world.update(ann, task.id, title="b")
        assert world.value("select claimed_at from reminders where user_id = %s", ann.user_id) == NOW

    @pytest.mark.parametrize("end", ["complete", "delete"])
    def test_of_a_task_that_ends_are_cancelled(self, world: World, ann: Caller, end: str) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")
        getattr(world, end)(ann, task.id)
        assert world.rows("select status from reminders where user_id = %s", ann.user_id) == [{"status": "cancelled"}]

    def test_are_pending_again_when_it_is_reopened(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date=TOMORROW, reminder_offset="PT1H")
        world.complete(ann, task.id)
        again = world.complete(ann, task.id, completed=False)
        assert [reminder.status for reminder in again.reminders] == ["pending"]
        assert world.rows("select status from reminders where user_id = %s", ann.user_id) == [{"status": "pending"}]


class TestSeries:
    def follow(self, world: World, caller: Caller, task: Task) -> Task | None:
        change = plan_next(task, now=NOW)
        assert change is not None
        return world.tasks.follow(change, caller)

    def test_goes_on_once_for_each_completion(self, world: World, ann: Caller) -> None:
        done = world.complete(ann, world.add(ann, **DAILY, tags=["home"]).id)
        second = self.follow(world, ann, done)
        assert second is not None
        assert (second.recurrence_id, second.occurrence) == (done.recurrence_id, 2)
        assert [tag.name for tag in second.tags] == ["home"]
        assert self.follow(world, ann, done) is None
        assert world.types(ann).count("task.created") == 2

    def test_goes_on_once_when_many_try_at_once(self, world: World, ann: Caller) -> None:
        done = world.complete(ann, world.add(ann, **DAILY).id)
        made = together(lambda _: self.follow(world, ann, done), 8)
        assert len([task for task in made if task is not None]) == 1
        assert world.types(ann).count("task.created") == 2

    def test_does_not_go_on_when_the_completion_was_undone(self, world: World, ann: Caller) -> None:
        done = world.complete(ann, world.add(ann, **DAILY).id)
        world.complete(ann, done.id, completed=False)
        assert self.follow(world, ann, done) is None
        assert world.types(ann).count("task.created") == 1

    def test_goes_on_though_what_was_completed_is_deleted_since(self, world: World, ann: Caller) -> None:
        """As it would had the next one been there already."""
        done = world.complete(ann, world.add(ann, **DAILY).id)
        world.delete(ann, done.id)
        assert self.follow(world, ann, done) is not None

    def test_takes_the_next_one_back_and_makes_it_again(self, world: World, ann: Caller) -> None:
        first = world.add(ann, **DAILY)
        second = self.follow(world, ann, world.complete(ann, first.id))
        assert second is not None
        again = world.complete(ann, first.id, completed=False)
        world.tasks.withdraw_next(ann, again, NOW + HOUR)
        with pytest.raises(NotFound):
            world.tasks.get(ann, second.id)
        third = self.follow(world, ann, world.complete(ann, first.id))
        assert third is not None
        assert third.occurrence == 2

    def test_keeps_a_next_one_that_was_touched(self, world: World, ann: Caller) -> None:
        first = world.add(ann, **DAILY)
        second = self.follow(world, ann, world.complete(ann, first.id))
        assert second is not None
        world.update(ann, second.id, title="touched")
        world.tasks.withdraw_next(ann, world.complete(ann, first.id, completed=False), NOW)
        assert world.tasks.get(ann, second.id).title == "touched"

    def test_withdraws_nothing_of_a_single_task(self, world: World, ann: Caller) -> None:
        single, other = world.add(ann, due_date=TOMORROW), world.add(ann, due_date=TOMORROW)
        world.tasks.withdraw_next(ann, single, NOW)
        assert world.tasks.get(ann, other.id) == other

    def test_goes_on_after_its_recurrence_was_changed(self, world: World, ann: Caller) -> None:
        """Though the old series has a second occurrence already."""
        first = world.add(ann, **DAILY)
        second = self.follow(world, ann, world.complete(ann, first.id))
        assert second is not None
        world.update(ann, second.id, title="touched")
        world.complete(ann, first.id, completed=False)
        changed = world.update(ann, first.id, recurrence={"type": "weekly"})
        assert changed.occurrence == 1
        assert self.follow(world, ann, world.complete(ann, first.id)) is not None

    def test_knows_where_it_began_when_it_is_read_again(self, world: World, ann: Caller) -> None:
        for due_date in ("2026-11-24", "2026-11-24T09:00:00.000001Z"):
            task = world.add(ann, due_date=due_date, recurrence={"type": "daily"})
            assert world.tasks.get(ann, task.id).series_start == task.series_start == task.due_date


class TestTags:
    def test_are_made_once_whatever_their_case(self, world: World, ann: Caller) -> None:
        world.add(ann, tags=["Home"])
        task = world.add(ann, tags=["HOME", "home"])
        assert [tag.name for tag in task.tags] == ["Home"]
        assert world.types(ann).count("tag.created") == 1

    def test_are_made_once_when_many_tasks_name_them_at_once(self, world: World, ann: Caller) -> None:
        made = together(lambda number: world.add(ann, tags=["Shared", "shared", f"own {number}"]), 16)
        shared = {tag.id for task in made for tag in task.tags if tag.name.casefold() == "shared"}
        assert len(shared) == 1
        assert [tag.name.casefold() for tag in world.tags.list(ann)].count("shared") == 1
        assert world.types(ann).count("tag.created") == 17

    def test_of_two_users_are_two(self, world: World, ann: Caller) -> None:
        ben = world.user()
        mine, his = (world.add(caller, tags=["home"]).tags[0].id for caller in (ann, ben))
        assert mine != his

    def test_are_answered_by_name(self, world: World, ann: Caller) -> None:
        assert [tag.name for tag in world.add(ann, tags=["b", "C", "a"]).tags] == ["a", "b", "C"]

    def test_that_are_left_out_stay_tags_of_the_user(self, world: World, ann: Caller) -> None:
        task = world.add(ann, tags=["home", "work"])
        assert world.update(ann, task.id, tags=[]).tags == []
        assert [tag.name for tag in world.tags.list(ann)] == ["home", "work"]


class TestChangeLog:
    def test_is_gapless_and_in_commit_order_under_16_writers(self, world: World, ann: Caller) -> None:
        """Whoever reads it at any time sees 1, 2, ... without a gap: nothing is committed behind what was seen."""
        world.add(ann)
        stop, seen = threading.Event(), [0]
        gaps: list[tuple[int, int]] = []

        def read() -> None:
            while not stop.is_set():
                row = world.rows("select count(*) as n, max(seq) as last from events where user_id = %s", ann.user_id)[
                    0
                ]
                if row["n"] != row["last"]:
                    gaps.append((row["n"], row["last"]))
                seen.append(row["last"])

        reader = threading.Thread(target=read)
        reader.start()
        together(lambda number: [world.add(ann, title=f"{number}/{n}", tags=[f"t{n}"]) for n in range(8)], 16)
        stop.set()
        reader.join()
        assert gaps == []
        assert len(set(seen)) > 3, "the reader saw it grow"
        changes = world.changes(ann)
        assert [event.seq for event in changes] == list(range(1, 1 + 1 + 16 * 8 + 8))
        assert len({event.event_id for event in changes}) == len(changes)
        assert world.value("select seq from users where user_id = %s", ann.user_id) == len(changes)

    def test_of_one_writer_is_in_the_order_of_its_commands(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        world.update(ann, task.id, title="b")
        world.complete(ann, task.id)
        world.complete(ann, task.id, completed=False)
        world.delete(ann, task.id)
        assert world.types(ann) == [
            *("task.created", "task.updated", "task.completed", "task.reopened", "task.deleted")
        ]

    def test_has_nothing_of_what_failed(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        with pytest.raises(StaleVersion):
            world.update(ann, task.id, title="b", version=5)
        with pytest.raises(NotFound):
            world.update(ann, uuid4(), title="b")
        assert world.types(ann) == ["task.created"]

    def test_says_later_when_something_was_completed(self, world: World, ann: Caller) -> None:
        task = world.add(ann)
        done = world.complete(ann, task.id, NOW + DAY)
        assert done.completed_at == NOW + DAY
        assert world.changes(ann)[-1].occurred_at == NOW + DAY
