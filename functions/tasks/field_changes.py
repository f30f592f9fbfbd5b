"""What is kept of each part of a task's last change, and what is told where two edits of one met."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from functions.tasks.values import Instant


class FieldChange(BaseModel):
    """The last change of one part of a task: the version that it made, when it was edited, and by which sign-in."""

    version: int
    at: Instant
    by: UUID | None = None


class Conflict(BaseModel):
    """A part of a task that was changed by two edits, neither of which knew the other. `due_date` is an object of
    `due_date`, `all_day` and `time_zone`, which are one part."""

    field: str
    winner: Literal["yours", "theirs"] = Field(description="the later edit, which the task has now")
    yours: Any = Field(description="what the edit asked for that found the conflict")
    theirs: Any = Field(description="what the task had then")
