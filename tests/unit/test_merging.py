"""Edits of several devices that did not know of each other: nothing is lost, the later edit wins, and it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.errors import InvalidInput
from functions.tasks.field_changes import Conflict
from functions.tasks.merging import merge
from functions.tasks.models import CreateTask, OccurrenceRef, Tag, Task, UpdateTask
from functions.tasks.planning import plan_completion, plan_create, plan_skip, plan_update

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DUE = "2026-12-01T09:00:00Z"


class Server:
    """A task, and the edits that it has got, as update-task merges and plans them. Its clock runs on a day an edit."""

    def __init__(self, **fields: Any) -> None:
        command = CreateTask.model_validate({"title": "a", **fields})
        change = plan_create(command, time_zone="UTC", now=NOW)
        self.task = self._tagged(change.task, change.tag_names)
        self.now = NOW

    def edit(
        self, base: int | None = None, at: datetime | None = None, by: UUID | None = None, **fields: Any
    ) -> list[Conflict]:
        """Answers the conflicts. `at` is when the edit was made; else it is now."""
        self.now += timedelta(days=1)
        said = {"base_version": base, "made_at": at, "task_id": self.task.id, **fields}
        command = UpdateTask.model_validate({name: value for name, value in said.items() if value is not None})
        merged = merge(command, self.task, now=self.now, by=by)
        change = plan_update(merged.command, self.task, now=self.now, by=by, conflicts=merged.conflicts)
        if change is not None:
            assert change.conflicts == merged.conflicts
            self.task = self._tagged(change.task, change.tag_names)
        return merged.conflicts

    @property
    def tags(self) -> list[str]:
        return sorted(tag.name for tag in self.task.tags)

    @staticmethod
    def _tagged(task: Task, names: list[str] | None) -> Task:
        """As the store answers it."""
        if names is None:
            return task
        return task.model_copy(update={"tags": [Tag(id=uuid4(), name=name, color="#000000") for name in names]})


def told(conflicts: list[Conflict]) -> list[tuple[str, str, Any, Any]]:
    return [(conflict.field, conflict.winner, conflict.yours, conflict.theirs) for conflict in conflicts]


class TestConflicts:
    def test_edits_of_different_fields_are_both_kept(self) -> None:
        server = Server()
        assert server.edit(1, title="b") == []
        assert server.edit(1, priority="high") == []
        assert (server.task.title, server.task.priority) == ("b", "high")

    def test_the_later_edit_wins_though_it_comes_first(self) -> None:
        server = Server()
        assert server.edit(1, NOW + 2 * MINUTE, title="later") == []
        assert told(server.edit(1, NOW + MINUTE, title="earlier")) == [("title", "theirs", "earlier", "later")]
        assert server.task.title == "later"
        assert server.task.version == 2, "nothing changed"

    def test_the_later_edit_wins_when_it_comes_last(self) -> None:
        server = Server()
        server.edit(1, NOW + MINUTE, title="earlier")
        assert told(server.edit(1, NOW + 2 * MINUTE, title="later")) == [("title", "yours", "later", "earlier")]
        assert server.task.title == "later"

    def test_of_an_edit_that_loses_a_field_the_rest_is_kept(self) -> None:
        server = Server()
        server.edit(1, NOW + 2 * MINUTE, title="b")
        assert [c.field for c in server.edit(1, NOW + MINUTE, title="c", description="d")] == ["title"]
        assert (server.task.title, server.task.description) == ("b", "d")

    def test_an_edit_without_its_time_is_made_now(self) -> None:
        server = Server()
        server.edit(1, title="b")
        assert told(server.edit(1, title="c")) == [("title", "yours", "c", "b")]

    def test_no_edit_was_made_later_than_now(self) -> None:
        server = Server()
        server.edit(1, NOW + timedelta(days=1000), title="b")
        assert told(server.edit(1, title="c")) == [("title", "yours", "c", "b")]

    def test_a_stale_version_is_no_conflict_where_the_field_is_as_it_was(self) -> None:
        server = Server()
        for priority in ("high", "low", "high"):
            server.edit(priority=priority)
        assert server.edit(1, NOW, title="b") == []
        assert server.task.title == "b"

    def test_an_edit_that_knew_the_other_is_no_conflict_whatever_its_clock_says(self) -> None:
        server = Server()
        server.edit(1, NOW + 9 * MINUTE, title="b")
        assert server.edit(2, NOW - 9 * MINUTE, title="c") == []
        assert server.task.title == "c"
        # It counts as made when what it replaced was: a third one that knew neither, made between, does not win.
        assert told(server.edit(1, NOW + MINUTE, title="d")) == [("title", "theirs", "d", "c")]

    @pytest.mark.parametrize(
        "same",
        [
            {"title": "b"},
            {"due_date": "2026-12-02T10:00:00+01:00"},
            {"tags": ["HOME"]},
            {"recurrence": {"type": "daily", "interval": 1}},
            {"reminders": [{"offset": "PT5M"}, {"offset": "PT1M"}]},
        ],
        ids=lambda same: next(iter(same)),
    )
    def test_the_same_value_is_no_conflict(self, same: dict[str, Any]) -> None:
        server = Server(due_date=DUE)
        server.edit(
            title="b",
            due_date="2026-12-02T09:00:00Z",
            tags=["home"],
            recurrence={"type": "daily"},
            reminders=[{"offset": "PT1M"}, {"offset": "PT5M"}],
        )
        assert server.edit(1, NOW, **same) == []

    def test_without_base_version_nothing_conflicts(self) -> None:
        server = Server()
        server.edit(title="b")
        assert server.edit(title="c", at=NOW) == []
        assert server.task.title == "c"

    def test_a_sign_in_does_not_conflict_with_itself(self) -> None:
        server, mine = Server(), uuid4()
        server.edit(1, NOW + MINUTE, mine, title="b")
        assert server.edit(1, NOW + 2 * MINUTE, mine, title="c") == []
        assert told(server.edit(1, NOW, mine, title="d")) == [("title", "theirs", "d", "c")], "an older one came late"

    def test_the_due_date_its_zone_and_all_day_are_one(self) -> None:
        server = Server(due_date=DUE)
        server.edit(1, NOW + 2 * MINUTE, due_date="2026-12-05")
        (conflict,) = server.edit(1, NOW + MINUTE, time_zone="Europe/Berlin")
        assert (conflict.field, conflict.winner) == ("due_date", "theirs")
        assert conflict.theirs == {"due_date": "2026-12-05", "time_zone": "UTC", "all_day": True}
        assert server.task.time_zone == "UTC"

    def test_all_day_of_an_earlier_edit_loses_to_a_later_due_date(self) -> None:
        """What it asks for does not fit that date, which is no reason to refuse the rest of the edit."""
        server = Server(due_date=DUE)
        server.edit(1, NOW + 2 * MINUTE, due_date="2026-12-05")
        (conflict,) = server.edit(1, NOW + MINUTE, all_day=False, title="b")
        assert (conflict.field, conflict.winner) == ("due_date", "theirs")
        assert conflict.yours == {"due_date": "2026-12-05", "time_zone": "UTC", "all_day": False}
        assert (server.task.all_day, server.task.title) == (True, "b")
        assert server.edit(1, NOW + 3 * MINUTE, all_day=True) == []

    def test_a_completion_meets_an_edit_of_the_status(self) -> None:
        server = Server()
        change = plan_completion(server.task, completed=True, version=None, now=NOW + MINUTE)
        assert change is not None
        server.task = change.task
        assert told(server.edit(1, NOW, status="open", title="b")) == [("status", "theirs", "open", "completed")]
        assert (server.task.status, server.task.title) == ("completed", "b")

    def test_a_skip_meets_an_edit_of_the_due_date(self) -> None:
        server = Server(due_date=DUE, recurrence={"type": "weekly"})
        change = plan_skip(OccurrenceRef(task_id=server.task.id), server.task, now=NOW + MINUTE)
        assert change is not None
        server.task = change.task
        assert [c.winner for c in server.edit(1, NOW, due_date="2026-12-03T09:00:00Z")] == ["theirs"]

    def test_replacing_names_all_fields(self) -> None:
        server = Server(description="long")
        server.edit(1, NOW + 2 * MINUTE, description="longer")
        conflicts = server.edit(1, NOW + MINUTE, replace=True, title="b")
        assert told(conflicts) == [("description", "theirs", "", "longer")]
        assert (server.task.title, server.task.description) == ("b", "longer")


class TestTags:
    def test_are_added_and_removed_whatever_they_are_now(self) -> None:
        server = Server(tags=["home", "work"])
        assert server.edit(1, add_tags=["garden"]) == []
        assert server.edit(1, NOW, add_tags=["Town", "home"], remove_tags=["WORK", "sea"]) == []
        assert server.tags == ["Town", "garden", "home"]

    def test_that_are_set_conflict_as_one(self) -> None:
        server = Server(tags=["home"])
        server.edit(1, NOW + 2 * MINUTE, add_tags=["garden"])
        assert told(server.edit(1, NOW + MINUTE, tags=["sea"])) == [("tags", "theirs", ["sea"], ["home", "garden"])]

    def test_are_50_at_most(self) -> None:
        server = Server(tags=[f"t{n}" for n in range(50)])
        with pytest.raises(InvalidInput) as error:
            server.edit(add_tags=["one more"])
        assert error.value.field == "add_tags"
        server.edit(add_tags=["one more"], remove_tags=["t1"])
        assert len(server.tags) == 50

    @pytest.mark.parametrize("other", [{"tags": []}, {"replace": True, "title": "b"}])
    def test_are_not_both_set_and_changed(self, other: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput) as error:
            Server().edit(add_tags=["a"], **other)
        assert error.value.field == "add_tags"


def test_what_makes_no_sense_together_is_refused() -> None:
    server = Server(due_date=DUE)
    server.edit(1, NOW + MINUTE, due_date=None)
    command = UpdateTask.model_validate(
        {"task_id": server.task.id, "base_version": 1, "recurrence": {"type": "daily"}, "made_at": NOW}
    )
    server.task = server.task.model_copy(update={"due_date": None})
    with pytest.raises(InvalidInput) as error:
        plan_update(merge(command, server.task, now=NOW).command, server.task, now=NOW)
    assert error.value.field == "recurrence"


def test_a_version_is_strict_or_a_base() -> None:
    with pytest.raises(InvalidInput) as error:
        UpdateTask.model_validate({"task_id": uuid4(), "version": 1, "base_version": 1})
    assert error.value.field == "base_version"


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from(["a", "b", "c", "d"]),
    "description": st.sampled_from(["", "x", "y"]),
    "priority": st.sampled_from(["low", "medium", "high"]),
    "due_date": st.sampled_from([DUE, "2026-12-02T09:00:00Z", "2026-12-03"]),
    "tags": st.sampled_from([[], ["home"], ["home", "work"]]),
    "status": st.sampled_from(["open", "completed"]),
    "reminders": st.sampled_from([[], [{"offset": "PT1M"}]]),
}


@dataclass
class Edit:
    """What a device changes, at a minute that no other edit is made in."""

    fields: dict[str, Any]
    minute: int = 0


def state(task: Task) -> dict[str, Any]:
    """The parts of a task that VALUES has."""
    kept = task.model_dump(mode="json", include=set(VALUES) - {"tags", "reminders"})
    offsets = [{"offset": spec.offset} for spec in task.reminder_specs]
    return kept | {"tags": sorted(tag.name for tag in task.tags), "reminders": offsets}


def of_its_own(unit: str, minute: int) -> Any:
    """A value that no other edit has."""
    return {
        "title": f"title {minute}",
        "description": f"description {minute}",
        "due_date": f"2027-01-0{minute + 1}",
        "tags": [f"tag {minute}"],
        "reminders": [{"offset": f"PT{minute + 1}M"}],
    }[unit]


UNIQUE = st.sets(st.sampled_from(["title", "description", "due_date", "tags", "reminders"]), min_size=1)


@given(st.lists(UNIQUE, max_size=4))
def test_edits_that_knew_nothing_of_each_other_come_to_the_same_in_any_order(edited: list[set[str]]) -> None:
    edits = [Edit({unit: of_its_own(unit, n) for unit in units}, n) for n, units in enumerate(edited)]
    expected = state(Server(due_date=DUE).task)
    for edit in edits:
        expected |= edit.fields
    for order in permutations(edits):
        server = Server(due_date=DUE)
        server.now += timedelta(days=1)
        for edit in order:
            server.edit(1, NOW + edit.minute * MINUTE, **edit.fields)
        assert state(server.task) == expected


@dataclass
class Device:
    """What it has seen of the task, and the edits that it has not sent yet."""

    base: int = 1
    pending: list[Edit] = field(default_factory=list)


@given(st.data())
def test_any_interleaving_loses_nothing_that_one_device_alone_changed(data: st.DataObject) -> None:
    """Devices edit, send and look at any time. A field has what was sent last, but for what was told to be lost, which
    is so to a later edit only; and a conflict is told only where a field was changed since the device had looked."""
    server = Server(due_date=DUE)
    devices = [Device() for _ in range(3)]
    changed_at: dict[str, int] = {}
    made_at: dict[str, int] = {}
    clock = 0
    for _ in range(data.draw(st.integers(1, 12))):
        number = data.draw(st.integers(0, 2))
        device = devices[number]
        match data.draw(st.sampled_from(["edit", "send", "look"])):
            case "edit":
                clock += 1
                fields = data.draw(st.fixed_dictionaries({}, optional=VALUES).filter(bool))
                device.pending.append(Edit(fields, clock))
            case "look" if not device.pending:
                device.base = server.task.version
            case "send" if device.pending:
                edit = device.pending.pop(0)
                before = state(server.task)
                conflicts = {c.field: c for c in server.edit(device.base, NOW + edit.minute * MINUTE, **edit.fields)}
                after = state(server.task)
                assert conflicts.keys() <= {name for name in edit.fields if changed_at.get(name, 0) > device.base}
                for name, value in before.items():
                    if name in conflicts and conflicts[name].winner == "theirs":
                        assert made_at[name] >= edit.minute
                    elif name in edit.fields:
                        value = edit.fields[name]
                    assert after[name] == value
                    if after[name] != before[name]:
                        changed_at[name] = server.task.version
                        made_at[name] = max(made_at.get(name, 0), edit.minute)
