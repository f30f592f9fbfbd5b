"""The events: what consumers can rely on, and what the activity log keeps of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from functions.tasks import events
from functions.tasks.events import (
    REMINDER_EVENTS,
    TASK_EVENTS,
    ChangeEvent,
    Changes,
    Command,
    DueReminder,
    Event,
    NotificationSend,
    ReminderDue,
    caller_of,
    details_of,
    topic_of,
)

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_TASK = {
    "id": str(uuid4()),
    "title": "Water",
    "description": "all of them",
    "status": "open",
    "priority": "medium",
    "due_date": "2026-11-24",
    "time_zone": "UTC",
    "all_day": True,
    "version": 3,
    "recurrence": {"type": "daily", "interval": 1, "anchor": "due_date"},
    "recurrence_id": str(uuid4()),
    "occurrence": 2,
    "series_start": "2026-11-23",
    "created_at": "2026-11-23T09:00:00+00:00",
    "updated_at": "2026-11-23T09:00:00+00:00",
}


def change(**fields: Any) -> ChangeEvent:
    basis = {
        "event_id": str(uuid4()),
        "type": "task.created",
        "user_id": str(uuid4()),
        "seq": 1,
        "occurred_at": "2026-11-23T09:00:00Z",
        "correlation_id": "c-1",
        "entity_type": "task",
        "entity_id": _TASK["id"],
        "data": {"task": _TASK},
    }
    return ChangeEvent.model_validate(basis | fields)


_REMINDER = {"user_id": uuid4(), "reminder_id": uuid4(), "task_id": uuid4(), "title": "a", "scheduled_time": _NOW}

_SMALLEST: dict[type[Event], dict[str, Any]] = {
    ChangeEvent: change().model_dump(),
    Changes: {"events": [change().model_dump()]},
    Command: {"user_id": uuid4(), "command": {}},
    ReminderDue: {"reminders": [_REMINDER]},
    NotificationSend: {"delivery": _REMINDER | {"channel": "email", "address": "ann@example.com"}},
}


@pytest.mark.parametrize("model", _SMALLEST, ids=lambda model: model.__name__)
def test_a_field_of_a_later_version_is_ignored(model: type[Event]) -> None:
    known = model.model_validate(_SMALLEST[model])
    assert model.model_validate(_SMALLEST[model] | {"new_in_2030": {"a": 1}}) == known


@pytest.mark.parametrize("model", _SMALLEST, ids=lambda model: model.__name__)
def test_an_event_round_trips_as_json(model: type[Event]) -> None:
    event = model.model_validate(_SMALLEST[model])
    assert model.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize("model", [Changes, ReminderDue])
def test_a_batch_is_not_empty(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({"events": [], "reminders": []})


@pytest.mark.parametrize(
    ("event_type", "topic"),
    [
        ("task.created", TASK_EVENTS),
        ("task.deleted", TASK_EVENTS),
        ("tag.updated", TASK_EVENTS),
        ("reminder.sent", REMINDER_EVENTS),
        ("reminder.failed", REMINDER_EVENTS),
    ],
)
def test_each_type_has_its_topic(event_type: str, topic: str) -> None:
    assert topic_of(event_type) == topic


def test_the_topics_are_those_of_the_design() -> None:
    named = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    assert named == {
        "task.create",
        "task.events",
        "reminder.events",
        "reminder.due",
        "notification.send",
        "notification.send.web-push",
        "notification.send.webhook",
        "notification.dlq",
        "message.dlq",
    }


def test_a_consumer_acts_for_the_user_of_the_change_and_under_its_correlation_id() -> None:
    event = change()
    caller = caller_of(event)
    assert (caller.user_id, caller.correlation_id) == (event.user_id, "c-1")


def test_the_log_keeps_what_tells_the_task_and_what_changed_not_all_of_it() -> None:
    changes = {"title": ["Wter", "Water"]}
    kept = details_of(change(type="task.updated", data={"task": _TASK, "changes": changes}))
    assert (kept["title"], kept["due_date"], kept["version"], kept["changes"]) == ("Water", "2026-11-24", 3, changes)
    assert not {"description", "tags", "reminders"} & kept.keys()
    assert "changes" not in details_of(change())


def test_the_log_keeps_all_that_is_said_of_a_tag_or_a_reminder() -> None:
    for kind, data in (("tag", {"tag": {"name": "home"}}), ("reminder", {"channel": "email", "lateness_seconds": 0.2})):
        assert details_of(change(entity_type=kind, data=data)) == data


@pytest.mark.parametrize("data", [{}, {"moon": "full"}, {"task": None, "moon": "full"}], ids=str)
def test_the_log_keeps_what_an_unknown_type_says(data: dict[str, Any]) -> None:
    kept = details_of(change(type="task.exploded", data=data))
    assert kept == {name: value for name, value in data.items() if name != "task"}


def test_a_due_reminder_goes_to_every_channel_unless_it_names_one() -> None:
    assert DueReminder.model_validate(_REMINDER).delivery_channel == "all"
    with pytest.raises(ValidationError):
        DueReminder.model_validate(_REMINDER | {"delivery_channel": "sms"})
