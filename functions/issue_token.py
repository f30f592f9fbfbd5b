"""issue-token: makes accounts, signs their users in, and continues sign-ins."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4, uuid5

from functions.runtime import opaque
from functions.runtime.interceptor import Invocation
from functions.runtime.keys import Keys
from functions.runtime.limits import Limit, Limits
from functions.runtime.logs import logger
from functions.runtime.passwords import Passwords
from functions.runtime.rates import network
from functions.runtime.settings import Settings
from functions.runtime.tokens import Tokens
from functions.runtime.triggers import http
from functions.store.accounts import Accounts
from functions.tasks.accounts import (
    ACCESS_LIFETIME,
    IssuedTokens,
    IssueToken,
    KeySet,
    email_key,
    given,
    new_email,
    new_password,
    plain_password,
)
from functions.tasks.errors import AlreadyExists, PermissionDenied, TooManyRequests, Unauthenticated
from functions.tasks.models import Caller
from functions.tasks.values import uuid7

SIGN_UPS = Limit("sign-ups", 20, timedelta(hours=1))
"""From an address: enough for a room of people behind one."""

SIGN_INS = Limit("sign-ins", 60, timedelta(minutes=10))
"""From an address, with whatever emails."""

ATTEMPTS = Limit("sign-in-attempts", 10, timedelta(minutes=10))
"""For an email, from wherever, whether it has an account or not. Somebody who guesses keeps its user from signing in
meanwhile, but not from going on where they are signed in. SP 800-63B section 5.2.2 allows 100 failures in a row."""

REFRESHES = Limit("refreshes", 600, timedelta(minutes=10))
"""From an address: a token is refreshed every 15 minutes, and before each start of the app."""

REFRESHES_OF_USER = Limit("refreshes-of-user", 60, timedelta(minutes=10))
"""For a user at an address: who a token names is not proven yet, so a stranger elsewhere uses up nothing of theirs."""

CLIENTS = UUID("3f1f4f5e-0a55-5d0c-8a9b-7d8f2f0f4a61")
"""Namespace (RFC 9562 section 5.5) of what limits without a user are counted by."""

WRONG = "wrong email or password"


@http("POST", "/api/auth/signup", public=True, action="signup")
@http("POST", "/api/auth/token", public=True, action="token")
@http("POST", "/api/auth/refresh", public=True, action="refresh")
@http("GET", "/.well-known/jwks.json", public=True, action="jwks")
def issue_token(
    command: IssueToken,
    invocation: Invocation,
    accounts: Accounts,
    passwords: Passwords,
    tokens: Tokens,
    keys: Keys,
    limits: Limits,
    settings: Settings,
    now: datetime,
) -> IssuedTokens | KeySet:
    if settings.auth != "local":
        if command.action == "jwks":
            return KeySet(keys=[])
        where = f": sign in at {settings.oidc_issuer}" if settings.auth == "oidc" else ""
        raise PermissionDenied(f"there are no accounts here{where}")
    origin = network(invocation.address)

    def count_address(limit: Limit) -> None:
        if settings.limit_addresses:
            limits.take(limit, uuid5(CLIENTS, origin), now)

    match command.action:
        case "jwks":
            return KeySet(keys=tokens.keys.published())
        case "signup":
            email = new_email(command)
            password = new_password("password", given("password", command.password), email)
            count_address(SIGN_UPS)
            name = command.name or email.partition("@")[0]
            caller = Caller(user_id=uuid7(now), name=name, email=email, sign_in=uuid4())
            refresh = opaque.make(opaque.REFRESH, caller.user_id)
            hashed = passwords.hash(password)
            if not accounts.sign_up(caller, hashed, refresh.hash, now, time_zone=command.time_zone or "UTC"):
                raise AlreadyExists("this email address has an account: sign in")
        case "token":
            email, password = given("email", command.email), plain_password(given("password", command.password))
            count_address(SIGN_INS)
            limits.take(ATTEMPTS, uuid5(CLIENTS, email_key(email)), now)
            account = accounts.of_email(email)
            right = passwords.verify(account.password_hash if account else None, password)
            if account is None or not right:
                raise Unauthenticated(WRONG)
            caller = Caller(user_id=account.user_id, name=account.name, email=account.email, sign_in=uuid4())
            refresh = opaque.make(opaque.REFRESH, caller.user_id)
            if not accounts.begin(account, caller.sign_in or uuid4(), refresh.hash, now):
                raise Unauthenticated(WRONG)
            if passwords.is_outdated(account.password_hash):
                with suppress(TooManyRequests):  # the next sign-in will do
                    accounts.rehash(account, passwords.hash(password))
        case "refresh":
            text = given("refresh_token", command.refresh_token)
            count_address(REFRESHES)
            used = opaque.read(opaque.REFRESH, text)
            if used is None:
                raise Unauthenticated("sign in again")
            limits.take(REFRESHES_OF_USER, uuid5(CLIENTS, f"{used.user_id} {origin}"), now)
            refresh = opaque.make(opaque.REFRESH, used.user_id, keys.refresh_secret(text.encode()))
            refreshed = accounts.refresh(used.user_id, used.hash, refresh.hash, now)
            if refreshed is None or refreshed.reused:
                if refreshed is not None:
                    logger().warning("refresh_token_reused", user_id=str(used.user_id), sign_in=str(refreshed.sign_in))
                raise Unauthenticated("sign in again")
            caller = Caller(user_id=used.user_id, name=refreshed.name, email=refreshed.email, sign_in=refreshed.sign_in)
    return IssuedTokens(
        access_token=tokens.issue(caller, now),
        expires_in=int(ACCESS_LIFETIME.total_seconds()),
        refresh_token=refresh.text,
        user_id=caller.user_id,
    )
