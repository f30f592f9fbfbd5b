"""Settings, from the environment: `TICKLER_...`, and the ports that Dapr names itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting has a default that suits one machine. Raises pydantic.ValidationError for a wrong one."""

    model_config = SettingsConfigDict(env_prefix="TICKLER_", extra="ignore", populate_by_name=True)

    database_url: str = Field(
        default="postgresql://postgres@127.0.0.1/tickler",
        description="libpq connection URL of the system of record",
    )
    host: str = Field(default="127.0.0.1", description="address that the functions listen at, for their sidecar")
    app_port: int = Field(default=50051, ge=1, le=65535, validation_alias="APP_PORT")
    dapr_grpc_port: int = Field(default=50001, ge=1, le=65535, validation_alias="DAPR_GRPC_PORT")
    dapr_api_token: str = Field(
        default="", validation_alias="DAPR_API_TOKEN", repr=False, description="what the sidecar is shown"
    )
    app_api_token: str = Field(
        default="", validation_alias="APP_API_TOKEN", repr=False, description="what the sidecar shows; empty: nothing"
    )
    pubsub: str = Field(default="pubsub", description="name of the pub/sub component")
    broker: Literal["in-memory", "durable"] = Field(
        default="durable",
        description="in-memory: keeps no order within a bulk and forgets at a stop; durable: neither",
    )
    auth: Literal["none", "local", "oidc"] = Field(
        default="none", description="local: accounts of our own; oidc: an issuer elsewhere; none: nobody is let in"
    )
    token_keys: str = Field(
        default="", description="JWK Set that access tokens are signed with; empty: see runtime/token_keys.py"
    )
    token_keys_secret: str = Field(default="", description="its name in the secret store")
    oidc_issuer: str = Field(default="", description="the `iss` of an external issuer's tokens, to the letter")
    oidc_audience: str = Field(default="", description="the `aud` that names this installation")
    oidc_jwks_url: str = Field(default="", description="its keys; empty: where its configuration says that they are")
    oidc_algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"
    oidc_user_claim: str = Field(default="sub", description="claim that is the user's for ever")
    oidc_email_claim: str = Field(default="email", description="claim of the address that mails go to")
    oidc_name_claim: str = Field(default="name", description="claim of what a user is called")
    data: Path = Field(default=Path(".tickler"), description="folder of what this installation keeps for itself")
    public_url: str = Field(default="", description="where people reach the edge, for links; https://... without a /")
    port: int = Field(default=8080, ge=0, le=65535, description="the edge's port, where public_url is not given")
    mail_from: str = Field(default="Tickler <tickler@localhost>", description="sender of notifications by email")
    smtp_host: str = Field(default="127.0.0.1", description="the mail server")
    smtp_port: int = Field(default=25, ge=1, le=65535, description="465 for implicit TLS; else STARTTLS when offered")
    smtp_user: str = Field(default="", description="empty for a server that asks for none")
    smtp_password: str = Field(default="", description="empty: the secret named by smtp_password_secret")
    smtp_password_secret: str = Field(
        default="TICKLER_SMTP_PASSWORD", description="its name in the secret store, the Dapr component `secrets`"
    )
    vapid_private_key: str = Field(
        default="", description="P-256 key for web push, base64url; empty: made at first use, in the data folder"
    )
    signing_key: str = Field(
        default="", description="what links in mails are signed with; empty: made at first use, in the data folder"
    )
    webhook_allow_private: bool = Field(
        default=False, description="let webhooks and push endpoints be on private networks, and http on loopback"
    )
    threads: int = Field(
        default=16, ge=2, le=256, description="requests and messages handled at once; each topic adds one"
    )
    database_connections: int = Field(
        default=0, ge=0, le=1000, description="at most so many at once; 0: four more than threads, and one a topic"
    )
    rate_per_user: float = Field(
        default=50, ge=0, le=1_000_000, description="requests a second of a user, four times that at once; 0: no limit"
    )
    rate_per_address: float = Field(
        default=100, ge=0, le=1_000_000, description="the same of an IPv4 address or an IPv6 /64, whoever is behind it"
    )
    limit_addresses: bool = Field(
        default=True,
        description="limit sign-ups, sign-ins and refreshes of an address; attempts for an email always are",
    )
    changes_kept_days: int = Field(
        default=90, ge=1, le=36_500, description="how long a device may be away and still be told only what changed"
    )
    redis_host: str = Field(
        default="", description="host:port of the Redis that hubs hear of changes by; empty: they hear by PostgreSQL"
    )
    redis_password: str = Field(default="", repr=False, description="empty where Redis asks for none")
    redis_tls: bool = False
    hub_sockets: int = Field(default=10_000, ge=1, description="sockets of one hub")
    hub_sockets_per_user: int = Field(default=1000, ge=1, description="of one user, at one hub")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    grace_seconds: float = Field(default=5, ge=0, description="time for what is under way, on SIGTERM")

    @property
    def told_at_commit(self) -> bool:
        """Whether hubs hear of a change from PostgreSQL, as it is committed, and not by way of the broker."""
        return self.broker == "in-memory" and not self.redis_host

    @property
    def url(self) -> str:
        """Where people reach the edge, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://127.0.0.1:{self.port}"
