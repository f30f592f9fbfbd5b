"""Bad input: a 4xx that names the field, tells nothing of the inside, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.bad_inputs import (
    LIST_ACTIVITY,
    LIST_TASKS,
    NOT_TITLED,
    PREVIEWS,
    RECURRENCES,
    TAG_FIELDS,
    TASK_FIELDS,
    UUIDS,
    VERSIONS,
    Bad,
    cases,
)
from tests.support.client import OPERATIONS, Api, refused
from tests.support.victim import Victim


def bodies(operation: str, bad: list[Bad]) -> list[Any]:
    return [pytest.param(operation, each, id=f"{operation}-{each}"[:90]) for each in bad]


BODIES = [
    *bodies("create", [*TASK_FIELDS, *RECURRENCES, NOT_TITLED, *cases("id", UUIDS)]),
    *bodies("update", [*TASK_FIELDS, *RECURRENCES, *VERSIONS]),
    *bodies("replace", [*TASK_FIELDS, *RECURRENCES, *VERSIONS, NOT_TITLED]),
    *bodies("complete", [*VERSIONS, Bad("an unknown field", {"colour": "red"}, "colour")]),
    *bodies("reopen", [*VERSIONS, Bad("an unknown field", {"colour": "red"}, "colour")]),
    *bodies("preview", PREVIEWS),
    *bodies("create_tag", [*TAG_FIELDS, Bad("left out", {}, "name", without=("name",))]),
    *bodies("update_tag", [*TAG_FIELDS, Bad("nothing to change", {}, "name", without=("name",))]),
]
QUERIES = [
    *bodies("list", LIST_TASKS),
    *bodies("activity", LIST_ACTIVITY),
    *bodies("get", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
    *bodies("tags", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
    *bodies("delete", [*cases("version", {"0": 0, "a word": "x"}), Bad("unknown", {"colour": "red"}, "colour")]),
    *bodies("delete_tag", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
]


@pytest.mark.parametrize(("operation", "bad"), BODIES)
def test_body(victim: Victim, operation: str, bad: Bad) -> None:
    """A bad field of a body is refused by its name, in both spellings."""
    inputs = {name: value for name, value in victim.inputs[operation].items() if name not in bad.without}
    for api in victim.apis("rest", "dapr"):
        refused(api(operation, **{**inputs, **bad.inputs}), 400, code=3, field=bad.field)


@pytest.mark.parametrize(("operation", "bad"), QUERIES)
def test_query(victim: Victim, operation: str, bad: Bad) -> None:
    """A bad parameter of a query is refused by its name, in all spellings."""
    for api in victim.apis("rest", "dapr", "dapr-get"):
        refused(api(operation, **victim.inputs[operation], **bad.inputs), 400, code=3, field=bad.field)


BY_ID = ("get", "update", "replace", "delete", "complete", "reopen", "update_tag", "delete_tag")


@pytest.mark.parametrize("operation", BY_ID)
@pytest.mark.parametrize("bad", cases("id", UUIDS), ids=str)
def test_id__that_is_none(victim: Victim, operation: str, bad: Bad) -> None:
    name = "tag_id" if "tag" in operation else "task_id"
    inputs = {**victim.inputs[operation], name: bad.inputs["id"]}
    refused(Api(victim.client, "dapr")(operation, **inputs), 400, code=3, field=name)
    refused(
        Api(victim.client, "dapr")(operation, **{n: v for n, v in inputs.items() if n != name}), 400, code=3, field=name
    )
    if isinstance(bad.inputs["id"], str) and bad.inputs["id"]:
        refused(Api(victim.client, "rest")(operation, **inputs), 400, code=3, field=name)


@pytest.mark.parametrize("operation", BY_ID)
@pytest.mark.parametrize(
    "segment",
    [
        "%2F",
        "%00",
        "%2e%2e%2f",
        "..%2f..%2ftags",
        "%252F",
        "%0d%0aX:%20y",
        "%ff",
        "%3Fversion=1",
        "%26replace=true",
        "a b",
        "x" * 5000,
    ],
)
def test_path__with_tricks_in_the_id(victim: Victim, operation: str, segment: str) -> None:
    """An id in a path is one segment and nothing more: it cannot reach another path or add a parameter."""
    call = OPERATIONS[operation]
    own = victim.tag["id"] if "tag" in operation else victim.task["id"]
    for part in (segment, own + segment):
        path = call.path.replace("{task_id}", part).replace("{tag_id}", part).replace(" ", "%20")
        body = {"title": "x", "name": "x"} if call.verb in ("POST", "PUT", "PATCH") else None
        refused(victim.client.rest(call.verb, path, body), code=None)
