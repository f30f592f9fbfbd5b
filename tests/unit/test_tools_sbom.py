"""make sbom: the document has every locked package, and says nothing of the lock file's lines."""

from __future__ import annotations

from typing import Any

import pytest

from tools.console import REPOSITORY, OperatorError
from tools.sbom import LOCK, locked, tidied

LOCKED = """one==1.0 \\
    --hash=sha256:ab
Two_b==2.0 ; sys_platform == "linux" \\
    --hash=sha256:cd
    # via one
"""


def component(purl: str, **fields: Any) -> dict[str, Any]:
    """As cyclonedx-py 7.5 writes it."""
    files = {"type": "distribution", "hashes": [{"alg": "SHA-256", "content": "ab"}]}
    return {"purl": purl, "description": "requirements line 1: ...", "externalReferences": [files]} | fields


def bom(*components: dict[str, Any]) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "components": list(components)}


def test_locked_packages_have_package_urls() -> None:
    assert locked(LOCKED) == {"pkg:pypi/one@1.0", "pkg:pypi/two-b@2.0"}
    names = {purl.partition("@")[0] for purl in locked((REPOSITORY / LOCK).read_text())}
    assert {"pkg:pypi/dapr", "pkg:pypi/psycopg-binary", "pkg:pypi/pydantic"} <= names


def test_descriptions_go_and_all_else_stays() -> None:
    tidy = tidied(bom(component("pkg:pypi/one@1.0"), component("pkg:pypi/two-b@2.0", name="two-b")), LOCKED)
    assert [each.get("description") for each in tidy["components"]] == [None, None]
    assert tidy["components"][1]["name"] == "two-b"
    assert tidy["components"][0]["externalReferences"][0]["hashes"]


@pytest.mark.parametrize(
    "components",
    [
        [component("pkg:pypi/one@1.0")],
        [component("pkg:pypi/one@1.1"), component("pkg:pypi/two-b@2.0")],
        [component("pkg:pypi/one@1.0", externalReferences=[]), component("pkg:pypi/two-b@2.0")],
    ],
    ids=["one is missing", "another version", "no hashes"],
)
def test_what_does_not_have_them_all_is_refused(components: list[dict[str, Any]]) -> None:
    with pytest.raises(OperatorError, match="differ"):
        tidied(bom(*components), LOCKED)
