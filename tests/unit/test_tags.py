"""Tags: their colors, and which commands on them are whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Tag
from functions.tasks.tags import PALETTE, ManageTags, check, color_of

_ID = uuid4()


def command(**fields: Any) -> ManageTags:
    return ManageTags.model_validate(fields)


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", PALETTE)
def test_colors_can_be_read_on_white(color: str) -> None:
    assert 1.05 / (luminance(color) + 0.05) >= 4.5


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_a_name_has_one_color_whatever_its_case(name: str) -> None:
    assert color_of(name) == color_of(name.casefold()) == color_of(name)
    assert color_of(name) in PALETTE
    assert Tag.model_validate({"id": _ID, "name": name, "color": color_of(name)}).color in PALETTE


def test_names_differ_in_color() -> None:
    assert len({color_of(name) for name in ("home", "work", "garden", "school", "travel", "health")}) > 2


@pytest.mark.parametrize(
    ("fields", "checked"),
    [
        ({}, ("list", UUID(int=0), {})),
        ({"action": "create", "name": "Home"}, ("create", UUID(int=0), {"name": "Home"})),
        (
            {"action": "create", "name": "Home", "color": "#123456"},
            ("create", UUID(int=0), {"name": "Home", "color": "#123456"}),
        ),
        ({"action": "update", "tag_id": _ID, "color": "#123456"}, ("update", _ID, {"color": "#123456"})),
        ({"action": "update", "tag_id": _ID, "name": "Work"}, ("update", _ID, {"name": "Work"})),
        ({"action": "delete", "tag_id": _ID}, ("delete", _ID, {})),
    ],
)
def test_a_whole_command_is_taken(fields: dict[str, Any], checked: tuple[str, UUID, dict[str, Any]]) -> None:
    assert check(command(**fields)) == checked


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "create"}, "name"),
        ({"action": "create", "color": "#123456"}, "name"),
        ({"action": "create", "name": "a", "tag_id": _ID}, "tag_id"),
        ({"action": "update", "name": "a"}, "tag_id"),
        ({"action": "update", "tag_id": _ID}, "name"),
        ({"action": "delete"}, "tag_id"),
        ({"action": "list", "tag_id": _ID}, "tag_id"),
    ],
)
def test_a_command_that_lacks_a_part_is_refused_naming_it(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check(command(**fields))
    assert error.value.field == field
