"""A client of the Dapr API at the edge, as any program might write it: plain HTTP, patient with a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from tools.demo_plan import Json

AGAIN = (502, 503, 504)
"""Statuses that say: not now. The proxy or a sidecar answers them while what is behind it restarts."""

TIMEOUT = 15.0
MARGIN = 60.0
"""Seconds before a token expires in which another one is asked for."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class Refused(Exception):
    """The server answered, and the answer is no: the same call would be refused again."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:300]}")
        self.status = status


class Unreachable(Exception):
    """No answer within the client's patience."""


@dataclass(frozen=True)
class Answer:
    body: Any
    seconds: float
    """From sending the request that succeeded to its answer."""
    at: float
    """When it came, on the monotonic clock."""


@dataclass(frozen=True)
class Account:
    """What a user signs in with."""

    email: str
    password: str = field(repr=False)


class Edge:
    """Calls functions for one user. Thread-safe: every thread keeps a connection of its own."""

    def __init__(self, url: str, account: Account, patience: float) -> None:
        """`patience`: for how many seconds a call is repeated; 0 tries once."""
        self._url = urlsplit(url)
        self._account = account
        self._patience = patience
        self._local = threading.local()
        self._signing_in = threading.Lock()
        self._token, self._renew_at = "", 0.0

    def sign_up(self) -> None:
        """Makes the account. Raises as `call` does; that it is there is no error: an answer may have been lost."""
        try:
            self._call("issue-token", {"action": "signup", **asdict(self._account)}, None, headers={})
        except Refused as refusal:
            if refusal.status != HTTPStatus.CONFLICT:
                raise

    def _authorization(self) -> dict[str, str]:
        """Signs in where there is no token, or one that expires in a minute."""
        with self._signing_in:
            if time.monotonic() >= self._renew_at:
                answer = self._call("issue-token", {"action": "token", **asdict(self._account)}, None, headers={})
                self._token = answer.body["access_token"]
                self._renew_at = answer.at + answer.body["expires_in"] - MARGIN
            return {"Authorization": f"Bearer {self._token}"}

    def call(
        self,
        function: str,
        command: Json | Callable[[], Json] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """POSTs `command` (made anew for every attempt, if it is a callable), or GETs with `query`.

        Raises Refused for an answer that is not 200, Unreachable when there is none in time.
        """
        return self._call(function, command, query, headers=self._authorization())

    def _call(
        self,
        function: str,
        command: Json | Callable[[], Json] | None,
        query: Mapping[str, Any] | None,
        *,
        headers: dict[str, str],
    ) -> Answer:
        path = f"{self._url.path.rstrip('/')}/v1.0/invoke/{function}/method/{function}"
        end = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            body = command() if callable(command) else command
            start = time.monotonic()
            try:
                if body is None:
                    status, text = self._request("GET", f"{path}?{urlencode(query or {})}", None, headers)
                else:
                    status, text = self._request("POST", path, json.dumps(body).encode(), headers)
            except (OSError, HTTPException) as error:
                self._hang_up()
                fault = f"{type(error).__name__}: {error}"
            else:
                if status == 200:
                    now = time.monotonic()
                    return Answer(json.loads(text), now - start, now)
                if status not in AGAIN:
                    raise Refused(status, text)
                fault = f"{status} {text[:200]}"
            if time.monotonic() + pause > end:
                raise Unreachable(f"{function}: {fault}")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _request(self, verb: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        connection = self._connection()
        connection.request(verb, path, body=body, headers={"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()

    def _connection(self) -> HTTPConnection:
        if getattr(self._local, "connection", None) is None:
            kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
            self._local.connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT)
        connection: HTTPConnection = self._local.connection
        return connection

    def _hang_up(self) -> None:
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None
