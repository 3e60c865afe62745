"""SQL over what the role may read: the command `triage query` as a page, with its limits, its log and its named statements."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse

from pipeline import csvtext, output
from pipeline.console import pages
from pipeline.console.context import actor, settings, store, writing
from pipeline.errors import BusyError, InputError, TriageError, UsageError
from pipeline.export import asking
from pipeline.export.sql import history, running
from pipeline.export.sql import query as queries
from pipeline.store import recording as audit

router = APIRouter()

SHOWN = 500
"""Rows of an answer on the page; the files have all up to the limit."""
LIMITS = queries.Limits()
AT_ONCE = 2
"""Statements that one console process runs at the same time: each may use its whole memory limit."""
EXAMPLES = (
    ("Matches by kind and grade", "SELECT kind, grade, count(*) AS matches FROM matches GROUP BY ALL ORDER BY ALL"),
    (
        "Open cases past their target",
        "SELECT case_id, band, due_at FROM cases WHERE is_open AND due_at < now() ORDER BY due_at",
    ),
    (
        "Files of one case",
        "SELECT f.file_id, f.name, f.state FROM media_files f JOIN cases c USING (referral_id) WHERE c.case_id = 'C-...'",
    ),
    ("Known media by category", "SELECT category, count(*) AS opinions FROM release.opinion GROUP BY ALL ORDER BY ALL"),
)
_room = threading.BoundedSemaphore(AT_ONCE)


@router.get("/sql", name="sql")
def form(request: Request, fill: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The form, what may be read, examples, named statements and one's own last statements (`fill`: the number of one)."""
    return _page(request, None, filled=fill)


@router.post("/sql", name="sql_post")
def ask(
    request: Request,
    sql: Annotated[str, Form(max_length=100_000)] = "",
    reason: Annotated[str, Form(max_length=400)] = "",
    as_: Annotated[str, Form(alias="as", pattern="^(page|parquet)$")] = "page",
) -> Response:
    """Run one SELECT, or `@name`, within the limits of the command; logged before it runs."""
    try:
        if not sql.strip():
            raise UsageError("Write a statement, or @ and the name of one.")
        why = running.reason_of(sql, reason)
        with _turn(), asking.ask_as(store(request), actor(request), "query.sql", "export", why) as question:
            answer = running.run(settings(request), question, sql, LIMITS)
    except (UsageError, InputError) as error:
        if pages.chosen_format(request) != "html":
            raise
        return _page(request, None, sql=sql, reason=reason, error=error)
    if as_ == "parquet":
        with writing(request) as session:
            audit.record(
                session, actor(request), "disclosure", "exported.web", object_="/sql", recipient=actor(request).user_id
            )
        headers = {"Content-Disposition": 'attachment; filename="query.parquet"'}
        return Response(
            output.render(answer.table, "parquet"), 200, headers, media_type="application/vnd.apache.parquet"
        )
    rows = answer.table.to_pylist()
    names = answer.table.column_names
    if pages.chosen_format(request) == "csv":
        return pages.as_file(csvtext.as_csv(names, rows), "query.csv")
    if pages.chosen_format(request) == "json":
        return pages.answer(request, "sql.html", {"columns": names, "rows": rows, "truncated": answer.truncated})
    return _page(request, {"names": names, "rows": rows, "truncated": answer.truncated}, sql=sql, reason=reason)


@contextmanager
def _turn() -> Iterator[None]:
    """Raises BusyError when as many statements run already as this process has room for."""
    if not _room.acquire(blocking=False):
        raise BusyError("Other statements are running.", "Try again in a few seconds.")
    try:
        yield
    finally:
        _room.release()


def _page(
    request: Request,
    result: dict[str, Any] | None,
    *,
    sql: str = "",
    reason: str = "",
    filled: str = "",
    error: TriageError | None = None,
) -> Response:
    with store(request).reader() as session:
        question = asking.Enquiry(session, actor(request), None, store(request))
        own, schema = history.own(question), running.schema(settings(request), question)
    named = [
        {"name": f"@{name}", "meaning": queries.describe(path), "text": path.read_text()}
        for name, path in sorted(queries.names().items())
    ]
    if filled:
        texts = {str(row["query_id"]): row["statement"] for row in own} | {row["name"]: row["name"] for row in named}
        sql = texts.get(filled, "")
    data = {"history": own, "schema": schema, "named": named, "examples": [{"what": w, "sql": s} for w, s in EXAMPLES]}
    context = {
        "sql": sql,
        "reason": reason,
        "needed": store(request).rules.data["consultation"]["reason_required"]["export"],
        "errors": [{"text": str(error), "href": "#sql"}] if error else [],
        "result": result,
        "shown": SHOWN,
        "limits": LIMITS,
    }
    if error is not None:
        return HTMLResponse(pages.render(request, "sql.html", {**data, **context}), 422)
    return pages.answer(request, "sql.html", data, **context)
