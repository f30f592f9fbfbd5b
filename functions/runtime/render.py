"""Renders what follows from the functions' declarations: `python -m functions.runtime.render [--check]`.

    components/edge/routes.caddy                 the edge's paths
    components/subscriptions/subscriptions.yaml  Dapr subscriptions
    bindings/cron.yaml                           Dapr cron bindings
    dapr.yaml                                    `dapr run -f .`
    docs/openapi.json                            the public API

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

from functions.runtime.openapi import openapi
from functions.runtime.triggers import Function, Http, Topic, load

ROOT = Path(__file__).parents[2]
HOST = "tickler"
"""The app-id of a host that holds all functions."""

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
        lines += [f'\t\timport invoke {function} "{query}"', "\t}"]
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
    """The multi-app run file (https://docs.dapr.io/developing-applications/local-development/multi-app-dapr-run/)."""
    document = {
        "version": 1,
        "common": {
            "resourcesPaths": ["components/embedded", "components/subscriptions", "bindings"],
            "configFilePath": "components/embedded/configuration.yaml",
        },
        "apps": [
            {
                "appID": HOST,
                "appDirPath": ".",
                "appProtocol": "grpc",
                "appPort": 50051,
                "daprHTTPPort": 3500,
                "daprGRPCPort": 50001,
                # An app taken for dead, because the machine stalled, would lose what this broker gets meanwhile.
                "enableAppHealthCheck": False,
                "env": {"TICKLER_BROKER": "in-memory", "TICKLER_AUTH": "dev"},
                "command": ["python", "-m", "functions"],
            }
        ],
    }
    return NOTE + _documents([document])


def _documents(documents: list[dict[str, Any]]) -> str:
    text: str = yaml.safe_dump_all(documents, sort_keys=False, width=120, explicit_start=len(documents) > 1)
    return text


RENDERED: dict[str, Callable[[list[Function]], str]] = {
    "components/edge/routes.caddy": routes,
    "components/subscriptions/subscriptions.yaml": subscriptions,
    "bindings/cron.yaml": cron_bindings,
    "dapr.yaml": dapr_yaml,
    "docs/openapi.json": lambda functions: json.dumps(openapi(functions), indent=2, ensure_ascii=False) + "\n",
}


def stale(root: Path = ROOT) -> list[str]:
    """The rendered files that do not say what the declarations say."""
    functions = load()
    return [
        name
        for name, render in RENDERED.items()
        if not (root / name).exists() or (root / name).read_text() != render(functions)
    ]


def main(arguments: list[str]) -> int:
    names = stale()
    if "--check" in arguments:
        for name in names:
            print(f"{name} is stale: run `make render` and commit it", file=sys.stderr)
        return 1 if names else 0
    functions = load()
    for name in names:
        (ROOT / name).write_text(RENDERED[name](functions))
        print(f"rendered {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
