"""Merging the edits of several devices, part by part: what others changed since the version that an edit was made on.

A task keeps of each of its parts (UNITS) the version that changed it last, and when that edit was made. An edit that
names the version it was made on conflicts only in the parts that were changed since; there the later edit wins,
whichever arrives first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.tasks.errors import InvalidInput
from functions.tasks.field_changes import Conflict, FieldChange
from functions.tasks.models import Tag, Task, TaskFields, UpdateTask
from functions.tasks.reminders import spec_key
from functions.tasks.values import MAX_TAGS

FIELDS = frozenset(TaskFields.model_fields)

UNITS: dict[str, frozenset[str]] = {
    **{name: frozenset({name}) for name in TaskFields.model_fields if name not in ("all_day", "time_zone")},
    "due_date": frozenset({"due_date", "all_day", "time_zone"}),
}
"""What merges as one, by its name, with the fields of a command that it has."""


@dataclass(frozen=True)
class Merge:
    """What is left of an edit, and where it met others'."""

    command: UpdateTask
    conflicts: list[Conflict]


def noted(old: Task, new: Task, *, at: datetime, by: UUID | None = None, tags: bool = False) -> dict[str, FieldChange]:
    """When each part of `new` was changed last, where it was `old` before an edit made `at` a time, `by` a sign-in.

    The time of an edit is never before that of the one that it replaces: its device had seen that one, whatever its
    clock said. `tags` says whether they changed, as they are not kept with the task.
    """
    before, after = _values(old), _values(new)
    changes = dict(old.field_changes)
    for unit in UNITS:
        if tags if unit == "tags" else before[unit] != after[unit]:
            known = changes.get(unit)
            changes[unit] = FieldChange(version=new.version, at=max(at, known.at) if known else at, by=by)
    return changes


def made_at(command: UpdateTask, now: datetime) -> datetime:
    """When an edit was made: as said, and never later than now."""
    return min(command.made_at or now, now)


def merge(command: UpdateTask, task: Task, *, now: datetime, by: UUID | None = None) -> Merge:
    """The command without the parts in which another edit wins over it, its `add_tags` and `remove_tags` done.

    An edit by the sign-in that changed a part last knew that change, unless it is the older one. Without
    `base_version` nothing conflicts. Raises InvalidInput.
    """
    named = FIELDS & command.model_fields_set
    if command.replace:
        named = FIELDS - ({"status", "time_zone"} - command.model_fields_set)
    conflicts: list[Conflict] = []
    if command.base_version is not None:
        asked, made = _asked(command, task, named), made_at(command, now)
        yours, theirs = _values(asked), _values(task)
        for unit, fields in UNITS.items():
            known = task.field_changes.get(unit)
            if not named & fields or known is None or known.version <= command.base_version:
                continue
            if yours[unit] == theirs[unit] or (known.by == by is not None and known.at <= made):
                continue
            wins = known.at < made
            conflicts.append(
                Conflict(
                    field=unit,
                    winner="yours" if wins else "theirs",
                    yours=_told(asked, unit),
                    theirs=_told(task, unit),
                )
            )
            if not wins:
                named -= fields
    values = {name: getattr(command, name) for name in named}
    if command.add_tags or command.remove_tags:
        values["tags"] = _tags(command, task)
    return Merge(_naming(command, values), conflicts)


def _naming(command: UpdateTask, values: dict[str, Any]) -> UpdateTask:
    """The command with just these fields named."""
    kept = {name: getattr(command, name) for name in ("task_id", "version", "base_version", "made_at", "scope")}
    return UpdateTask.model_construct({*values, "task_id"}, **kept, **values)


def _tags(command: UpdateTask, task: Task) -> list[str]:
    """The tags that the task has, with those that the command adds and without those that it removes."""
    removed = {name.casefold() for name in command.remove_tags}
    names = {tag.name.casefold(): tag.name for tag in task.tags} | {n.casefold(): n for n in command.add_tags}
    left = [name for key, name in names.items() if key not in removed]
    if len(left) > MAX_TAGS:
        raise InvalidInput("add_tags", f"a task has at most {MAX_TAGS} tags")
    return left


def _asked(command: UpdateTask, task: Task, named: frozenset[str]) -> Task:
    """The task as the command has it, nothing that follows from it considered."""
    values = {name: getattr(command, name) for name in named - {"tags", "reminders", "all_day"}}
    if values.get("time_zone", "") is None:
        del values["time_zone"]
    if "reminders" in named:
        values["reminder_specs"] = command.reminders
    if "tags" in named:
        known = {tag.name.casefold(): tag for tag in task.tags}
        nobody = task.id  # a tag that is not one yet; its id is not looked at
        values["tags"] = [known.get(name.casefold(), Tag(id=nobody, name=name, color="")) for name in command.tags]
    asked = task.model_copy(update=values)
    all_day = asked.due_date is not None and not isinstance(asked.due_date, datetime)
    if asked.due_date is not None and "all_day" in named and command.all_day is not None:
        all_day = command.all_day
    return asked.model_copy(update={"all_day": all_day})


def _values(task: Task) -> dict[str, Any]:
    """What each part of a task is, to be compared."""
    values = {unit: getattr(task, unit) for unit in UNITS}
    return values | {
        "due_date": (task.due_date, task.all_day, task.time_zone),
        "tags": {tag.name.casefold() for tag in task.tags},
        "reminders": {spec_key(spec) for spec in task.reminder_specs},
    }


def _told(task: Task, unit: str) -> Any:
    """A part of a task as JSON."""
    if unit == "tags":
        return [tag.name for tag in task.tags]
    if unit == "reminders":
        return [spec.model_dump(mode="json") for spec in task.reminder_specs]
    told = task.model_dump(mode="json", include=set(UNITS[unit]))
    return told if unit == "due_date" else told[unit]
