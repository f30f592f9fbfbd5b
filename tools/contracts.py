"""Refuses a change of what the functions publish that consumers of the previous commit could not read.

`python -m tools.contracts` compares docs/events and docs/asyncapi.json as they are here with the previous commit: HEAD
where they differ from it, else HEAD's first parent. TICKLER_CONTRACTS_BASE names another one, such as the tag of what
runs now. Where there is no history (a tarball, a shallow clone) it says so and passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.console import REPOSITORY, OperatorError, fail
from tools.schema_changes import breaks

EVENTS = "docs/events"
ASYNCAPI = "docs/asyncapi.json"
BASE = "TICKLER_CONTRACTS_BASE"

Documents = dict[str, Any]
"""The parsed files, by their path from the root."""


class NoHistory(Exception):
    """Why there is nothing to compare with."""


def refusals(old: Documents, new: Documents) -> list[str]:
    """A line for each thing that `new` breaks: the file, where in it, what, and how to mend it."""
    found = []
    others = accepted(new.get(ASYNCAPI, {}))
    for name in sorted(old.keys() - {ASYNCAPI}):
        if name not in new:
            found.append(f"{name}: $ is removed: keep publishing it, and add what is to replace it beside it")
        else:
            found += [f"{name}: {broken}" for broken in breaks(old[name], new[name], accepted=name in others)]
    return found + [f"{ASYNCAPI}: {broken}" for broken in lost_topics(old.get(ASYNCAPI, {}), new.get(ASYNCAPI, {}))]


def accepted(asyncapi: Documents) -> set[str]:
    """The schemas of messages on topics that no function sends on: others do."""
    own = {each["channel"]["$ref"] for each in asyncapi.get("operations", {}).values() if each["action"] == "send"}
    return {
        f"{EVENTS}/{message}.json"
        for topic, channel in asyncapi.get("channels", {}).items()
        if f"#/channels/{topic}" not in own
        for message in channel["messages"]
    }


def lost_topics(old: Documents, new: Documents) -> list[str]:
    """The topics that are there no more, and what is on a topic no more: messages, and types of events in them."""
    channels: Documents = new.get("channels", {})
    found = []
    for topic, channel in old.get("channels", {}).items():
        if topic not in channels:
            found.append(f"$.channels.{topic} is removed: keep the topic, and add what is to replace it beside it")
            continue
        for part in ("messages", "x-event-types"):
            for name in channel.get(part, {}).keys() - channels[topic].get(part, {}).keys():
                found.append(f"$.channels.{topic}.{part}.{name} is removed: keep it, and add another topic beside it")
    return sorted(found)


def present(root: Path) -> Documents:
    """The files as they are here."""
    paths = [*(root / EVENTS).glob("*.json"), *root.glob(ASYNCAPI)]
    return {path.relative_to(root).as_posix(): json.loads(path.read_text()) for path in paths}


def committed(root: Path, commit: str) -> Documents:
    """The files as they are in `commit`."""
    names = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", EVENTS, ASYNCAPI).split("\0")
    return {name: json.loads(_git(root, "show", f"{commit}:{name}")) for name in names if name.endswith(".json")}


def previous(root: Path, named: str | None = None) -> str:
    """The commit to compare with. Raises NoHistory, and OperatorError for a named one that is not there."""
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel").strip())
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NoHistory(error.stderr.strip().partition("\n")[0]) from None
    if top.resolve() != root.resolve():
        raise NoHistory(f"{root} is not the root of a repository")
    if named:
        if commit := _commit(root, named):
            return commit
        raise OperatorError(f"{BASE}={named} names no commit of this repository: fetch it, or name another")
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", EVENTS, ASYNCAPI)
    if commit := _commit(root, "HEAD" if changed else "HEAD~1"):
        return commit
    raise NoHistory("the previous commit is not here (the first one, or a shallow clone)")


def _commit(root: Path, name: str) -> str | None:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout


def main(root: Path = REPOSITORY) -> int:
    """The exit status: 1 where something is broken."""
    try:
        base = previous(root, os.environ.get(BASE))
    except NoHistory as reason:
        print(f"contracts: nothing to compare with: {reason}")
        return 0
    except OperatorError as error:
        return fail(error)
    found = refusals(committed(root, base), present(root))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
