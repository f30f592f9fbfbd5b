"""People who sign up, from an address of their own, so that no test uses up another's limit."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from tests.support.client import TIMEOUT_SECONDS, Client, Json, Spelling, expect
from tests.support.system import System

PASSWORD = "correct horse battery"


class Person(Client):
    """A client that signs in with a password, in one spelling of the API."""

    def __init__(self, system: System, spelling: Spelling = "rest", email: str = "", address: str = "") -> None:
        super().__init__(system.url, None)
        self.system = system
        self.spelling = spelling
        # Not by `random`, which begins anew with each example of a property.
        self.address = address or "127.{}.{}.{}".format(*(1 + byte % 254 for byte in uuid4().bytes[:3]))
        self.login = email or f"{uuid4().hex}@example.org"
        transport = httpx.HTTPTransport(local_address=self.address)
        self.http = httpx.Client(base_url=system.url, transport=transport, timeout=TIMEOUT_SECONDS, trust_env=False)
        self.refresh_token = ""

    def ask(self, action: str, **inputs: Any) -> httpx.Response:
        """issue-token's answer."""
        if self.spelling == "rest":
            return self.rest("POST", f"/api/auth/{action}", inputs)
        return self.dapr("issue-token", {"action": action, **inputs})

    def manage(self, action: str, **inputs: Any) -> httpx.Response:
        """manage-tokens' answer."""
        if self.spelling == "dapr":
            return self.dapr("manage-tokens", {"action": action, **inputs})
        if action in ("signout", "password"):
            return self.rest("POST", f"/api/auth/{action}", inputs)
        if action == "delete":
            return self.rest("DELETE", f"/api/auth/tokens/{inputs['token_id']}")
        return self.rest(
            "GET" if action == "list" else "POST", "/api/auth/tokens", None if action == "list" else inputs
        )

    def sign_up(self, **inputs: Any) -> Json:
        return self.have(expect(self.ask("signup", email=self.login, password=PASSWORD, **inputs)))

    def sign_in(self, password: str = PASSWORD) -> Json:
        return self.have(expect(self.ask("token", email=self.login, password=password)))

    def refresh(self) -> Json:
        return self.have(expect(self.ask("refresh", refresh_token=self.refresh_token)))

    def have(self, tokens: Json) -> Json:
        """Uses these tokens from now on."""
        self.refresh_token = tokens["refresh_token"]
        self.bearer(tokens["access_token"])
        return tokens

    def bearer(self, token: str) -> None:
        self.http.headers["Authorization"] = f"Bearer {token}"

    def again(self) -> Person:
        """The same person at another device, who has not signed in there."""
        return Person(self.system, self.spelling, self.login)
