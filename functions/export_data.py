"""export-data: everything of the caller as a JSON file, in parts where it is long."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http
from functions.store.exports import Exports
from functions.tasks.exports import Export, ExportData
from functions.tasks.models import Caller


@http("GET", "/api/export")
def export_data(query: ExportData, caller: Caller, exports: Exports, now: datetime) -> Export:
    return exports.part(caller, query.cursor, now)
