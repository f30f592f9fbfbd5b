"""daprd beside each app: reads a file that `dapr run -f` reads, and does what that would do."""

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.console import OperatorError, shown
from tools.options import LOOPBACK

_FLAGS = {
    "enableAppHealthCheck": ("--enable-app-health-check", True),
    "appHealthProbeInterval": ("--app-health-probe-interval", 5),
    "appHealthProbeTimeout": ("--app-health-probe-timeout", 3000),
    "appHealthThreshold": ("--app-health-threshold", 3),
    "readBufferSize": ("--read-buffer-size", "64Ki"),
    "maxBodySize": ("--max-body-size", "4Mi"),
    "logLevel": ("--log-level", "info"),
}
"""Keys of dapr.yaml, daprd's flags for them, and what holds where the file says nothing.

daprd's own 500 ms for a health probe would take a busy app for a dead one, and its 4 KiB of headers are less
than what the edge lets through. The file's ports do not count: free ones are chosen at each start.
"""


_UNVERIFIED = ssl.create_default_context()
"""For asking a server of our own whether it is there."""
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True)
class App:
    """One app of dapr.yaml with its paths resolved."""

    app_id: str
    protocol: str
    command: tuple[str, ...]
    """Empty for a sidecar without an app."""
    directory: Path
    resources: tuple[Path, ...]
    configuration: Path | None
    env: Mapping[str, str]
    flags: tuple[str, ...]

    def subscriptions(self) -> int:
        """How many Subscriptions its resources declare for it."""
        files = [file for folder in self.resources for file in folder.glob("*.yaml")]
        documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
        return sum(
            document.get("kind") == "Subscription" and self.app_id in document.get("scopes", [self.app_id])
            for document in documents
            if document
        )


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one app and its sidecar."""

    app: int
    http: int
    grpc: int
    internal: int
    metrics: int


@dataclass(frozen=True)
class Tokens:
    """What an app and its sidecar show each other: each app has its own, made anew at each start.

    They are in the environment of the two and nowhere else (but for `api` in run.json, for whoever may read that).
    """

    api: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The app to its sidecar: https://docs.dapr.io/operations/security/api-token/."""
    app: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The sidecar to its app: https://docs.dapr.io/operations/security/app-api-token/."""

    def environment(self) -> dict[str, str]:
        """Both ends read both."""
        return {"DAPR_API_TOKEN": self.api, "APP_API_TOKEN": self.app}


def read_apps(file: Path) -> list[App]:
    """The apps of a dapr.yaml (https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/).

    Paths under `common` are relative to the file, those of an app, which it has instead, to its appDirPath.
    """
    try:
        template = yaml.safe_load(file.read_text())
        return [_read(file.parent, template.get("common") or {}, app) for app in template["apps"]]
    except OSError as error:
        raise OperatorError(f"{shown(file)} cannot be read ({error.strerror}); `make render` writes it") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise OperatorError(f"{shown(file)} is not a dapr.yaml ({error!r}); `make render` writes it") from error


def _read(base: Path, common: dict[str, Any], app: dict[str, Any]) -> App:
    directory = (base / app["appDirPath"]).resolve()
    paths = [(directory, entry) for entry in _resources(app)] or [(base, entry) for entry in _resources(common)]
    configuration = (
        directory / app["configFilePath"]
        if "configFilePath" in app
        else base / common["configFilePath"]
        if "configFilePath" in common
        else None
    )
    merged = {**common, **app}
    return App(
        app_id=app["appID"],
        protocol=merged.get("appProtocol", "http"),
        command=tuple(app.get("command", ())),
        directory=directory,
        resources=tuple((folder / entry).resolve() for folder, entry in paths),
        configuration=configuration and configuration.resolve(),
        env={key: str(value) for key, value in {**common.get("env", {}), **app.get("env", {})}.items()},
        flags=tuple(_flags(merged)),
    )


def _resources(section: Mapping[str, Any]) -> list[str]:
    return section.get("resourcesPaths") or [section[key] for key in ("resourcesPath",) if key in section]


def _flags(merged: Mapping[str, Any]) -> list[str]:
    values = {flag: merged.get(key, default) for key, (flag, default) in _FLAGS.items()}
    if "command" not in merged:
        values["--enable-app-health-check"] = False
    return [f"{flag}={str(value).lower() if isinstance(value, bool) else value}" for flag, value in values.items()]


def app_environment(app: App, ports: Ports) -> dict[str, str]:
    """What `dapr run` gives an app: its own variables, its id and its ports."""
    return {
        **app.env,
        "APP_ID": app.app_id,
        "APP_PROTOCOL": app.protocol,
        "APP_PORT": str(ports.app),
        "DAPR_HTTP_PORT": str(ports.http),
        "DAPR_GRPC_PORT": str(ports.grpc),
        "DAPR_METRICS_PORT": str(ports.metrics),
    }


def command(daprd: Path, app: App, ports: Ports, *, allowed_origins: str) -> list[str | Path]:
    """The command line of the sidecar: every port on loopback, no placement and no scheduler service."""
    line: list[str | Path] = [daprd, "--app-id", app.app_id, "--app-protocol", app.protocol]
    for flag, port in (
        *([("--app-port", ports.app)] if app.command else []),
        ("--dapr-http-port", ports.http),
        ("--dapr-grpc-port", ports.grpc),
        ("--dapr-internal-grpc-port", ports.internal),
        ("--metrics-port", ports.metrics),
    ):
        line += [flag, str(port)]
    line += ["--app-channel-address", LOOPBACK]
    for flag in (
        "--dapr-listen-addresses",
        "--dapr-internal-grpc-listen-address",
        "--metrics-listen-address",
    ):
        line += [flag, LOOPBACK]
    line += [
        "--allowed-origins",
        allowed_origins,
        "--placement-host-address",
        "",
        "--scheduler-host-address",
        "",
    ]
    line += ["--dapr-graceful-shutdown-seconds", "3", "--disable-builtin-k8s-secret-store", "--log-as-json"]
    for path in app.resources:
        line += ["--resources-path", path]
    if app.configuration is not None:
        line += ["--config", app.configuration]
    return [*line, *app.flags]


def get(
    port: int, path: str, *, host: str = LOOPBACK, token: str = "", tls_name: str = "", timeout: float = 2
) -> tuple[int, bytes]:
    """GETs a path of a local server; (0, b"") when it does not answer. `token` is the one of a sidecar's API; with
    `tls_name` over TLS, as that name."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        if tls_name:
            plain = socket.create_connection((host, port), timeout=timeout)
            connection.sock = _UNVERIFIED.wrap_socket(plain, server_hostname=tls_name)
        headers = {"dapr-api-token": token} if token else {}
        connection.request("GET", path, headers={**headers, "Host": tls_name} if tls_name else headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def is_ready(ports: Ports, subscriptions: int, token: str) -> bool:
    """True when daprd is healthy and has so many subscriptions: https://docs.dapr.io/reference/api/metadata_api/."""
    if get(ports.http, "/v1.0/healthz")[0] != http.HTTPStatus.NO_CONTENT:
        return False
    if not subscriptions:
        return True
    status, body = get(ports.http, "/v1.0/metadata", token=token)
    return status == http.HTTPStatus.OK and len(_subscriptions(body)) == subscriptions


def _subscriptions(metadata: bytes) -> Sequence[object]:
    subscriptions: Sequence[object] = json.loads(metadata).get("subscriptions") or []
    return subscriptions
