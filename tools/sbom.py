"""Writes the software bill of materials of what runs (requirements.lock) to build/sbom.json: `python -m tools.sbom`.

CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), by cyclonedx-py, which checks it against the official schema.
Reproducible: the same lock makes the same bytes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.console import REPOSITORY, OperatorError, fail, shown, step

LOCK = "requirements.lock"
SBOM = REPOSITORY / "build" / "sbom.json"
_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE | re.IGNORECASE)


def locked(lock: str) -> set[str]:
    """The package URLs (https://github.com/package-url/purl-spec) of all that a lock file names."""
    return {f"pkg:pypi/{name.lower().replace('_', '-')}@{version}" for name, version in _PACKAGE.findall(lock)}


def tidied(bom: dict[str, Any], lock: str) -> dict[str, Any]:
    """The document without the lines of the lock file, which stand in each description. Raises OperatorError unless
    it has every locked package, with hashes."""
    for component in bom["components"]:
        component.pop("description", None)
    whole = {
        component["purl"].partition("?")[0]
        for component in bom["components"]
        if any(reference.get("hashes") for reference in component.get("externalReferences", ()))
    }
    if missing := locked(lock) ^ whole:
        raise OperatorError(f"the bill of materials and {LOCK} differ: {', '.join(sorted(missing)[:5])}")
    return bom


def main() -> int:
    SBOM.parent.mkdir(exist_ok=True)
    options = ["--pyproject=pyproject.toml", "--spec-version=1.6", "--output-reproducible", "--output-file=-"]
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", LOCK, *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        if "No module named cyclonedx_py" in made.stderr:
            raise OperatorError("cyclonedx-bom is not installed: run make venv-dev")
        if made.returncode:
            raise OperatorError(f"cyclonedx-py: {(made.stderr.strip() or 'failed').splitlines()[-1]}")
        bom = tidied(json.loads(made.stdout), Path(REPOSITORY, LOCK).read_text())
    except OperatorError as error:
        return fail(error)
    SBOM.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n")
    step(f"{shown(SBOM)}: {len(bom['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
