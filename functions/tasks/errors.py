"""What can go wrong, in the domain's own words. `runtime.errors` maps each to a gRPC status."""

from __future__ import annotations

import math


class DomainError(Exception):
    """A refusal that the caller may read: its text never holds internals."""


class InvalidInput(DomainError):
    """An input that cannot be kept as given; `field` is its path in the request, e.g. `recurrence.interval`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.description = message


class NotFound(DomainError):
    """Not there, or not the caller's: the two are never told apart."""

    def __init__(self, entity: str) -> None:
        super().__init__(f"no such {entity}")


class StaleVersion(DomainError):
    """The caller changed a version (or meant an occurrence) that is no longer the latest."""

    def __init__(self, given: int, current: int, what: str = "version") -> None:
        super().__init__(f"{what} {given} is stale: the latest is {current}")


class AlreadyExists(DomainError):
    """The name or id is taken."""


class Unauthenticated(DomainError):
    """No token, or one that does not hold."""


class PermissionDenied(DomainError):
    """The token holds, and is not for this."""


class Unavailable(DomainError):
    """A dependency is down: the same request may succeed later, at the earliest in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(DomainError):
    """The caller has used up a limit: the same request passes in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many requests: try again in {math.ceil(retry_after)} s")
        self.retry_after = retry_after


class Outage(Unavailable):
    """The database does not answer: nothing can be done, and it is no fault of what was asked."""


class Undeliverable(DomainError):
    """No attempt can deliver this notification; the text says why. `gone`: its device is there no more, for good."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone
