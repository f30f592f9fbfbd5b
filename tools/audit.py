"""Looks every locked package up in the databases of known vulnerabilities: `python -m tools.audit`.

pip-audit asks PyPI, and where that cannot say OSV (https://osv.dev), about each package of the lock files; npm asks its
registry about web/package-lock.json. A line for each finding that tools/audit.toml does not
allow. Exit status: 0 where there is none; 1 where there is; 2 when something has to be mended first; 3 when the
databases did not answer for every package: nothing is known then.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.console import REPOSITORY, OperatorError, fail, step

LOCKS = ("requirements.lock", "requirements-dev.lock")
ALLOWED = "tools/audit.toml"
LONGEST = timedelta(days=90)
"""So far ahead may a known vulnerability be allowed."""

WEB = Path(REPOSITORY, "web")
SERVICES = ("pypi", "osv")
Ask = Callable[[str], list[dict[str, Any]] | None]
"""From the name of a service to pip-audit's dependencies; None where the service does not answer."""


class Unanswered(Exception):
    """Which packages no database answered for."""


class Allowed(BaseModel):
    """A known vulnerability that is lived with until a day."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1)
    package: str = Field(min_length=1)
    reason: str = Field(min_length=10)
    until: date


@dataclass(frozen=True)
class Finding:
    package: str
    version: str
    ids: tuple[str, ...]
    """Its id and its aliases."""
    fixed_in: tuple[str, ...]
    mend: str = "make lock"

    def __str__(self) -> str:
        mended = (
            f"fixed in {', '.join(self.fixed_in)}: run {self.mend}" if self.fixed_in else "no version has a fix yet"
        )
        return f"{self.package} {self.version}: {' '.join(self.ids)}; {mended}"


def read_allowed(text: str, today: date) -> list[Allowed]:
    """Raises OperatorError for an entry without a reason, or without a day that is near enough."""
    try:
        document = tomllib.loads(text)
        entries = [Allowed.model_validate(entry) for entry in document.pop("allowed", [])]
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{ALLOWED} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise OperatorError(f"{ALLOWED}: {where}: {first['msg']}") from None
    if document:
        raise OperatorError(f"{ALLOWED}: there is nothing but [[allowed]], and not {', '.join(document)}")
    for entry in entries:
        if entry.until > today + LONGEST:
            raise OperatorError(
                f"{ALLOWED}: {entry.id} is allowed for more than {LONGEST.days} days: name a nearer day"
            )
    return entries


def ask(service: str) -> list[dict[str, Any]] | None:
    """What pip-audit says of the lock files. Raises OperatorError where it is not installed."""
    locks = [argument for lock in LOCKS for argument in ("-r", lock)]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json", "--timeout=20"]
    answer = subprocess.run(
        [sys.executable, "-m", "pip_audit", f"--vulnerability-service={service}", *options, *locks],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named pip_audit" in answer.stderr:
        raise OperatorError("pip-audit is not installed: run make venv-dev")
    try:  # its exit status is 1 for findings, and for an error too
        dependencies: list[dict[str, Any]] = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return dependencies


def look_up(ask: Ask) -> list[Finding]:
    """What is known of every package, by the first service that answers for it. Raises Unanswered.

    pip-audit passes over a package that its service does not know, and calls that no vulnerability.
    """
    known: dict[str, dict[str, Any]] = {}
    unknown: set[str] = set()
    for service in SERVICES:
        for each in ask(service) or ():
            if "skip_reason" in each:
                unknown.add(each["name"])
            else:
                known.setdefault(each["name"], each)
        if known and unknown <= known.keys():
            return sorted((found for each in known.values() for found in _findings(each)), key=str)
    missing = sorted(unknown - known.keys())
    which = f"{', '.join(missing[:5])} ({len(missing)} in all)" if known else "any package"
    raise Unanswered(f"neither PyPI nor OSV says anything of {which}: try again where they can be reached")


def _findings(dependency: dict[str, Any]) -> Iterable[Finding]:
    for found in dependency["vulns"]:
        ids = (found["id"], *sorted(set(found["aliases"]) - {found["id"]}))
        yield Finding(dependency["name"], dependency["version"], ids, tuple(found["fix_versions"]))


def ask_npm() -> str:
    """What `npm audit` says of web/package-lock.json. Raises OperatorError where there is no npm."""
    command = ["npm", "audit", "--json", "--package-lock-only"]
    try:
        answer = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OperatorError("npm is not on PATH: install Node.js, which has it") from None
    return answer.stdout  # its exit status is 1 for findings, and for an error too


def read_npm(text: str) -> list[Finding]:
    """The findings of npm's report (auditReportVersion 2). Raises Unanswered for anything else.

    A package that is vulnerable only by what it depends on (`via` names that) is no finding of its own.
    """
    try:
        report = json.loads(text)
        found = [
            Finding(
                package=via["name"],
                version=via["range"],
                ids=(via["url"].rpartition("/")[2],),
                fixed_in=("another version",) if each["fixAvailable"] else (),
                mend="npm audit fix in web/",
            )
            for each in report["vulnerabilities"].values()
            for via in each["via"]
            if isinstance(via, dict)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unanswered("npm's registry does not answer: try again where it can be reached") from None
    return sorted(set(found), key=str)


def judge(findings: list[Finding], allowed: list[Allowed], today: date) -> tuple[list[str], list[str]]:
    """Lines for what has to be mended, and for what is only to be known."""
    mend, know = [], []
    used = set()
    for finding in findings:
        entries = [entry for entry in allowed if entry.package == finding.package and entry.id in finding.ids]
        used |= {entry.id for entry in entries}
        if not entries:
            mend.append(str(finding))
        elif (until := max(entry.until for entry in entries)) < today:
            mend.append(f"{finding} (it was allowed until {until})")
        else:
            know.append(f"{finding} (allowed until {until}: {entries[0].reason})")
    know += [f"{ALLOWED}: {entry.id} is not found any more: remove it" for entry in allowed if entry.id not in used]
    return mend, know


def main() -> int:
    today = datetime.now(UTC).date()
    try:
        allowed = read_allowed(Path(REPOSITORY, ALLOWED).read_text(), today)
        findings = look_up(ask) + read_npm(ask_npm())
        mend, know = judge(findings, allowed, today)
    except OperatorError as error:
        fail(error)
        return 2
    except Unanswered as error:
        fail(OperatorError(f"audit: {error}"))
        return 3
    for line in know:
        step(line)
    for line in mend:
        fail(OperatorError(line))
    if not mend:
        step("no known vulnerability" + (" but those" if know else "") + " in the locked packages")
    return 1 if mend else 0


if __name__ == "__main__":
    sys.exit(main())
