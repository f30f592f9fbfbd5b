"""manage-tokens: what ends tokens (signing out everywhere, another password), and personal tokens for scripts."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.runtime import opaque
from functions.runtime.limits import Limit, Limits
from functions.runtime.passwords import Passwords
from functions.runtime.triggers import http, names, needs
from functions.store.accounts import Accounts, PersonalTokens
from functions.tasks.accounts import (
    ManageTokens,
    PersonalToken,
    PersonalTokenList,
    SignInsEnded,
    given,
    new_password,
    personal_expiry,
    plain_password,
)
from functions.tasks.errors import InvalidInput
from functions.tasks.models import Caller, Deleted

PASSWORDS = Limit("password-changes", 10, timedelta(minutes=10))
"""Who has found an access token must not find the password with it."""


@http("GET", "/api/auth/tokens", action="list")
@http("POST", "/api/auth/tokens", action="create")
@http("DELETE", "/api/auth/tokens/{token_id}", action="delete")
@http("POST", "/api/auth/signout", action="signout")
@http("POST", "/api/auth/password", action="password")
@needs("account")
def manage_tokens(
    command: ManageTokens,
    caller: Caller,
    accounts: Accounts,
    tokens: PersonalTokens,
    passwords: Passwords,
    limits: Limits,
    now: datetime,
) -> PersonalToken | PersonalTokenList | SignInsEnded | Deleted:
    match command.action:
        case "create":
            scopes = known_scopes(command.scopes)
            token = opaque.make(opaque.PERSONAL, caller.user_id)
            name, expires_at = given("name", command.name), personal_expiry(command, now)
            made = tokens.add(caller, name, scopes, token.hash, now, expires_at)
            return made.model_copy(update={"token": token.text})
        case "delete":
            if command.token_id is None:
                raise InvalidInput("token_id", "is required")
            tokens.remove(caller.user_id, command.token_id)
            return Deleted(id=command.token_id)
        case "signout":
            return SignInsEnded(ended=accounts.end(caller.user_id, now))
        case "password":
            old, new = given("old", command.old), given("new", command.new)
            limits.take(PASSWORDS, caller.user_id, now)
            account = accounts.of_user(caller.user_id)
            password = new_password("new", new, account.email)
            ended = None
            if passwords.verify(account.password_hash, plain_password(old)):
                ended = accounts.change_password(account, passwords.hash(password), caller.sign_in, now)
            if ended is None:
                raise InvalidInput("old", "is not the password")
            return SignInsEnded(ended=ended)
    return PersonalTokenList(items=tokens.list(caller.user_id))


def known_scopes(scopes: list[str] | None) -> list[str]:
    """The scopes of a new token, each once. Raises InvalidInput for one that is none."""
    known = {"read", "write", *names()}
    for scope in scopes or []:
        if scope not in known:
            raise InvalidInput("scopes", f"{scope} is none: read, write, or the name of a function")
    if not scopes:
        raise InvalidInput("scopes", "is required")
    return list(dict.fromkeys(scopes))
