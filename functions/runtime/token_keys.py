"""The keys that access tokens are signed with. `python -m functions.runtime.token_keys` has a new one sign.

They are a JWK Set (RFC 7517) of P-256 keys. The first one that has its private part and no end signs; all of them
verify until their end. Where they come from: TICKLER_TOKEN_KEYS, or the secret named by TICKLER_TOKEN_KEYS_SECRET in
the Dapr secret store, or a file in the data folder that is made at first use. Functions that only verify do without
private parts.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.exceptions import InvalidKeyError
from jwt.utils import base64url_encode
from pydantic import ValidationError

from functions.runtime.keys import kept, write_draft
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.errors import Unavailable

NAME = "tokens"
"""Of the file in the folder `secrets`."""

REREAD = 5.0
"""Seconds between two looks into the secret store for a key that is not known, at least."""

STALE = 300.0
"""Seconds after which the secret store is asked again in any case."""

RETIRED = ACCESS_LIFETIME.total_seconds() + 60
"""Seconds that a key verifies after it signed last: its tokens have expired by then, by whatever clock."""


@dataclass(frozen=True)
class TokenKey:
    """`ends` is in seconds since the epoch; a key without one verifies until it is taken out."""

    kid: str
    public: ec.EllipticCurvePublicKey
    private: ec.EllipticCurvePrivateKey | None = None
    ends: float | None = None

    def published(self) -> dict[str, Any]:
        return {**_members(self.public), "kid": self.kid, "use": "sig", "alg": "ES256"}


class TokenKeys:
    """The keys as they are now: a rotation is seen without a restart, but for those of the settings."""

    def __init__(self, settings: Settings, sidecar: Sidecar) -> None:
        self._settings = settings
        self._sidecar = sidecar
        self._lock = threading.Lock()
        self._keys: tuple[TokenKey, ...] = ()
        self._version: object = None
        self._read_at = -STALE

    def load(self) -> None:
        """Reads or makes them now, unless they are in the secret store. Raises ValueError for what does not do."""
        if self._settings.token_keys_secret and not self._settings.token_keys:
            return
        try:
            self._now()
        except OSError as error:
            folder = self._settings.data / "secrets"
            raise ValueError(
                f"TICKLER_DATA: {folder} must be a folder that we can write to: {error.strerror}"
            ) from error

    def signing(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """The one that signs, and its id. Raises Unavailable where none can."""
        for key in self._now():
            if key.private is not None and key.ends is None:
                return key.kid, key.private
        raise Unavailable("there is no key to sign with")

    def find(self, kid: str) -> TokenKey | None:
        """The key of this id that still verifies. Raises Unavailable where the secret store does not answer."""
        for unknown in (False, True):
            for key in self._now(unknown=unknown):
                if key.kid == kid and not _is_over(key):
                    return key
        return None

    def published(self) -> list[dict[str, Any]]:
        """The public keys that verify, as JWKs."""
        return [key.published() for key in self._now() if not _is_over(key)]

    def _now(self, *, unknown: bool = False) -> tuple[TokenKey, ...]:
        with self._lock:
            if self._settings.token_keys:
                if not self._keys:
                    self._keys = read_keys(self._settings.token_keys, "TICKLER_TOKEN_KEYS")
            elif self._settings.token_keys_secret:
                self._read_secret(REREAD if unknown else STALE)
            else:
                self._read_file()
            return self._keys

    def _read_secret(self, after: float) -> None:
        now = time.monotonic()
        if now - self._read_at < after and (self._keys or now - self._read_at < REREAD):
            if not self._keys:
                raise Unavailable("the keys of access tokens cannot be read")
            return
        self._read_at = now
        name = self._settings.token_keys_secret
        try:
            self._keys = read_keys(self._sidecar.secret(name), f"the secret {name}")
        except Unavailable:
            if not self._keys:
                raise

    def _read_file(self) -> None:
        file = kept(self._settings, NAME, lambda: written([new_key()]))
        status = file.stat()
        version = (status.st_ino, status.st_mtime_ns)
        if version != self._version:
            self._keys, self._version = read_keys(file.read_text(), str(file)), version


def read_keys(text: str, where: str) -> tuple[TokenKey, ...]:
    """The keys of a JWK Set. Raises ValueError that says what is wrong with it, and not what it holds."""
    try:
        keys = tuple(_read(entry) for entry in json.loads(text)["keys"])
    except (ValueError, TypeError, KeyError, AttributeError, InvalidKeyError):
        raise ValueError(f"{where} must be a JWK Set of P-256 keys: `make rotate` writes one") from None
    if not keys:
        raise ValueError(f"{where} has no key")
    return keys


def _read(entry: dict[str, Any]) -> TokenKey:
    key = ECAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x", "y", "d") if name in entry})
    if not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(key.curve.name)
    private = key if isinstance(key, ec.EllipticCurvePrivateKey) else None
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    ends = entry.get("exp")
    return TokenKey(thumbprint(public), public, private, None if ends is None else float(ends))


def new_key() -> TokenKey:
    private = ec.generate_private_key(ec.SECP256R1())
    return TokenKey(thumbprint(private.public_key()), private.public_key(), private)


def thumbprint(public: ec.EllipticCurvePublicKey) -> str:
    """The key's id: its JWK thumbprint (RFC 7638), so that it cannot be given to another key."""
    members = json.dumps(_members(public), sort_keys=True, separators=(",", ":"))
    return base64url_encode(sha256(members.encode()).digest()).decode()


def _members(public: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    jwk: dict[str, Any] = ECAlgorithm.to_jwk(public, as_dict=True)
    return {name: jwk[name] for name in ("crv", "kty", "x", "y")}


def written(keys: list[TokenKey]) -> str:
    """A JWK Set with the private parts."""
    entries = []
    for key in keys:
        private = {"d": ECAlgorithm.to_jwk(key.private, as_dict=True)["d"]} if key.private is not None else {}
        entries.append({**key.published(), **private, **({} if key.ends is None else {"exp": round(key.ends)})})
    return json.dumps({"keys": entries}, indent=2) + "\n"


def _is_over(key: TokenKey) -> bool:
    return key.ends is not None and key.ends <= time.time()


def rotate(settings: Settings) -> TokenKey:
    """Has a new key sign; those before verify until their tokens have expired. Raises ValueError where the keys are
    not in the data folder, or what is there does not do."""
    if settings.token_keys or settings.token_keys_secret:
        raise ValueError("the keys are in TICKLER_TOKEN_KEYS or the secret store: put the new one first there")
    file = kept(settings, NAME, lambda: written([new_key()]))
    with (file.parent / f"{NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = time.time()
        old = [key for key in read_keys(file.read_text(), str(file)) if not _is_over(key)]
        retired = [TokenKey(key.kid, key.public, None, now + RETIRED if key.ends is None else key.ends) for key in old]
        key = new_key()
        os.replace(write_draft(file, written([key, *retired])), file)
    return key


def main() -> int:
    try:
        key = rotate(Settings())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        print(f"tickler: TICKLER_{str(first['loc'][0]).upper()}: {first['msg']}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"tickler: {error}", file=sys.stderr)
        return 1
    print(f"access tokens are signed with {key.kid} from now on; those before hold until they expire")
    return 0


if __name__ == "__main__":
    sys.exit(main())
