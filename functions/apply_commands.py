"""apply-commands: carries out a batch of commands, each once: what a client did while it was offline."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.commands import Commands
from functions.runtime.triggers import http, sends
from functions.tasks.commands import ApplyCommands, CommandResults
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS
from functions.tasks.models import Caller


@http("POST", "/api/commands")
@sends(TASK_EVENTS, REMINDER_EVENTS)
def apply_commands(batch: ApplyCommands, caller: Caller, commands: Commands, now: datetime) -> CommandResults:
    return commands.apply(batch, caller, now)
