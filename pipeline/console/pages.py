"""One answer in three forms: the same URL as a page, as JSON (`?format=json` or Accept) and, for lists, as CSV.

A handler gives plain data; this module decides how it is written. The page gets the same data and nothing more, apart
from the frame (menu, name, form token).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import orjson
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup

from pipeline import csvtext
from pipeline.cases.views import queue
from pipeline.console import context, wording
from pipeline.console.api import forms
from pipeline.console.gate import access
from pipeline.console.notices import NOTICES
from pipeline.errors import ConflictError, InputError, TriageError, UsageError
from pipeline.matching import knownvideos

FOLDER = Path(__file__).parent

MENU = (
    ("/queue", "Queue"),
    ("/mine", "Mine"),
    ("/supervision", "Supervision"),
    ("/outcomes", "Outcomes"),
    ("/look-up", "Look-up"),
    ("/matches", "Matches"),
    ("/sql", "SQL"),
    ("/dashboard", "Dashboard"),
    ("/runs", "Runs"),
    ("/audit", "Audit log"),
    ("/accounts", "Accounts"),
)

WORKED = frozenset({"/queue", "/mine", "/cases", "/supervision", "/dashboard", "/runs", "/search"})
"""First parts of the addresses of pages that people work from: they say how old the queue is, and when a night failed."""


def chosen_format(request: Request) -> str:
    """html, json or csv, by `?format=` and then by who asks. Raises UsageError for an unknown format."""
    named = forms.named(request)
    if named is not None and named not in forms.FORMATS:
        raise UsageError("There is no such format.", f"Known: {', '.join(forms.FORMATS)}.")
    return forms.wanted(request)


def answer(
    request: Request,
    template: str,
    data: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    name: str = "list",
    status: int = 200,
    **extra: Any,
) -> Response:
    """Write `data` in the form asked for. `rows` is the list behind CSV; `extra` is for the page only.

    Raises UsageError when CSV is asked of a page that is no list.
    """
    chosen = chosen_format(request)
    if chosen == "json":
        return Response(orjson.dumps(plain(data)), status, media_type="application/json")
    if chosen == "csv":
        if rows is None:
            raise UsageError("This page is no list, so there is no CSV of it.", "Ask for ?format=json.")
        listed = [dict(row) for row in rows]
        columns = list(listed[0]) if listed else []
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return Response(csvtext.as_csv(columns, listed), status, headers, media_type="text/csv; charset=utf-8")
    return HTMLResponse(render(request, template, {**data, **extra}), status)


@dataclasses.dataclass(frozen=True)
class RefusedForm:
    """A form that was not taken: the fields that were sent, why, and the status of the answer."""

    sent: Mapping[str, str]
    error: TriageError
    status: int

    @property
    def place(self) -> str | None:
        """Where the form stands on its page: the id that its field `form` names."""
        return f"{self.sent['form']}-form" if self.sent.get("form") else None

    @property
    def text(self) -> str:
        """What the person reads on the page of the form, where a remedy that names commands is of no use."""
        told = isinstance(self.error, ConflictError | InputError)
        return f"{self.error.message} {self.error.remedy}".strip() if told else self.error.message


def with_form(
    request: Request,
    template: str,
    data: Mapping[str, Any],
    words: Mapping[str, Any],
    *,
    refused: RefusedForm | None = None,
    at: str | None = None,
) -> Response:
    """A page with a form. Where it was refused, the page again: what is wrong on top, with a link to `at`, and everything typed
    still in its place."""
    if refused is None:
        return answer(request, template, data, **{"errors": [], "sent": {"form": ""}, **words})
    shown = {"errors": [{"href": f"#{at}" if at else None, "text": refused.text}], "sent": {"form": "", **refused.sent}}
    return HTMLResponse(render(request, template, {**data, **words, **shown}), refused.status)


def as_file(data: bytes, name: str) -> Response:
    """A CSV file to take along."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, 200, headers, media_type="text/csv; charset=utf-8")


def render(request: Request, template: str, context: Mapping[str, Any]) -> str:
    """The page as HTML, in its frame."""
    return environment().get_template(template).render({**frame(request), **context})


def part(template: str, context: Mapping[str, Any]) -> Markup:
    """A part of pages without a frame, which says nothing of who asks and may therefore be kept."""
    return Markup(environment().get_template(template).render(context))  # noqa: S704 (rendered by our own templates)


