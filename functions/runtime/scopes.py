"""Who may use which Dapr component, and publish or receive which topic: the end of each component's file.

https://docs.dapr.io/operations/components/component-scopes/ and
https://docs.dapr.io/developing-applications/building-blocks/pubsub/pubsub-scopes/. The head of a file is written by
hand; from MARK on it follows from the functions' declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from functions.runtime.channels import Channels
from functions.runtime.fanout import HUB
from functions.runtime.limits import Limits
from functions.runtime.mailer import Mailer
from functions.runtime.triggers import Function
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS

MARK = "# From here on rendered from the functions' declarations by `make render`. Do not edit.\n"

CHANGE_LOG = {TASK_EVENTS, REMINDER_EVENTS}
"""The topics of the change log. Whoever changes a user's log publishes all that is pending in it, in order, so also
what another function wrote there (functions/runtime/publisher.py)."""

Scopes = Mapping[str, Iterable[str]]


def with_scopes(root: Path, functions: list[Function], host: str) -> dict[str, str]:
    """Every component's file below `root`/components that has an end to be rendered, by its path, with that end. `host`
    is the app-id that holds all functions."""
    files = {path: path.read_text() for path in sorted((root / "components").rglob("*.yaml"))}
    heads = {path: text.partition(MARK)[0] for path, text in files.items() if MARK in text}
    # A component whose credentials are secrets needs the secret store for itself, in the sidecar of whoever uses it.
    with_secrets = {(_environment(root, path), path.stem) for path, head in heads.items() if "secretKeyRef" in head}
    made = {}
    for path, head in heads.items():
        users = _users(path.stem, functions)
        if path.stem == "secrets":
            for environment, name in with_secrets:
                if environment == _environment(root, path):
                    users |= _users(name, functions)
        topics = _topics(functions, host) if path.stem == "pubsub" else ""
        apps = [host, *(function.name for function in functions if function.name in users)]
        if path.stem == "secrets":
            apps.append(HUB)  # it verifies tokens too
        made[path.relative_to(root).as_posix()] = head + MARK + topics + "scopes:\n" + "".join(f"- {a}\n" for a in apps)
    return made


def _environment(root: Path, path: Path) -> str:
    return path.relative_to(root / "components").parts[0]


def _users(component: str, functions: list[Function]) -> set[str]:
    """The functions that use a component by themselves."""
    return {
        function.name
        for function in functions
        if (component == "pubsub" and (publishes(function, functions) or function.topics))
        or (component == "state" and Limits in function.hints.values())
        # The mail password; and the keys of access tokens, which each function that has callers verifies them by.
        or (component == "secrets" and ({Mailer, Channels} & set(function.hints.values()) or function.https))
    }


def publishes(function: Function, functions: list[Function]) -> set[str]:
    """The topics that the function's sidecar may publish on: what it sends, and where its dead letters go."""
    topics = {*function.sends, *(topic.dead_letter for topic in function.topics if topic.dead_letter)}
    if topics & CHANGE_LOG:
        topics |= CHANGE_LOG
    if function.redrives:
        topics |= _received(functions)
    return topics


def _received(functions: list[Function]) -> set[str]:
    return {topic.name for function in functions for topic in function.topics}


def _topics(functions: list[Function], host: str) -> str:
    """That both lists name every topic means: no other topic, and none without a scope. daprd drops the spaces."""
    publishing = {function.name: publishes(function, functions) for function in functions}
    receiving = {function.name: {topic.name for topic in function.topics} for function in functions}
    every = sorted(_received(functions).union(*publishing.values()))
    lists = "".join(_item(name, ",\n".join(every)) for name in ("allowedTopics", "protectedTopics"))
    return (
        lists
        + _item("publishingScopes", _scopes({host: every, **publishing}))
        + _item("subscriptionScopes", _scopes({host: every, **receiving}))
    )


def _scopes(scopes: Scopes) -> str:
    return ";\n".join(f"{app}={','.join(sorted(topics))}" for app, topics in scopes.items() if topics)


def _item(name: str, lines: str) -> str:
    return f"  - name: {name}\n    value: >-\n" + "".join(f"      {line}\n" for line in lines.split("\n"))
