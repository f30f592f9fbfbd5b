"""What devices are told of a change, and what stands for what in a window of changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.tasks.errors import InvalidInput
from functions.tasks.events import ChangeEvent
from functions.tasks.models import Task
from functions.tasks.sync import SyncChanges, Window, change_message, compacted

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TASK = Task(id=uuid4(), title="a", created_at=NOW, updated_at=NOW, follows=uuid4())


def event(seq: int, entity_id: UUID = TASK.id, entity_type: str = "task", **data: Any) -> ChangeEvent:
    return ChangeEvent(
        event_id=uuid4(), type=f"{entity_type}.updated", user_id=uuid4(), seq=seq, occurred_at=NOW,
        entity_type=entity_type, entity_id=entity_id, data=data,
    )  # fmt: skip


class TestAMessage:
    def test_has_the_task_as_the_api_answers_it_and_what_else_the_event_says(self) -> None:
        stored = {**TASK.model_dump(mode="json"), "follows": str(uuid4()), "series_start": None, "deleted": False}
        said = change_message(event(7, task=stored, changes={"title": ["b", "a"]}, conflicts=[]))
        assert said == {
            "type": "task.updated", "seq": 7, "entity_type": "task", "entity_id": str(TASK.id),
            "occurred_at": "2026-11-23T09:00:00Z", "task": TASK.model_dump(mode="json"),
            "changes": {"title": ["b", "a"]}, "conflicts": [],
        }  # fmt: skip

    def test_has_no_user_and_nothing_that_is_kept_and_not_answered(self) -> None:
        reminder = {"id": str(uuid4()), "scheduled_time": "2026-11-23T09:00:00Z", "dismissed": True}
        said = change_message(event(1, entity_type="reminder", reminder=reminder, task_id=str(TASK.id)))
        assert "dismissed" not in said["reminder"]
        assert not {"user_id", "event_id", "correlation_id"} & said.keys()

    def test_has_of_a_task_that_this_version_cannot_read_the_fields_that_it_knows(self) -> None:
        newer = {"id": str(TASK.id), "status": "of a later version", "follows": None, "novel": 1}
        said = change_message(event(1, task=newer, changes={}))
        assert said["task"] == {"id": str(TASK.id), "status": "of a later version"}

    def test_says_of_itself_what_it_is_whatever_its_event_says(self) -> None:
        said = change_message(event(3).model_copy(update={"data": {"occurred_at": "x", "seq": 9}}))
        assert (said["occurred_at"], said["seq"]) == ("2026-11-23T09:00:00Z", 3)


class TestAWindow:
    def test_keeps_the_last_change_of_each_entity_in_order(self) -> None:
        a, b = uuid4(), uuid4()
        window = [event(1, a), event(2, b), event(3, a), event(4, a, "reminder"), event(5, b)]
        assert [each.seq for each in compacted(window)] == [3, 4, 5]

    def test_keeps_the_task_that_came_with_a_reminder_which_changed_again(self) -> None:
        """`reminder.snoozed` has the whole task, and `reminder.sent` of the same reminder has not."""
        reminder, task = uuid4(), {"id": str(TASK.id)}
        snoozed = event(1, reminder, "reminder", task=task)
        sent = event(2, reminder, "reminder")
        assert compacted([snoozed, sent]) == [snoozed, sent]
        later = event(3, TASK.id, task=task)
        assert compacted([snoozed, sent, later]) == [sent, later]

    def test_keeps_what_tells_of_conflicts(self) -> None:
        told = event(1, TASK.id, conflicts=[{"field": "title"}])
        assert compacted([told, event(2, TASK.id)])[0] == told

    @pytest.mark.parametrize(
        ("after", "current", "kept_from", "reset"),
        [
            *((0, 0, 1, False), (0, 5, 1, False), (5, 5, 1, False), (2, 5, 3, False), (5, 5, 6, False)),
            *((1, 0, 1, True), (6, 5, 1, True), (1, 5, 3, True), (4, 5, 6, True)),
        ],
    )
    def test_tells_when_a_device_has_to_begin_again(
        self, after: int, current: int, kept_from: int, reset: bool
    ) -> None:
        window = Window(after, [], current, kept_from)
        assert window.reset is reset
        assert window.synced().reset is reset
        assert window.synced().seq == (current if reset else after)

    def test_ends_at_its_last_entry_whatever_is_left_of_it(self) -> None:
        synced = Window(0, [event(1), event(2)], 3, 1).synced()
        assert ([c["seq"] for c in synced.changes], synced.seq, synced.more) == ([2], 2, True)


def test_a_snapshot_and_changes_are_two_questions() -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        SyncChanges(after=1, cursor="x")
