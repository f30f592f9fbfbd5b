"""Tasks and the commands that change them: what is accepted, what is refused by which field, what is answered."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from functions.tasks.account_deletion import DeleteAccount
from functions.tasks.accounts import IssueToken, ManageTokens
from functions.tasks.commands import ApplyCommands, SentCommand
from functions.tasks.delivery import RedriveNotifications
from functions.tasks.devices import ManageDevices, PushKeys
from functions.tasks.errors import InvalidInput
from functions.tasks.exports import ExportData
from functions.tasks.models import (
    CompleteTask,
    CreateTask,
    DeleteTask,
    Input,
    OccurrenceRef,
    Reminder,
    ReminderSpec,
    Task,
    TaskRef,
    UpdateTask,
    VersionedRef,
    resolve_due,
)
from functions.tasks.query import ListActivity, ListTasks
from functions.tasks.recurrence import PreviewRecurrence
from functions.tasks.snooze import ManageReminders
from functions.tasks.sync import SyncChanges
from functions.tasks.tags import ManageTags
from functions.tasks.unsubscribing import Unsubscribe
from functions.tasks.user_settings import ManageSettings, QuietHours

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_ID = uuid4()

_PATH = re.compile(r"[a-z_]\w*(\.(\w+|\d+))*", re.ASCII)

_SMALLEST: dict[type[Input], dict[str, Any]] = {
    CreateTask: {"title": "a"},
    UpdateTask: {"task_id": _ID},
    TaskRef: {"task_id": _ID},
    VersionedRef: {"task_id": _ID},
    OccurrenceRef: {"task_id": _ID},
    CompleteTask: {"task_id": _ID},
    DeleteTask: {"task_id": _ID},
    ManageTags: {},
    ManageReminders: {},
    ReminderSpec: {"offset": "PT1H"},
    PreviewRecurrence: {"recurrence": {"type": "daily"}, "due_date": "2026-11-23"},
    ListTasks: {},
    SyncChanges: {},
    ListActivity: {},
    ManageDevices: {},
    PushKeys: {"p256dh": "", "auth": ""},
    ManageSettings: {},
    QuietHours: {"start": "22:00", "end": "07:00"},
    RedriveNotifications: {},
    Unsubscribe: {"token": ""},
    DeleteAccount: {"confirm": "ann"},
    ExportData: {},
    IssueToken: {"action": "token"},
    ManageTokens: {"action": "list"},
    SentCommand: {"key": "1", "function": "create-task"},
    ApplyCommands: {"sent_at": "2026-11-23T09:00:00Z", "commands": [{"key": "1", "function": "create-task"}]},
}
"""What suffices for each input."""


def fields_refused(model: type[BaseModel], **fields: Any) -> set[str]:
    """The paths that an input is refused for."""
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return {".".join(map(str, item["loc"])) for item in error.errors()}
    except InvalidInput as error:
        return {error.field}
    return set()


def task(**fields: Any) -> Task:
    return Task.model_validate({"id": _ID, "title": "a", "created_at": _NOW, "updated_at": _NOW, **fields})


class TestInputs:
    def test_every_one_of_them_is_tried_here(self) -> None:
        def all_of(model: type[Input]) -> set[type[Input]]:
            return {one for sub in model.__subclasses__() for one in (sub, *all_of(sub))}

        assert {m.__name__ for m in all_of(Input)} - {"TaskFields"} == {m.__name__ for m in _SMALLEST}

    @pytest.mark.parametrize("model", _SMALLEST, ids=lambda model: model.__name__)
    def test_refuse_what_they_do_not_know(self, model: type[Input]) -> None:
        assert fields_refused(model, **_SMALLEST[model]) == set()
        assert fields_refused(model, **_SMALLEST[model], surprise=1) == {"surprise"}

    @pytest.mark.parametrize("model", _SMALLEST, ids=lambda model: model.__name__)
    def test_refuse_wrong_types_in_every_field(self, model: type[Input]) -> None:
        for name, field in model.model_fields.items():
            said = field.alias or name
            wrong = {**_SMALLEST[model], said: ["a list"] if field.annotation == dict[str, Any] else {"an": "object"}}
            refused = fields_refused(model, **wrong)
            assert refused, said
            assert {path.split(".")[0] for path in refused} == {said}
            assert all(_PATH.fullmatch(path) for path in refused), refused


class TestCreateTask:
    def test_has_the_defaults_of_the_api(self) -> None:
        command = CreateTask(title="Buy milk")
        assert (command.description, command.status, command.priority) == ("", "open", "medium")
        assert (command.tags, command.reminders) == ([], [])
        assert [command.due_date, command.time_zone, command.all_day, command.recurrence] == [None] * 4

    def test_needs_a_title(self) -> None:
        assert fields_refused(CreateTask) == {"title"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("title", ""),
            ("title", "   "),
            ("title", "x" * 501),
            ("title", "a\x00b"),
            ("title", None),
            ("title", 5),
            ("description", "x" * 20_001),
            ("description", "a\x00b"),
            ("description", None),
            ("status", "completed"),
            ("status", "done"),
            ("priority", "highest"),
            ("priority", "HIGH"),
            ("priority", None),
            ("due_date", "0000-01-01T00:00:00Z"),
            ("due_date", "10000-01-01T00:00:00Z"),
            ("due_date", "2026-11-23T09:00:00"),
            ("due_date", "2026-02-30"),
            ("due_date", 1_763_884_800),
            ("due_date", ""),
            ("time_zone", "Mars/Olympus"),
            ("time_zone", ""),
            ("all_day", "true"),
            ("all_day", 1),
            ("tags", "work"),
            ("tags", None),
            ("tags.0", [""]),
            ("tags.0", ["x" * 51]),
            ("tags.1", ["a", "b\x00"]),
            ("tags.0", [{"name": "a"}]),
            ("tags", ["a"] * 51),
            ("reminder_offset", "1 hour"),
            ("reminder_offset", "-PT1H"),
            ("reminder_offset", 3600),
            ("reminders", {"offset": "PT1H"}),
            ("reminders", None),
            ("reminders", [{"offset": "PT1H"}] * 21),
            ("reminders.0", [{}]),
            ("reminders.0", [{"offset": "PT1H", "at": "2026-11-23T09:00:00Z"}]),
            ("reminders.0.at", [{"at": "2026-11-23"}]),
            ("reminders.0.offset", [{"offset": "P1Y"}]),
            ("reminders.0.delivery_channel", [{"offset": "PT1H", "delivery_channel": "sms"}]),
            ("reminders.0.id", [{"offset": "PT1H", "id": str(_ID)}]),
            ("recurrence.type", {"type": "hourly"}),
            ("recurrence.interval", {"type": "daily", "interval": 0}),
            ("recurrence", "daily"),
            ("id", "1"),
            ("id", 1),
            ("version", 1),
            ("created_at", "2026-11-23T09:00:00Z"),
            ("completed_at", "2026-11-23T09:00:00Z"),
            ("user_id", str(_ID)),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_refuses_naming_the_field(self, field: str, value: object) -> None:
        name = field.partition(".")[0]
        assert field in fields_refused(CreateTask, **{"title": "a", name: value})

    @pytest.mark.parametrize(
        ("field", "value"),
        [("title", "x"), ("title", "x" * 500), ("description", "y" * 20_000), ("tags", ["x" * 50] * 50)],
        ids=["shortest title", "longest title", "longest description", "most tags"],
    )
    def test_takes_what_is_just_allowed(self, field: str, value: object) -> None:
        assert fields_refused(CreateTask, **{"title": "a", field: value}) == set()

    def test_takes_an_id_of_the_callers_own(self) -> None:
        assert CreateTask.model_validate({"title": "a", "id": str(_ID)}).id == _ID


class TestUpdateTask:
    def test_knows_which_fields_were_named(self) -> None:
        command = UpdateTask.model_validate({"task_id": _ID, "due_date": None})
        assert command.model_fields_set == {"task_id", "due_date"}

    @pytest.mark.parametrize("field", ["title", "description", "status", "priority", "tags", "reminders"])
    def test_refuses_null_where_a_task_always_has_a_value(self, field: str) -> None:
        assert fields_refused(UpdateTask, task_id=_ID, **{field: None}) == {field}

    @pytest.mark.parametrize("field", ["due_date", "reminder_offset", "recurrence", "version", "time_zone", "all_day"])
    def test_takes_null_elsewhere(self, field: str) -> None:
        assert fields_refused(UpdateTask, task_id=_ID, **{field: None}) == set()

    def test_needs_a_title_to_replace(self) -> None:
        assert fields_refused(UpdateTask, task_id=_ID, replace=True) == {"title"}
        assert fields_refused(UpdateTask, task_id=_ID, replace=True, title="a") == set()

    def test_needs_a_task(self) -> None:
        assert fields_refused(UpdateTask, title="a") == {"task_id"}

    @pytest.mark.parametrize("version", [0, -1, "1", 1.0, True])
    def test_refuses_what_is_no_version(self, version: object) -> None:
        assert "version" in {path.split(".")[0] for path in fields_refused(UpdateTask, task_id=_ID, version=version)}

    @pytest.mark.parametrize("title", ["", " ", "x" * 501])
    def test_checks_a_named_title(self, title: str) -> None:
        assert fields_refused(UpdateTask, task_id=_ID, title=title) == {"title"}


class TestTask:
    def test_of_an_instant_is_due_and_overdue_at_it(self) -> None:
        due = task(due_date="2026-11-23T09:00:00+01:00", time_zone="Europe/Berlin")
        assert due.due_at == due.overdue_at == datetime(2026, 11, 23, 8, tzinfo=UTC)

    def test_of_a_day_is_due_as_it_begins_and_overdue_when_it_is_over(self) -> None:
        due = task(due_date="2026-10-25", all_day=True, time_zone="Europe/Berlin")
        assert due.due_at == datetime(2026, 10, 24, 22, tzinfo=UTC)
        assert due.overdue_at == datetime(2026, 10, 25, 23, tzinfo=UTC)  # this day has 25 hours

    def test_without_a_due_date_is_never_overdue(self) -> None:
        assert task().due_at is task().overdue_at is None

    @pytest.mark.parametrize(
        ("spec", "fires"),
        [
            ({"offset": "PT1H"}, "2027-03-28T06:00:00+00:00"),
            ({"offset": "P1D"}, "2027-03-27T08:00:00+00:00"),
            ({"offset": "PT24H"}, "2027-03-27T07:00:00+00:00"),
            ({"at": "2026-12-24T18:00:00+01:00"}, "2026-12-24T17:00:00+00:00"),
        ],
    )
    def test_reminds_before_it_is_due_or_at_an_instant(self, spec: dict[str, str], fires: str) -> None:
        due = task(due_date="2027-03-28T09:00:00+02:00", time_zone="Europe/Berlin")
        moment = due.scheduled_time(ReminderSpec.model_validate(spec))
        assert moment == datetime.fromisoformat(fires)

    def test_of_a_day_reminds_before_the_day_begins_in_its_zone(self) -> None:
        due = task(due_date="2026-11-23", all_day=True, time_zone="Asia/Tokyo")
        assert due.scheduled_time(ReminderSpec(offset="PT1H")) == datetime(2026, 11, 22, 14, tzinfo=UTC)

    def test_has_no_time_for_an_offset_from_nothing(self) -> None:
        assert task().scheduled_time(ReminderSpec(offset="PT1H")) is None

    def test_answers_what_the_api_says_and_no_more(self) -> None:
        series: dict[str, Any] = {"recurrence": {"type": "daily"}, "recurrence_id": _ID, "occurrence": 1}
        series |= {"series_start": "2026-11-23", "reminder_specs": [{"offset": "PT1H"}]}
        answer = task(due_date="2026-11-23", all_day=True, **series).model_dump(mode="json")
        assert set(answer) == {
            *("id", "title", "description", "status", "priority", "due_date", "time_zone", "all_day", "tags"),
            *("reminder_offset", "reminders", "recurrence", "recurrence_id", "occurrence", "version"),
            *("created_at", "updated_at", "completed_at"),
        }
        assert answer["due_date"] == "2026-11-23"

    def test_answers_a_reminder_as_the_api_says(self) -> None:
        reminder = Reminder(id=_ID, offset="PT1H", scheduled_time=_NOW)
        answer = reminder.model_dump(mode="json")
        assert {"id", "scheduled_time", "status", "delivery_channel"} <= set(answer)
        assert answer["scheduled_time"] == "2026-11-23T09:00:00Z"

    def test_round_trips_as_json(self) -> None:
        due = task(due_date="2026-11-23T09:00:00.123456Z", reminders=[{"id": _ID, "at": _NOW, "scheduled_time": _NOW}])
        assert Task.model_validate_json(due.model_dump_json()) == due


class TestResolveDue:
    day, instant = date(2026, 11, 23), datetime(2026, 11, 23, 9, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("due_date", "all_day", "resolved"),
        [
            (None, None, False),
            (None, False, False),
            (day, None, True),
            (day, True, True),
            (instant, None, False),
            (instant, False, False),
        ],
    )
    def test_follows_what_is_written(self, due_date: date | None, all_day: bool | None, resolved: bool) -> None:
        assert resolve_due(due_date, all_day) is resolved

    @pytest.mark.parametrize(("due_date", "all_day"), [(instant, True), (day, False)])
    def test_refuses_a_contradiction(self, due_date: date, all_day: bool) -> None:
        with pytest.raises(InvalidInput) as refused:
            resolve_due(due_date, all_day)
        assert refused.value.field == "due_date"


def test_completing_is_the_default_action() -> None:
    assert CompleteTask(task_id=_ID).action == "complete"
    assert fields_refused(CompleteTask, task_id=_ID, action="delete") == {"action"}


def test_listing_is_the_default_action_on_tags() -> None:
    assert ManageTags().action == "list"
    assert fields_refused(ManageTags, action="steal") == {"action"}
    assert fields_refused(ManageTags, name="a,b") == {"name"}
    assert fields_refused(ManageTags, color="red") == {"color"}


def test_a_preview_is_of_500_occurrences_at_most() -> None:
    smallest = _SMALLEST[PreviewRecurrence]
    assert fields_refused(PreviewRecurrence, **smallest, count=500) == set()
    assert fields_refused(PreviewRecurrence, **smallest, count=501) == {"count"}
    assert fields_refused(PreviewRecurrence, **smallest, count=0) == {"count"}
