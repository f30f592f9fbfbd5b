"""Settings: safe where nothing is said, and one line for the operator where something is said wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from functions.__main__ import main
from functions.runtime.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TICKLER_", "DAPR_")) or name in ("APP_PORT", "APP_API_TOKEN"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("functions.__main__.configure", lambda level: None)  # logs of the process stay as they are


def test_nobody_is_let_in_and_nothing_listens_beyond_this_machine_by_default() -> None:
    settings = Settings()
    assert (settings.auth, settings.host) == ("none", "127.0.0.1")


def test_the_ports_are_those_that_dapr_names_by_default() -> None:
    settings = Settings()
    assert (settings.app_port, settings.dapr_grpc_port, settings.dapr_api_token) == (50051, 50001, "")


@pytest.mark.parametrize(
    ("name", "value", "field", "read"),
    [
        ("TICKLER_DATABASE_URL", "postgresql://x/y", "database_url", "postgresql://x/y"),
        ("TICKLER_HOST", "::1", "host", "::1"),
        ("TICKLER_AUTH", "oidc", "auth", "oidc"),
        ("TICKLER_AUTH", "local", "auth", "local"),
        ("TICKLER_TOKEN_KEYS", "{}", "token_keys", "{}"),
        ("TICKLER_TOKEN_KEYS_SECRET", "keys", "token_keys_secret", "keys"),
        ("TICKLER_OIDC_ISSUER", "https://i.example", "oidc_issuer", "https://i.example"),
        ("TICKLER_OIDC_AUDIENCE", "tickler", "oidc_audience", "tickler"),
        ("TICKLER_OIDC_JWKS_URL", "https://i.example/keys", "oidc_jwks_url", "https://i.example/keys"),
        ("TICKLER_OIDC_ALGORITHM", "ES256", "oidc_algorithm", "ES256"),
        ("TICKLER_OIDC_USER_CLAIM", "oid", "oidc_user_claim", "oid"),
        ("TICKLER_OIDC_EMAIL_CLAIM", "mail", "oidc_email_claim", "mail"),
        ("TICKLER_OIDC_NAME_CLAIM", "nick", "oidc_name_claim", "nick"),
        ("TICKLER_BROKER", "in-memory", "broker", "in-memory"),
        ("TICKLER_PUBSUB", "kafka", "pubsub", "kafka"),
        ("TICKLER_THREADS", "4", "threads", 4),
        ("TICKLER_DATABASE_CONNECTIONS", "12", "database_connections", 12),
        ("TICKLER_LOG_LEVEL", "debug", "log_level", "debug"),
        ("TICKLER_GRACE_SECONDS", "0.5", "grace_seconds", 0.5),
        ("TICKLER_MAIL_FROM", "a@example.com", "mail_from", "a@example.com"),
        ("TICKLER_DATA", "/x", "data", Path("/x")),
        ("TICKLER_PUBLIC_URL", "https://t.example/", "url", "https://t.example"),
        ("TICKLER_PUBLIC_URL", "https://t.example", "public_url", "https://t.example"),
        ("TICKLER_PORT", "8081", "port", 8081),
        ("TICKLER_PORT", "8081", "url", "http://127.0.0.1:8081"),
        ("TICKLER_SMTP_HOST", "mail", "smtp_host", "mail"),
        ("TICKLER_SMTP_PORT", "465", "smtp_port", 465),
        ("TICKLER_SMTP_USER", "u", "smtp_user", "u"),
        ("TICKLER_SMTP_PASSWORD", "p", "smtp_password", "p"),
        ("TICKLER_SMTP_PASSWORD_SECRET", "smtp", "smtp_password_secret", "smtp"),
        ("TICKLER_VAPID_PRIVATE_KEY", "k", "vapid_private_key", "k"),
        ("TICKLER_SIGNING_KEY", "k", "signing_key", "k"),
        ("TICKLER_WEBHOOK_ALLOW_PRIVATE", "true", "webhook_allow_private", True),
        ("APP_PORT", "6000", "app_port", 6000),
        ("DAPR_GRPC_PORT", "6001", "dapr_grpc_port", 6001),
        ("DAPR_API_TOKEN", "t", "dapr_api_token", "t"),
        ("APP_API_TOKEN", "t", "app_api_token", "t"),
        ("TICKLER_CHANGES_KEPT_DAYS", "7", "changes_kept_days", 7),
        ("TICKLER_REDIS_HOST", "r:6379", "redis_host", "r:6379"),
        ("TICKLER_REDIS_PASSWORD", "p", "redis_password", "p"),
        ("TICKLER_REDIS_TLS", "true", "redis_tls", True),
        ("TICKLER_HUB_SOCKETS", "5", "hub_sockets", 5),
        ("TICKLER_HUB_SOCKETS_PER_USER", "5", "hub_sockets_per_user", 5),
        ("TICKLER_RATE_PER_USER", "0.5", "rate_per_user", 0.5),
        ("TICKLER_RATE_PER_ADDRESS", "7", "rate_per_address", 7),
        ("TICKLER_LIMIT_ADDRESSES", "false", "limit_addresses", False),
    ],
)
def test_each_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, read: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings(), field) == read


def test_every_one_has_a_default_and_is_tried_here() -> None:
    tried = {parameters[2] for parameters in test_each_is_read_from_the_environment.pytestmark[0].args[1]}  # type: ignore[attr-defined]
    assert tried - {"url"} == set(Settings.model_fields)
    assert all(not field.is_required() for field in Settings.model_fields.values())


def test_what_others_set_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKLER_DAPRD", "/usr/bin/daprd")
    monkeypatch.setenv("TICKLER_HOSTS", ".*")
    assert Settings()


WRONG = [
    ("TICKLER_AUTH", "yes"),
    ("TICKLER_AUTH", "dev"),
    ("TICKLER_LIMIT_ADDRESSES", "perhaps"),
    ("TICKLER_OIDC_ALGORITHM", "HS256"),
    ("TICKLER_OIDC_ALGORITHM", "none"),
    ("TICKLER_BROKER", "kafka"),
    ("TICKLER_THREADS", "1"),
    ("TICKLER_SMTP_PORT", "0"),
    ("TICKLER_SMTP_PORT", "smtp"),
    ("TICKLER_PORT", "-1"),
    ("TICKLER_WEBHOOK_ALLOW_PRIVATE", "perhaps"),
    ("TICKLER_THREADS", "many"),
    ("TICKLER_GRACE_SECONDS", "-1"),
    ("TICKLER_LOG_LEVEL", "loud"),
    ("APP_PORT", "http"),
    ("APP_PORT", "0"),
    ("APP_PORT", "65536"),
    ("DAPR_GRPC_PORT", "70000"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_one_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_one_stops_the_program_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["no-such-function"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: ")


def test_an_unknown_function_stops_the_program_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-function"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no-such-function" in line
    assert "create-task" in line
