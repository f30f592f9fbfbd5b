"""Accounts, as far as their owner deletes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Caller, Input
from functions.tasks.values import PlainText


class DeleteAccount(Input):
    """`confirm` is the email address or the name of the account: a call that was not meant, or with another user's
    token than was thought, deletes nothing."""

    confirm: Annotated[PlainText, StringConstraints(max_length=320)] = Field(
        description="your email address, or your user name"
    )


class AccountDeleted(BaseModel):
    deleted: Literal[True] = True


def check_confirmation(command: DeleteAccount, caller: Caller) -> None:
    """Raises InvalidInput unless it names the caller."""
    if command.confirm.casefold() not in {name.casefold() for name in (caller.email, caller.name) if name}:
        raise InvalidInput("confirm", "must be your email address or your user name")
