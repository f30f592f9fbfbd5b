"""The keys of this installation: given by settings, or made at first use and kept in the data folder."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import secrets
from collections.abc import Callable
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from functions.runtime.settings import Settings
from functions.tasks.devices import decode_key
from functions.tasks.errors import InvalidInput

UNSUBSCRIBE = b"unsubscribe\0"
"""What an unsubscribe token's signature begins with: the key signs nothing else that could be taken for one."""

REFRESH = b"refresh\0"
"""The same of what refresh tokens are made from."""


class Keys:
    """Hosts that share users need the same keys: one data folder, or the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def load(self) -> None:
        """Reads or makes them now. Raises ValueError for a setting, or a folder, that does not do."""
        try:
            _ = self.vapid, self._signing
        except OSError as error:
            folder = self._settings.data / "secrets"
            raise ValueError(
                f"TICKLER_DATA: {folder} must be a folder that we can write to: {error.strerror}"
            ) from error

    @cached_property
    def vapid(self) -> Vapid02:
        """The key that this server is known to push services by (RFC 8292)."""
        text = self._settings.vapid_private_key or self._kept("vapid", _new_vapid)
        raw = decode_key(text.strip())
        if raw is None or len(raw) != 32:
            raise ValueError("TICKLER_VAPID_PRIVATE_KEY must be a P-256 private key: 32 bytes, base64url")
        return Vapid02(ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1()))

    @cached_property
    def vapid_public(self) -> str:
        """Its public part as browsers take it: the uncompressed point, base64url without padding."""
        point = self.vapid.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _encode(point)

    @cached_property
    def _signing(self) -> bytes:
        return (self._settings.signing_key or self._kept("signing", lambda: secrets.token_urlsafe(32))).strip().encode()

    def unsubscribe_token(self, user_id: UUID, what: str) -> str:
        """Proves that whoever has it got a mail of that user's; `what` is an address, or `digest`.

        It does not expire: RFC 8058 section 2 wants links to hold for as long as mails are kept.
        """
        said = f"{user_id}/{what}".encode()
        return f"{_encode(said)}.{_encode(self._sign(said))}"

    def read_unsubscribe_token(self, token: str) -> tuple[UUID, str]:
        """What `unsubscribe_token` was given. Raises InvalidInput for any other text."""
        said, _, signature = token.partition(".")
        decoded, proof = decode_key(said), decode_key(signature)
        if decoded is None or proof is None or not hmac.compare_digest(proof, self._sign(decoded)):
            raise InvalidInput("token", "is not one that a mail had")
        user_id, _, what = decoded.decode().partition("/")
        return UUID(user_id), what

    def _sign(self, said: bytes) -> bytes:
        return hmac.digest(self._signing, UNSUBSCRIBE + said, sha256)

    def refresh_secret(self, token: bytes) -> bytes:
        """The secret of the refresh token that follows this one: a client that lost the answer is given the same."""
        return hmac.digest(self._signing, REFRESH + token, sha256)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        return kept(self._settings, name, make).read_text()


def kept(settings: Settings, name: str, make: Callable[[], str]) -> Path:
    """The file of a key in the data folder, made where there is none; whoever is first wins, in whole."""
    folder = settings.data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        draft = write_draft(path, make())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path


def write_draft(path: Path, text: str) -> Path:
    """A file beside `path` with this text, for us only, that is to take its place."""
    draft = Path(f"{path}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _new_vapid() -> str:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return _encode(number.to_bytes(32, "big"))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
