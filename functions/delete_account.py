"""delete-account: deletes the caller's account and everything in it, for good."""

from __future__ import annotations

from functions.runtime.triggers import http, needs
from functions.store.users import Users
from functions.tasks.account_deletion import AccountDeleted, DeleteAccount, check_confirmation
from functions.tasks.models import Caller


@http("DELETE", "/api/account")
@needs("account")
def delete_account(command: DeleteAccount, caller: Caller, users: Users) -> AccountDeleted:
    check_confirmation(command, caller)
    users.delete(caller.user_id)
    return AccountDeleted()
