"""What the functions really publish is what the contracts say, all of it, and by whom they say."""

from __future__ import annotations

import pytest

from functions.runtime.triggers import Function, load
from functions.tasks.event_data import EVENT_DATA
from functions.tasks.events import Changes
from functions.tasks.models import Reminder, Task
from tests.contract.life import PUBLISHING, Life
from tests.contract.schemas import errors, unknown, wire

KEPT = {name for model in (Task, Reminder) for name, field in model.model_fields.items() if field.exclude}
"""What the store keeps with a task, and its events carry, but the API does not answer: no part of the contract."""


def test_every_type_of_event_happens_and_no_other(life: Life) -> None:
    assert {change.type for change in life.sidecar.changes} == EVENT_DATA.keys()


@pytest.mark.parametrize("name", EVENT_DATA)
def test_each_event_is_as_its_schema_says(life: Life, name: str) -> None:
    changes = [wire(change) for change in life.sidecar.changes if change.type == name]
    assert [error for change in changes for error in errors(name, change)] == []


@pytest.mark.parametrize("name", EVENT_DATA)
def test_no_event_says_more_than_its_schema(life: Life, name: str) -> None:
    changes = [wire(change) for change in life.sidecar.changes if change.type == name]
    assert {field for change in changes for field in unknown(name, change)} <= KEPT


def test_the_whole_change_log_is_published(life: Life) -> None:
    published = [change.event_id for change in life.sidecar.changes]
    assert published == [change.event_id for change in life.world.changes(life.caller)]


def test_each_message_is_as_its_schema_says(life: Life) -> None:
    sent = [*life.sidecar.messages, Changes(events=life.sidecar.changes)]
    assert {type(message).__name__ for message in sent} == {"Changes", "ReminderDue", "NotificationSend"}
    for message in sent:
        name = type(message).__name__
        assert errors(name, wire(message)) == []
        assert list(unknown(name, wire(message))) == []


@pytest.mark.parametrize("function", load(), ids=lambda function: function.name)
def test_each_function_sends_what_it_says_and_nothing_else(life: Life, function: Function) -> None:
    if PUBLISHING & set(function.hints.values()):
        assert function.name in life.sent, f"Life does not run {function.name}"
    assert life.sent.get(function.name, set()) == set(function.sends)
