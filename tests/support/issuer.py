"""An OpenID Connect issuer on loopback: its configuration, its keys, and the tokens that it signs."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "tickler-tests"


class Issuer:
    """Serves while it is entered. What it publishes can be changed, and it can be down."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False
        self.says: dict[str, Any] = {}
        """What its configuration says otherwise than it should."""
        self._keys: dict[str, rsa.RSAPrivateKey] = {}
        self.new_key("first")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                document = None if issuer.is_down else issuer.documents().get(self.path)
                body = json.dumps(document or {}).encode()
                self.send_response(503 if issuer.is_down else 404 if document is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def settings(self) -> dict[str, str]:
        """What a system is started with whose users this issuer knows."""
        return {"TICKLER_AUTH": "oidc", "TICKLER_OIDC_ISSUER": self.url, "TICKLER_OIDC_AUDIENCE": AUDIENCE}

    def documents(self) -> dict[str, Any]:
        keys = [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": "RS256"}
            for kid, key in self._keys.items()
        ]
        return {
            "/realm/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                **self.says,
            },
            "/realm/keys": {"keys": keys},
        }

    def new_key(self, kid: str) -> None:
        """Has a key from now on that signs what names it, in place of another of this id."""
        self._keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(
        self, subject: str | None, *, kid: str = "first", algorithm: str = "RS256", key: Any = None, **given: Any
    ) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300, **given}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self._keys[kid] if key is None else key, algorithm=algorithm, headers={"kid": kid})
