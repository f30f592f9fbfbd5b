"""Renders what follows from the functions' declarations: `python -m functions.runtime.render [--check]`.

    components/edge/routes.caddy                 the edge's paths
    components/subscriptions/subscriptions.yaml  Dapr subscriptions
    bindings/cron.yaml                           Dapr cron bindings
    components/*/{pubsub,state,secrets}.yaml     who may use them, at the end of each file (runtime/scopes.py)
    dapr.yaml                                    `dapr run -f .`: Kafka, an app and a sidecar a function
    dapr-embedded.yaml                           `make run`: all functions in one app, the broker in its sidecar
    docs/openapi.json                            the public API
    docs/asyncapi.json, docs/events/             the topics, and the schemas of messages and events

With --check nothing is written: the exit status says whether a file is stale.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from functions.runtime.asyncapi import asyncapi
from functions.runtime.event_schemas import event_schemas
from functions.runtime.fanout import HUB
from functions.runtime.openapi import openapi
from functions.runtime.scopes import with_scopes
from functions.runtime.triggers import Function, Http, Topic, load

ROOT = Path(__file__).parents[2]
HOST = "tickler"
"""The app-id of a host that holds all functions."""
KAFKA = {
    "TICKLER_BROKER": "durable",
    # A message that waits for the database keeps a thread, and each partition gives one.
    "TICKLER_THREADS": "24",
    # Of each of some twenty processes.
    "TICKLER_DATABASE_CONNECTIONS": "12",
}
"""What apps of one function each are set to."""
GATEWAY = "gateway"
"""The app-id of the sidecar without an app that the edge invokes the functions through."""
EVENTS = "docs/events"
"""The folder of the schemas; it holds nothing else."""

NOTE = "# Rendered from the functions' triggers by `make render`. Do not edit.\n"


def routes(functions: list[Function]) -> str:
    """The edge's routes, for the snippets `invoke` and `refuse_method` of components/edge/Caddyfile."""
    paths: dict[str, list[tuple[Http, Function]]] = defaultdict(list)
    for function in functions:
        for http in function.https:
            paths[http.path].append((http, function))
    blocks = [
        _block(
            "rest" + path.replace("/", "_").replace("{", "").replace("}", ""),
            "^" + path.replace("{", "(?P<").replace("}", ">[^/]+)") + "$",
            [(http.verb, function.name, _query(http)) for http, function in https],
        )
        for path, https in sorted(paths.items())
    ]
    for function in functions:
        if function.https:
            verbs = sorted({http.verb for http in function.https} | {"POST"})
            path = f"^/v1\\.0/invoke/{function.name}/method/{function.name}$"
            blocks.append(_block(f"dapr_{function.name}", path, [(verb, function.name, "") for verb in verbs]))
    return NOTE + "\n" + "\n".join(blocks)


def _query(http: Http) -> str:
    names = [part[1:-1] for part in http.path.split("/") if part.startswith("{")]
    fixed = {name: str(value).lower() if isinstance(value, bool) else value for name, value in http.fixed.items()}
    return "&".join([*(f"{name}={{re.path.{name}}}" for name in names), *(f"{k}={v}" for k, v in fixed.items())])


def _block(name: str, pattern: str, targets: list[tuple[str, str, str]]) -> str:
    lines = [f"@{name} path_regexp path {pattern}", f"handle @{name} {{"]
    for verb, function, query in targets:
        matcher = f"@{verb.lower()}"
        lines += [f"\t{matcher} method {verb}", f"\thandle {matcher} {{"]
        lines += [f'\t\timport invoke {function} {function} "{query}"', "\t}"]
    allowed = ", ".join(verb for verb, _, _ in targets)
    return "\n".join([*lines, f'\timport refuse_method "{allowed}"', "}", ""])


def subscriptions(functions: list[Function]) -> str:
    """One Subscription a topic: daprd keeps one a topic and app, whichever functions an app holds."""
    topics: dict[str, list[tuple[Topic, Function]]] = defaultdict(list)
    for function in functions:
        for topic in function.topics:
            topics[topic.name].append((topic, function))
    documents = []
    for name, consumers in sorted(topics.items()):
        spec: dict[str, Any] = {"pubsubname": "pubsub", "topic": name, "routes": {"default": name}}
        if any(topic.raw for topic, _ in consumers):
            spec["metadata"] = {"rawPayload": "true"}
        dead_letters = {topic.dead_letter for topic, _ in consumers if topic.dead_letter}
        if dead_letters:
            (spec["deadLetterTopic"],) = dead_letters
        documents.append(
            {
                "apiVersion": "dapr.io/v2alpha1",
                "kind": "Subscription",
                "metadata": {"name": name.replace(".", "-")},
                "spec": spec,
                "scopes": [HOST, *(function.name for _, function in consumers)],
            }
        )
    return NOTE + _documents(documents)


