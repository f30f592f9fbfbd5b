"""manage-tags: lists, makes, renames, recolors and deletes tags."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once, sends
from functions.store.tags import Tags
from functions.tasks.events import TASK_EVENTS
from functions.tasks.models import Caller, Deleted, Tag
from functions.tasks.tags import ManageTags, TagList, check


@http("GET", "/api/tags", action="list")
@http("POST", "/api/tags", action="create")
@http("PATCH", "/api/tags/{tag_id}", action="update")
@http("DELETE", "/api/tags/{tag_id}", action="delete")
@once
@sends(TASK_EVENTS)
def manage_tags(command: ManageTags, caller: Caller, tags: Tags, now: datetime) -> Tag | TagList | Deleted:
    match check(command):
        case ("create", _, {"name": name, **rest}):
            return tags.create(caller, name, rest.get("color"), now)
        case ("update", tag_id, changes):
            return tags.update(caller, tag_id, changes, now)
        case ("delete", tag_id, _):
            return Deleted(id=tags.delete(caller, tag_id, now).id)
    return TagList(items=tags.list(caller))
