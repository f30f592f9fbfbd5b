"""What devices are told of a user's list: changes in the order of the change log, or the whole as it is.

A change is the same message in the answers of sync-changes and on the sockets of functions/hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from functions.tasks.errors import InvalidInput
from functions.tasks.events import ChangeEvent
from functions.tasks.models import Input, Reminder, Tag, Task
from functions.tasks.query import Cursor
from functions.tasks.values import Int

MAX_SEQ = 2**63 - 1


class SyncChanges(Input):
    """`after` is the seq that the device has: it is told what came since. Without it, a page of the list as it is; the
    pages after the first one are asked for by `cursor`. `limit` counts entries of the change log, or items."""

    after: Annotated[Int, Field(ge=0, le=MAX_SEQ)] | None = None
    cursor: Cursor | None = None
    limit: Annotated[Int, Field(ge=1, le=1000)] = 500

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.after is not None and self.cursor is not None:
            raise InvalidInput("cursor", "is of a snapshot: give either after or cursor")
        return self


class SyncedChanges(BaseModel):
    """What came after a seq, in order, until `seq`; `more` says that this is not all yet.

    Of one task, tag or reminder there is the last change only, and any that tells of conflicts. With `reset` the seq
    that was given is before what the change log keeps, or not this log's: the device begins with a snapshot.
    """

    changes: list[dict[str, Any]] = Field(
        default=[],
        description="each as a WebSocket tells it: `type`, `seq`, `entity_type`, `entity_id`, `occurred_at`, and the"
        " data of the event (docs/events)",
    )
    seq: int
    more: bool = False
    reset: bool = False


class Snapshot(BaseModel):
    """A page of all tasks and tags. `seq` is that of the first page: after the last one the device goes on with what
    came after that. What changed meanwhile may be in both, and is the same."""

    tasks: list[Task] = []
    tags: list[Tag] = []
    seq: int
    next_cursor: str | None = None


@dataclass(frozen=True)
class Window:
    """A run of one user's change log after some seq, and where that log begins and ends."""

    after: int
    events: list[ChangeEvent]
    current: int
    """The last seq there is."""
    kept_from: int
    """The first one that is still kept; `current + 1` where none is."""

    @property
    def seq(self) -> int:
        return self.events[-1].seq if self.events else self.after

    @property
    def reset(self) -> bool:
        """Whether a device that has `after` cannot be told what came since."""
        return not self.kept_from - 1 <= self.after <= self.current

    def synced(self) -> SyncedChanges:
        if self.reset:
            return SyncedChanges(seq=self.current, reset=True)
        changes = [change_message(event) for event in compacted(self.events)]
        return SyncedChanges(changes=changes, seq=self.seq, more=self.seq < self.current)


def compacted(events: Iterable[ChangeEvent]) -> list[ChangeEvent]:
    """Of each task, tag and reminder the last event that has its whole state, in order: it stands for those before it.
    One that tells of conflicts stays, as nothing else does."""
    last: dict[tuple[str, str], ChangeEvent] = {}
    for event in events:
        last[_subject(event)] = event
    return sorted(last.values(), key=lambda event: event.seq)


def _subject(event: ChangeEvent) -> tuple[str, str]:
    """What an event has the state of: one about a reminder may have its task, with all reminders of that."""
    if event.data.get("conflicts"):
        return "event", str(event.event_id)
    task = event.data.get("task")
    if isinstance(task, dict):
        return "task", str(task.get("id"))
    return event.entity_type, str(event.entity_id)


def change_message(event: ChangeEvent) -> dict[str, Any]:
    """A change as devices are told it: the task and the reminder as the API answers them, without what is kept and not
    answered. Of one that this version cannot read (a newer one wrote it) the fields that it knows, as they are."""
    said = dict(event.data)
    for name, model in (("task", Task), ("reminder", Reminder)):
        if name in said:
            try:
                said[name] = model.model_validate(said[name]).model_dump(mode="json")
            except (ValidationError, InvalidInput):
                known = {field for field, info in model.model_fields.items() if not info.exclude}
                said[name] = {field: value for field, value in dict(said[name]).items() if field in known}
    envelope = event.model_dump(mode="json", include={"type", "seq", "entity_type", "entity_id", "occurred_at"})
    return envelope | {name: value for name, value in said.items() if name not in envelope}