def cron_bindings(functions: list[Function]) -> str:
    documents = [
        {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": cron.binding},
            "spec": {
                "type": "bindings.cron",
                "version": "v1",
                "metadata": [
                    {"name": "schedule", "value": cron.schedule},
                    {"name": "direction", "value": "input"},
                ],
            },
            "scopes": [HOST, function.name],
        }
        for function in functions
        for cron in function.crons
    ]
    return NOTE + _documents(documents)


def dapr_yaml(functions: list[Function]) -> str:
    """The multi-app run file (https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/):
    an app and a sidecar a function, the hub, which has one too for its secrets, and the gateway."""
    apps = [
        {
            "appID": function.name,
            "appDirPath": ".",
            "appProtocol": "grpc",
            "appPort": 6001 + index,
            **_sidecar_ports(index),
            "command": ["python", "-m", "functions", function.name],
        }
        for index, function in enumerate(functions, 1)
    ]
    return _run_file("kafka", KAFKA, [_gateway(), *apps, _hub(len(functions) + 1)])


def _gateway() -> dict[str, Any]:
    """It has no components, so that it needs nothing but the functions' sidecars."""
    return {
        "appID": GATEWAY,
        "appDirPath": ".",
        "resourcesPaths": ["components/gateway"],
        "configFilePath": "components/gateway/configuration.yaml",
        **_sidecar_ports(0),
    }


def _hub(index: int) -> dict[str, Any]:
    """No function: it is not invoked, and the edge has its sockets."""
    return {
        "appID": HUB,
        "appDirPath": ".",
        "appProtocol": "http",
        "appPort": 6001 + index,
        **_sidecar_ports(index),
        "command": ["python", "-m", "functions.hub"],
    }


def _sidecar_ports(index: int) -> dict[str, int]:
    return {"daprHTTPPort": 3500 + index, "daprGRPCPort": 50001 + index, "metricsPort": 9101 + index}


def dapr_embedded_yaml(functions: list[Function]) -> str:
    """The same for one app with all functions."""
    app = {
        "appID": HOST,
        "appDirPath": ".",
        "appProtocol": "grpc",
        "appPort": 6001,
        **_sidecar_ports(0),
        # An app taken for dead, because the machine stalled, would lose what this broker gets meanwhile.
        "enableAppHealthCheck": False,
        "command": ["python", "-m", "functions"],
    }
    return _run_file("embedded", {"TICKLER_BROKER": "in-memory"}, [app])


def _run_file(components: str, env: dict[str, str], apps: list[dict[str, Any]]) -> str:
    document = {
        "version": 1,
        "common": {
            "resourcesPaths": [f"components/{components}", "components/subscriptions", "bindings"],
            "configFilePath": f"components/{components}/configuration.yaml",
            "env": {**env, "TICKLER_AUTH": "local"},
        },
        "apps": apps,
    }
    return NOTE + _documents([document])


def event_files(functions: list[Function]) -> dict[str, str]:
    """A file a schema, by its path."""
    return {f"{EVENTS}/{name}.json": _json(schema) for name, schema in event_schemas(functions).items()}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _documents(documents: list[dict[str, Any]]) -> str:
    text: str = yaml.safe_dump_all(documents, sort_keys=False, width=120, explicit_start=len(documents) > 1)
    return text


RENDERED: dict[str, Callable[[list[Function]], str]] = {
    "components/edge/routes.caddy": routes,
    "components/subscriptions/subscriptions.yaml": subscriptions,
    "bindings/cron.yaml": cron_bindings,
    "dapr.yaml": dapr_yaml,
    "dapr-embedded.yaml": dapr_embedded_yaml,
    "docs/openapi.json": lambda functions: _json(openapi(functions)),
    "docs/asyncapi.json": lambda functions: _json(asyncapi(functions)),
}


def rendered() -> dict[str, str]:
    """What every rendered file says, by its path."""
    functions = load()
    made = {name: render(functions) for name, render in RENDERED.items()}
    return made | with_scopes(ROOT, functions, HOST) | event_files(functions)


def stale(root: Path = ROOT) -> list[str]:
    """The rendered files that do not say what the declarations say, and those of EVENTS that nothing declares."""
    files = rendered()
    differ = [name for name, text in files.items() if not (root / name).exists() or (root / name).read_text() != text]
    return differ + [name for name in _events(root) if name not in files]


def _events(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / EVENTS).glob("*"))


def main(arguments: list[str]) -> int:
    names = stale()
    if "--check" in arguments:
        for name in names:
            print(f"{name} is stale: run `make render` and commit it", file=sys.stderr)
        return 1 if names else 0
    files = rendered()
    (ROOT / EVENTS).mkdir(exist_ok=True)
    for name in names:
        if name in files:
            (ROOT / name).write_text(files[name])
        else:
            (ROOT / name).unlink()
        print(f"rendered {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
