"""Settings, from the environment: `TICKLER_...`, and the ports that Dapr names itself."""

from __future__ import annotations

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
    dapr_api_token: str = Field(default="", validation_alias="DAPR_API_TOKEN")
    pubsub: str = Field(default="pubsub", description="name of the pub/sub component")
    broker: Literal["in-memory", "durable"] = Field(
        default="durable",
        description="in-memory: keeps no order within a bulk and forgets at a stop; durable: neither",
    )
    auth: Literal["none", "dev"] = Field(
        default="none", description="dev: accept `Bearer dev:<user>`, on loopback only"
    )
    mail_from: str = Field(default="Tickler <tickler@localhost>", description="sender of notifications by email")
    threads: int = Field(default=16, ge=2, le=256, description="requests and messages handled at once")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    grace_seconds: float = Field(default=5, ge=0, description="time for what is under way, on SIGTERM")
