"""The other side of delivery, for real: a push service that authenticates and decrypts, and a webhook receiver."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Request:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """An HTTP server on loopback. `answers` holds (status, headers) for the next requests, then 201."""

    tls: ssl.SSLContext | None = None
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    before_answer: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: True
    """Called with each request; False: it has answered itself."""

    def __enter__(self) -> Peer:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # who sent it was killed in the midst: that was no request
                    self.close_connection = True
                    return
                peer.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if not peer.before_answer(self):
                    return
                status, headers = peer.answers.pop(0) if peer.answers else (201, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if self.tls is not None:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def port(self) -> int:
        port: int = self.server.server_address[1]
        return port

    def url(self, path: str = "/") -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"


class Browser:
    """A subscription's keys: it decrypts what the push service hands it (RFC 8291)."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._auth = b"0123456789abcdef"

    @property
    def keys(self) -> dict[str, str]:
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"p256dh": encode(point), "auth": encode(self._auth)}

    def read(self, request: Request) -> dict[str, Any]:
        assert request.headers["content-encoding"] == "aes128gcm"
        plain = http_ece.decrypt(request.body, private_key=self._private, auth_secret=self._auth, version="aes128gcm")
        message: dict[str, Any] = json.loads(plain)
        return message


def read_vapid(request: Request, origin: str) -> tuple[dict[str, Any], str]:
    """The claims and the public key of a request that RFC 8292 lets pass at this origin; AssertionError else."""
    scheme, _, rest = request.headers["authorization"].partition(" ")
    assert scheme == "vapid"
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    signed, _, signature = fields["t"].rpartition(".")
    raw = decode(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(fields["k"]))
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, signed.encode(), ec.ECDSA(SHA256()))
    header, claims = (json.loads(decode(part)) for part in signed.split("."))
    assert header["alg"] == "ES256"
    assert claims["aud"] == origin
    assert urlsplit(claims["sub"]).scheme in ("mailto", "https")
    return claims, fields["k"]


def verify_webhook(request: Request, secret: str) -> dict[str, Any]:
    """The body of a request whose signature holds, checked as the documentation tells receivers to."""
    fields = dict(part.split("=", 1) for part in request.headers["x-tickler-signature"].split(","))
    expected = hmac.new(secret.encode(), f"{fields['t']}.".encode() + request.body, sha256).hexdigest()
    assert hmac.compare_digest(expected, fields["v1"])
    assert fields["t"] == request.headers["x-tickler-timestamp"]
    body: dict[str, Any] = json.loads(request.body)
    assert body["id"] == request.headers["x-tickler-delivery"]
    return body