def frame(request: Request) -> dict[str, Any]:
    """What every page has: who is signed in, the menu by role, the form token, the notice named in the URL."""
    visitor = getattr(request.state, "visitor", None)
    actor = visitor.actor if visitor else None
    here = "/" + request.url.path.strip("/").split("/")[0]
    good, text = NOTICES.get(request.query_params.get("done", ""), (False, ""))
    return {
        "user": {"display": actor.name, "roles": sorted(actor.roles)} if actor else None,
        "csrf": visitor.csrf if visitor else "",
        "sent": {},
        "nights": request.app.state.nights.standing() if actor and here in WORKED else None,
        "menu": [{"href": h, "text": t} for h, t in MENU if actor and access.may(actor, access.rule("GET", h))],
        "here": here,
        "notice": {"title": "Done" if good else "Nothing to do", "text": text, "good": good} if text else None,
        "marking": "OFFICIAL-SENSITIVE",
        "offer_break": visitor.offer_break if visitor else 0,
        "urgent_waiting": urgent_waiting(request) if visitor and visitor.offer_break else 0,
        "may_search": bool(actor) and access.may(actor, access.rule("POST", "/search")),
        "person": lambda user_id: context.person(request, user_id),
        "can": lambda action: bool(actor) and access.may(actor, action),
    }


def urgent_waiting(request: Request) -> int:
    """Critically overdue cases that nobody holds: said with every offer of a break, so that none is left for it."""
    actor = request.state.visitor.actor
    if not access.may(actor, "case.claim"):
        return 0
    filters = queue.QueueFilters(urgency=("critically_overdue",), holder="nobody")
    with request.app.state.store.reader() as session:
        counted = request.app.state.counters.count(session, actor, filters)
    return int(counted.counts["total"])


def formats(request: Request, csv: bool = True) -> list[dict[str, str]]:
    """Links to the same URL in the other forms."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in {"format", "done"}]
    offered = [("csv", "CSV"), ("json", "JSON")] if csv else [("json", "JSON")]
    return [{"href": f"{request.url.path}?{urlencode([*kept, ('format', f)])}", "text": t} for f, t in offered]


def without(request: Request, name: str, value: str | None = None) -> str:
    """This URL with one filter (one value of it) taken away, from the first page on."""
    kept = [
        (k, v)
        for k, v in request.query_params.multi_items()
        if v and k not in {"after", "done", "format"} and not (k == name and value in {None, v})
    ]
    return request.url.path + (f"?{urlencode(kept)}" if kept else "")


def with_value(request: Request, name: str, value: str) -> str:
    """This URL with one value set."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if v and k not in {name, "done", "format"}]
    return f"{request.url.path}?{urlencode([*kept, (name, value)])}"


def plain(value: Any) -> Any:
    """Data as JSON knows it: moments as ISO 8601, bytes as hex, dataclasses as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


_OF_DICTS = frozenset(dir(dict))


class _Shown(CodeGenerator):
    """Writes every value of a page through `wording.shown`, which is `escape(wording.visible(value))` in one step."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write("environment.shown(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write(")")


class _Environment(jinja2.Environment):
    """Finds `row.name` in a dict at once, where Jinja first looks for an attribute and is refused: a page has a thousand."""

    code_generator_class = _Shown
    shown = staticmethod(wording.shown)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute not in _OF_DICTS:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


@cache
def environment() -> jinja2.Environment:
    """The templates: everything escaped, no character unseen, a missing name is an error."""
    env = _Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=wording.visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters.update(
        words=wording.words,
        cell=wording.cell,
        stored=wording.stored,
        moment=wording.moment,
        iso=wording.iso,
        clock=wording.clock,
        size=wording.size,
        number=wording.number,
        known_span=knownvideos.words,
    )
    env.globals["static"] = static_url
    return env


def warm() -> None:
    """Compile every template, so that the first person of the day does not wait for it."""
    for name in environment().list_templates(extensions=["html"]):
        environment().get_template(name)


@cache
def static_files() -> dict[str, bytes]:
    """The only files that are served: name -> bytes."""
    return {name: (FOLDER / "static" / name).read_bytes() for name in ("govuk.css", "console.css")}


@cache
def static_url(name: str) -> str:
    """Address of a stylesheet; it changes with the content, so that it may be kept by the browser."""
    return f"/static/{name}?v={hashlib.sha256(static_files()[name]).hexdigest()[:12]}"
