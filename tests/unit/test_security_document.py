"""SECURITY.md names tests that there are."""

from __future__ import annotations

import re

import pytest

from tools.console import REPOSITORY

DOCUMENT = (REPOSITORY / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(\w+/test_\w+\.py)(?:::(\w+))?`", DOCUMENT)))


def test_it_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids="::".join)
def test_each_is_there(file: str, name: str) -> None:
    text = (REPOSITORY / "tests" / file).read_text()
    assert not name or re.search(rf"^ *def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((docs/\w+\.md)#?[\w-]*\)", DOCUMENT))))
def test_each_page_that_it_links_is_there(path: str) -> None:
    text = (REPOSITORY / path).read_text()
    anchors = re.findall(rf"\]\({path}#([\w-]+)\)", DOCUMENT)
    lines = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    assert set(anchors) <= {re.sub(r"[^\w-]", "", line.lower().replace(" ", "-")) for line in lines}
