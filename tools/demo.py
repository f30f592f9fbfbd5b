"""`make demo`: a household's tasks through the Dapr API of the running system, and what became of them.

Signs a new user up, creates every task of the sample, completes some, waits for the reminders that fall due
meanwhile, then reads everything back and checks that nothing is missing and nothing is there twice. Exits 1 if a check
fails.

It survives a restart of the server: every call is repeated, with the same ids, for up to a minute. To
interrupt the demo itself, run it with `--ledger FILE` and go on with `--resume FILE`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from functions.tasks.values import uuid7
from tools import demo_check as check
from tools.demo_edge import Account, Edge, Refused, Unreachable
from tools.demo_ledger import Ledger
from tools.demo_plan import Json, Planned, due_in, plan

CONNECTIONS = 8
PATIENCE = 60.0
"""Seconds to wait for what must come: a server that restarts, a reminder, an entry of the log."""
SETTLE = 2.0
"""Seconds after everything is there in which a second copy of something would show."""

MAX_LATENESS = 1.0
MAX_SPAWN = 2.0
"""Seconds: the promises for the p99 of reminder lateness, and for every next occurrence."""


@dataclass
class Run:
    """One run of the demo, and what it measures (seconds)."""

    edge: Edge
    ledger: Ledger
    created: list[float] = field(default_factory=list)
    creating: float = 0.0
    completed_at: dict[str, float] = field(default_factory=dict)
    """When this run was told of a completion, by series (monotonic clock)."""
    seen_at: dict[str, float] = field(default_factory=dict)
    """When this run first saw the next occurrence, by series."""
    refused: list[str] = field(default_factory=list)

    def create(self, item: Planned) -> None:
        """Creates one task; a soon one gets its due date at the moment it is sent."""
        try:
            answer = self.edge.call("create-task", lambda: self._body(item))
        except Refused as refusal:
            self.refused.append(f"task {item.id} ({item.body['title']}): {refusal}")
            return
        self.created.append(answer.seconds)
        self.ledger.record(created=item.id)

    def _body(self, item: Planned) -> Json:
        if item.soon is None:
            return item.body
        # Sent before, without an answer: if it did arrive, its due date stays; else it gets a new one.
        if item.id not in self.ledger.sent or not self._exists(item.id):
            self.ledger.record(sent=item.id, due_date=due_in(item.soon, datetime.now(UTC)))
        return item.body | {"due_date": self.ledger.sent[item.id]}

    def _exists(self, task_id: str) -> bool:
        try:
            self.edge.call("get-task", query={"task_id": task_id})
        except Refused as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def complete(self, item: Planned) -> None:
        try:
            answer = self.edge.call("complete-task", {"task_id": item.id})
        except Refused as refusal:
            self.refused.append(f"completing {item.id} ({item.body['title']}): {refusal}")
            return
        self.ledger.record(completed=item.id)
        if item.recurring and not item.ends:
            self.completed_at[answer.body["recurrence_id"]] = answer.at

    def watch_series(self, stop: Event) -> None:
        """Notes when each next occurrence is first listed, until `stop` is set."""
        newest = {"status": "open", "sort_by": "created_at", "sort_order": "desc", "limit": 100}
        while not stop.wait(0.05):
            answer = self.edge.call("list-tasks", query=newest)
            for task in answer.body["items"]:
                if (task["occurrence"] or 0) > 1:
                    self.seen_at.setdefault(task["recurrence_id"], answer.at)

    def spawn_times(self) -> list[float]:
        """Seconds from the answer of complete-task until the next occurrence was listed."""
        seen = self.seen_at
        return [max(seen[series] - at, 0.0) for series, at in self.completed_at.items() if series in seen]

    def snapshot(self) -> check.Snapshot:
        # the tasks first: whatever is listed must then be in the log
        tasks = list(self._pages("list-tasks"))
        return check.Snapshot(tasks, list(self._pages("list-activity")))

    def _pages(self, function: str) -> Iterator[Json]:
        query: Json = {"limit": 200}
        while True:
            page = self.edge.call(function, query=query).body
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]


def create_all(run: Run) -> None:
    todo = [item for item in run.ledger.planned if item.id not in run.ledger.created]
    if todo:
        say(f"creating {len(todo)} tasks")
    start = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(run.create, todo))
    run.creating = time.monotonic() - start


def complete_some(run: Run) -> None:
    """Completes what the plan says, and waits until each next occurrence is there."""
    todo = [item for item in run.ledger.accepted() if item.complete and item.id not in run.ledger.completed]
    if todo:
        say(f"completing {len(todo)} of them")
    stop = Event()
    with ThreadPoolExecutor(1) as watchers, ThreadPoolExecutor(CONNECTIONS) as pool:
        watching = watchers.submit(run.watch_series, stop)
        try:
            list(pool.map(run.complete, todo))
            end = time.monotonic() + PATIENCE
            while run.completed_at.keys() - run.seen_at.keys() and time.monotonic() < end and watching.running():
                time.sleep(0.05)
        finally:
            stop.set()
        watching.result()


def soon_tasks(ledger: Ledger) -> list[Planned]:
    return [item for item in ledger.accepted() if item.soon is not None]


def wait_for_reminders(ledger: Ledger) -> None:
    due = [when for item in soon_tasks(ledger) for when in check.soon_times(item.body)]
    left = (max(due) - datetime.now(UTC)).total_seconds() if due else 0.0
    if left > 0:
        say(f"waiting for {len(due)} reminders, the last one due in {left:.0f} s")
        time.sleep(left)


def verify(run: Run) -> tuple[list[str], check.Snapshot]:
    """Reads everything until all is there, then once more after a while: nothing may have come twice."""
    say("checking every task, occurrence, delivery and entry of the log")
    accepted, completed = run.ledger.accepted(), run.ledger.completed
    end = time.monotonic() + PATIENCE
    while check.verify(accepted, completed, run.snapshot()) and time.monotonic() < end:
        time.sleep(1.0)
    time.sleep(SETTLE)
    seen = run.snapshot()
    return run.refused + check.verify(accepted, completed, seen), seen


def report(run: Run, seen: check.Snapshot) -> list[str]:
    """Prints what happened; answers the promises about time that were not kept."""
    broken = []
    asked = {item.id for item in run.ledger.planned}
    done = [item for item in run.ledger.planned if item.id in run.ledger.completed]
    spawned = sum(task["id"] not in asked for task in seen.tasks)
    spawns = run.spawn_times()
    rate = f", {len(run.created) / run.creating:.0f} a second" if run.created else ""
    row("created", len(run.ledger.created), f"tasks{rate}", run.created)
    row("completed", len(done), f"tasks, {sum(item.recurring for item in done)} recurring")
    row("spawned", spawned, f"next occurrences, {sum(item.ends for item in done)} ended", spawns)
    if spawns and max(spawns) > MAX_SPAWN:
        broken.append(f"a next occurrence took {max(spawns):.2f} s; the promise is {MAX_SPAWN:.0f} s")
    if unseen := run.completed_at.keys() - run.seen_at.keys():
        broken.append(f"{len(unseen)} next occurrences took longer than {PATIENCE:.0f} s")
    late_by_channel = check.lateness({item.id for item in soon_tasks(run.ledger)}, seen.activity)
    for channel, late in late_by_channel.items():
        row("delivered", len(late), f"reminders by {channel}, lateness", late)
        p99 = check.percentile(late, 99)
        if p99 >= MAX_LATENESS:
            broken.append(f"p99 of the lateness by {channel} is {p99:.2f} s; the promise is {MAX_LATENESS:.0f} s")
    last = max((entry["seq"] for entry in seen.activity), default=0)
    row("logged", len(seen.activity), f"entries, seq 1 to {last}")
    return broken


def row(what: str, count: int, text: str, seconds: list[float] | None = None) -> None:
    times = ""
    if seconds:
        p50, p99 = (f"p{p} {check.percentile(seconds, p):.3f} s" for p in (50, 99))
        times = f"{p50}  {p99}  max {max(seconds):.3f} s"
    print(f"  {what:<10}{count:>5}  {text:<32}{times}".rstrip(), flush=True)


def say(text: str) -> None:
    print(f"{text} ...", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo; the exit code is 0 if everything is there exactly once and in time."""
    options = parse(arguments)
    try:
        ledger = begin(options)
    except FileExistsError:
        return fail(f"{options.ledger} exists: continue it with --resume, or name another file")
    except Unreachable as error:
        return fail(f"no answer at {options.url}: start it with `make run`, wait for `ready` ({error})")
    except (OSError, ValueError, Refused) as error:
        return fail(f"cannot begin: {error}")
    run = Run(Edge(options.url, ledger.user, PATIENCE), ledger)
    print(f"Tickler demo: {len(ledger.planned)} tasks of {ledger.user.email} at {options.url}", flush=True)
    try:
        create_all(run)
        complete_some(run)
        wait_for_reminders(ledger)
        problems, seen = verify(run)
    except (Unreachable, Refused) as error:
        return fail(f"gave up: {error}")
    except KeyboardInterrupt:
        return fail("interrupted")
    print()
    broken = report(run, seen)
    print()
    problems += broken if options.timing else []
    for problem in problems[:40]:
        print(f"  {problem}")
    if len(problems) > 40:
        print(f"  and {len(problems) - 40} more")
    print(f"demo failed, problems: {len(problems)}" if problems else "demo passed")
    return 1 if problems else 0


