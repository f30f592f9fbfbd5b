"""Lists of tasks: filters, full-text search and keyset pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from functions.store.database import Database
from functions.store.pages import fitting
from functions.tasks.models import Caller, Task, TaskPage
from functions.tasks.query import ListTasks, decode_cursor, encode_cursor, search_expression

DUE = "case when t.due_at is null then 'infinity' else t.due_at end"
"""When a task is due. An index has it, in these words: of `coalesce` row security could not use it."""

# Tasks without a due date sort last in both orders.
_NO_DUE_DATE: dict[str, str] = {"asc": DUE, "desc": DUE.replace("infinity", "-infinity")}
_COLUMNS: dict[str, tuple[str, str]] = {
    "priority": ("t.priority", "priority"),
    "created_at": ("t.created_at", "timestamptz"),
    "title": ("t.title_key", "text"),
}
_TAGGED = (
    "select count(*) from task_tags x join tags g using (user_id, tag_id)"
    " where x.user_id = t.user_id and x.task_id = t.task_id and g.key = any(%({keys})s)"
)


class TaskLists:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, caller: Caller, query: ListTasks, now: datetime) -> TaskPage:
        """One page of the caller's tasks. No page skips or repeats a task that stays as it is: each begins
        after the sort key of the last task of the page before. Raises InvalidInput for a cursor of another sort.
        """
        column, kind = _COLUMNS.get(query.sort_by, (_NO_DUE_DATE[query.sort_order], "timestamptz"))
        descending = query.sort_order == "desc"
        where, params = _conditions(caller, query, now)
        sort = f"{query.sort_by} {query.sort_order}"
        if query.cursor is not None:
            params["after"], params["after_id"] = decode_cursor(query.cursor, sort, (kind, "uuid"))
            comparison = "<" if descending else ">"
            where.append(f"({column}, t.task_id) {comparison} (%(after)s::{kind}, %(after_id)s::uuid)")
        direction = "desc" if descending else "asc"
        rows = self._database.of(caller.user_id).all(
            f"select task_json(t) as task, jsonb_build_array({column}, t.task_id) as key from tasks t"
            f" where {' and '.join(where)}"
            f" order by {column} {direction}, t.task_id {direction} limit %(rows)s",
            {**params, "rows": query.limit + 1},
        )
        items = fitting([Task.model_validate(row["task"]) for row in rows[: query.limit]])
        more = len(rows) > len(items)
        return TaskPage(items=items, next_cursor=encode_cursor([sort, *rows[len(items) - 1]["key"]]) if more else None)


def _conditions(caller: Caller, query: ListTasks, now: datetime) -> tuple[list[str], dict[str, Any]]:
    where: list[str] = ["t.user_id = %(user_id)s", "t.deleted_at is null"]
    params: dict[str, Any] = {"user_id": caller.user_id}
    if query.status is not None:
        where.append("t.status = %(status)s")
        params["status"] = query.status
    if query.priority:
        where.append("t.priority = any(%(priority)s::priority[])")
        params["priority"] = query.priority
    if query.due_before is not None:
        where.append(f"{DUE} < %(due_before)s")
        params["due_before"] = query.due_before
    if query.due_after is not None:
        where.append(f"{DUE} > %(due_after)s and t.due_at is not null")
        params["due_after"] = query.due_after
    if query.overdue is not None:
        overdue = "(t.status = 'open' and t.overdue_at is not null and t.overdue_at < %(now)s)"
        where.append(overdue if query.overdue else f"not {overdue}")
        params["now"] = now
    if query.tags:
        keys = sorted({name.casefold() for name in query.tags})
        where.append(f"({_TAGGED.format(keys='tags')}) = %(tags_count)s")
        params |= {"tags": keys, "tags_count": len(keys)}
    if query.tags_any:
        where.append(f"({_TAGGED.format(keys='tags_any')}) > 0")
        params["tags_any"] = [name.casefold() for name in query.tags_any]
    if query.search is not None and query.search.strip():
        where.append("t.search @@ %(search)s::tsquery")
        params["search"] = search_expression(query.search)
    return where, params
