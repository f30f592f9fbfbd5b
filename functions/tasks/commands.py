"""Commands in batches: what a client was asked to do while it was offline, each with a key of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, model_serializer

from functions.tasks.models import Input
from functions.tasks.values import Instant

COMMANDS = (
    "create-task",
    "update-task",
    "complete-task",
    "delete-task",
    "manage-tags",
    "manage-reminders",
    "manage-settings",
)
"""The functions that a batch may ask for."""

MAX_COMMANDS = 200

CommandKey = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,128}$")]


class SentCommand(Input):
    """`key` makes a repeat harmless, as the header Idempotency-Key does. `input` has the inputs of `function`, as the
    Dapr spelling takes them; `made_at` is when it was made, by the clock that says `sent_at`."""

    key: CommandKey
    function: Annotated[str, Field(max_length=100)]
    input: dict[str, Any] = Field(default={})
    made_at: Instant | None = None


class ApplyCommands(Input):
    """`sent_at` is now by the caller's clock, which may be wrong: `made_at` counts from it."""

    sent_at: Instant
    commands: Annotated[list[SentCommand], Field(min_length=1, max_length=MAX_COMMANDS)]


class CommandResult(BaseModel):
    """What one command was answered: `status` as in HTTP, with the `answer` of its function or an `error`."""

    key: str
    status: int
    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @model_serializer
    def _one_of(self) -> dict[str, Any]:
        said = {"answer": self.answer} if self.error is None else {"error": self.error}
        return {"key": self.key, "status": self.status, **said}


class CommandResults(BaseModel):
    """In the order of the commands. Fewer than those: the rest is to be sent again, as it was not tried or the answer
    would be too long."""

    results: list[CommandResult]


def made_at(command: SentCommand, sent_at: datetime, now: datetime) -> datetime:
    """When a command was made by our clock, where its caller's says `sent_at` now. Never later than now."""
    ago = max(sent_at - (command.made_at or sent_at), timedelta(0))
    return now - ago