def begin(options: argparse.Namespace) -> Ledger:
    """The ledger of a new run, or of the one to resume, once the server answers."""
    now = datetime.now(UTC)
    ledger = Ledger.resume(options.resume) if options.resume else None
    if ledger is not None:
        Edge(options.url, ledger.user, patience=0).call("list-tasks", query={"limit": 1})
        return ledger
    user = Account(f"demo-{uuid7(now).hex[-8:]}@tickler.localhost", secrets.token_urlsafe(18))
    Edge(options.url, user, patience=0).sign_up()
    return Ledger.begin(user, plan(now, options.soon), options.ledger)


def fail(text: str) -> int:
    print(f"demo: {text}", file=sys.stderr)
    return 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    url = f"http://127.0.0.1:{os.environ.get('TICKLER_PORT', '8080')}"
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=(__doc__ or "").split("\n\n")[1])
    option = parser.add_argument
    option("--url", type=http_url, default=url, help="the edge (%(default)s)")
    option("--soon", type=int, default=48, help="how many tasks fall due meanwhile (%(default)s)")
    option("--no-timing", dest="timing", action="store_false", help="report times, but do not judge them")
    option = parser.add_mutually_exclusive_group().add_argument
    option("--ledger", type=Path, metavar="FILE", help="write down what was acknowledged")
    option("--resume", type=Path, metavar="FILE", help="continue the run of this ledger")
    return parser.parse_args(arguments)


def http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
