"""A daprd of a test's own: without an app, with the component files that the test gives it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import yaml
from dapr.proto import api_service_v1, api_v1

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from tests.support.waiting import eventually
from tools import sidecar
from tools.console import REPOSITORY
from tools.daprd import obtain
from tools.options import LOOPBACK
from tools.ports import free_ports

START_SECONDS = 40.0


@dataclass(frozen=True)
class Daprd:
    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int
    log: Path

    def client(self) -> Sidecar:
        """The sidecar as a function sees it, over a connection of its own."""
        return Sidecar(Settings(dapr_grpc_port=self.grpc_port))

    @cached_property
    def _stub(self) -> api_service_v1.DaprStub:
        return api_service_v1.DaprStub(grpc.insecure_channel(f"{LOOPBACK}:{self.grpc_port}"))  # type: ignore[no-untyped-call]  # generated code

    def publish(self, topic: str, data: bytes) -> None:
        """Publishes a JSON document to the component `pubsub`."""
        request = api_v1.PublishEventRequest(
            pubsub_name="pubsub", topic=topic, data=data, data_content_type="application/json"
        )
        self._stub.PublishEvent(request, timeout=10)

    def receive(self, topic: str, timeout: float = 30) -> bytes:
        """Subscribes, and answers the data of the first message."""
        done = threading.Event()

        def requests() -> Iterator[api_v1.SubscribeTopicEventsRequestAlpha1]:
            wanted = api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name="pubsub", topic=topic)
            yield api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=wanted)
            done.wait(timeout)

        try:
            for response in self._stub.SubscribeTopicEventsAlpha1(requests(), timeout=timeout):
                if response.HasField("event_message"):
                    data: bytes = response.event_message.data
                    return data
        finally:
            done.set()
        raise AssertionError(f"no message of {topic}")

    def ready(self) -> bool:
        """Whether every component is loaded."""
        assert self.process.poll() is None, f"daprd ended: {self.tail()}"
        return sidecar.get(self.http_port, "/v1.0/healthz/outbound")[0] == 204

    def refuses_to_publish(self, topic: str) -> bool:
        """Whether this app may not publish there."""
        try:
            self.publish(topic, b"{}")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            return True
        return False

    def refuses_to_subscribe(self, topic: str) -> bool:
        """Whether this app may not receive what is published there."""
        wanted = api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name="pubsub", topic=topic)
        stream = self._stub.SubscribeTopicEventsAlpha1(
            iter([api_v1.SubscribeTopicEventsRequestAlpha1(initial_request=wanted)]), timeout=10
        )
        try:
            next(stream)
        except grpc.RpcError:
            return True
        finally:
            stream.cancel()
        return False

    def components(self) -> set[str]:
        """The names of those that it has loaded."""
        answer = self._stub.GetMetadata(api_v1.GetMetadataRequest(), timeout=10)
        return {component.name for component in answer.registered_components}

    def refuses_to_start(self) -> str:
        """Waits until it has given up, and says the end of its log."""
        eventually(lambda: self.process.poll() is not None, timeout=START_SECONDS, what="daprd ends")
        return self.tail()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def secret_store(folder: Path, secrets: Mapping[str, str]) -> Path:
    """The file of a component `secrets` that holds these."""
    values, component = folder / "secrets.json", folder / "secrets.yaml"
    values.write_text(json.dumps(secrets))
    component.write_text(
        f"""
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: secrets}}
spec: {{type: secretstores.local.file, version: v1, metadata: [{{name: secretsFile, value: {values}}}]}}
"""
    )
    return component


@contextlib.contextmanager
def start_daprd(
    app_id: str,
    files: Iterable[Path],
    folder: Path,
    env: Mapping[str, str] | None = None,
    *,
    configurations: Iterable[Path] = (),
    app_port: int | None = None,
) -> Iterator[Daprd]:
    """Starts one with these component files, in a folder of its own; it is not ready yet.

    `configurations` instead of the embedded one; an app that listens at `app_port`, by gRPC, where there is one.
    """
    home = folder / app_id
    resources = home / "resources"
    resources.mkdir(parents=True)
    for file in files:
        shutil.copy(file, resources)
    http_port, grpc_port, internal, metrics = free_ports(4)
    command: list[str | Path] = [obtain(), "--app-id", app_id, "--resources-path", resources, "--log-as-json"]
    for file in list(configurations) or [_configuration(home)]:
        command += ["--config", file]
    if app_port is not None:
        command += ["--app-port", str(app_port), "--app-protocol", "grpc", "--app-channel-address", LOOPBACK]
    for flag in ("--dapr-listen-addresses", "--dapr-internal-grpc-listen-address", "--metrics-listen-address"):
        command += [flag, LOOPBACK]
    for flag, port in (
        ("--dapr-http-port", http_port),
        ("--dapr-grpc-port", grpc_port),
        ("--dapr-internal-grpc-port", internal),
        ("--metrics-port", metrics),
    ):
        command += [flag, str(port)]
    command += ["--placement-host-address", "", "--scheduler-host-address", "", "--disable-builtin-k8s-secret-store"]
    command += ["--dapr-graceful-shutdown-seconds", "1"]
    log = home / "daprd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Daprd(process, http_port, grpc_port, log)
    finally:
        process.kill()
        process.wait()


def _configuration(folder: Path) -> Path:
    """The product's, with the whole API: a test is not a function."""
    document = yaml.safe_load((REPOSITORY / "components/embedded/configuration.yaml").read_text())
    del document["spec"]["api"]
    file = folder / "configuration.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@contextlib.contextmanager
def running_daprd(
    app_id: str, files: Iterable[Path], folder: Path, env: Mapping[str, str] | None = None, **more: Any
) -> Iterator[Daprd]:
    """The same, once it is ready."""
    with start_daprd(app_id, files, folder, env, **more) as daprd:
        eventually(daprd.ready, timeout=START_SECONDS, what=f"the sidecar of {app_id} is ready")
        yield daprd
