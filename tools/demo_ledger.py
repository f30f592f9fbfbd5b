"""The demo's ledger: what it set out to do and what the server acknowledged, so that a run can be resumed.

One JSON object a line, appended and flushed as it happens:

    {"user": {"email": "demo-1a2b3c4d@...", "password": "..."}, "planned": [{"body": {...}, "soon": 5.0, ...}, ...]}
                                                the first line: whose tasks, and the plan
    {"sent": "<task id>", "due_date": "..."}    before a soon task is sent; the last one counts
    {"created": "<task id>"}                    create-task answered 200
    {"completed": "<task id>"}                  complete-task answered 200
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import IO, Self

from tools.demo_edge import Account
from tools.demo_plan import Json, Planned

NOBODY = Account("", "")


class Ledger:
    """Thread-safe. Without a file it only remembers. The file holds a password, so it is for its owner only."""

    def __init__(self, user: Account = NOBODY, planned: Sequence[Planned] = ()) -> None:
        self.user = user
        self.planned = list(planned)
        self.sent: dict[str, str] = {}
        """The due date of each soon task, as last sent."""
        self.created: set[str] = set()
        self.completed: set[str] = set()
        self._file: IO[str] | None = None
        self._lock = Lock()

    @classmethod
    def begin(cls, user: Account, planned: Sequence[Planned], path: Path | None) -> Self:
        """A new run. Raises FileExistsError rather than mixing two runs in one file."""
        ledger = cls(user, planned)
        if path is not None:
            path.touch(mode=0o600, exist_ok=False)
            ledger._file = path.open("a", encoding="utf-8")
            ledger._write({"user": asdict(user), "planned": [asdict(item) for item in planned]})
        return ledger

    @classmethod
    def resume(cls, path: Path) -> Self:
        """An interrupted run, to be continued in the same file. Raises ValueError if that is no ledger."""
        ledger = cls()
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut the last line short
        try:
            for line in whole.splitlines():
                ledger._apply(json.loads(line))
        except (ValueError, TypeError):
            ledger.planned = []
        if not ledger.planned:
            raise ValueError(f"{path} is no ledger of the demo")
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        ledger._file = path.open("a", encoding="utf-8")
        return ledger

    def record(self, **line: str) -> None:
        """Appends one line, e.g. `record(created=task_id)`, and applies it."""
        with self._lock:
            self._apply(line)
            self._write(line)

    def accepted(self) -> list[Planned]:
        """The tasks that the server acknowledged, with the due dates that were sent."""
        return [
            replace(item, body=item.body | {"due_date": self.sent[item.id]}) if item.id in self.sent else item
            for item in self.planned
            if item.id in self.created
        ]

    def _apply(self, line: Json) -> None:
        match line:
            case {"user": user, "planned": planned}:
                self.user = Account(**user)
                self.planned = [Planned(**item) for item in planned]
            case {"sent": task_id, "due_date": due_date}:
                self.sent[task_id] = due_date
            case {"created": task_id}:
                self.created.add(task_id)
            case {"completed": task_id}:
                self.completed.add(task_id)
            case _:
                raise ValueError(f"unknown line: {line}")

    def _write(self, line: Json) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
