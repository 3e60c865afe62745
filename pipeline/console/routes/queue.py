"""The queue: by risk or by target, filters in the URL, what waits to be told, and "give me the next case"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.cases.duties import escalations, notices
from pipeline.cases.states import STATES
from pipeline.cases.views import filters as filters_kept
from pipeline.cases.views import queue as queues
from pipeline.cases.views.queue import QueueFilters, QueuePage, QueueRow
from pipeline.cases.work import claims
from pipeline.console import pages, wording
from pipeline.console.context import actor, store, writing
from pipeline.senders import SOURCES
from pipeline.store.types import BANDS
from pipeline.store.work_tables import SavedFilter

router = APIRouter()

PAGE = 40
"""Cases on one page: with all words of a row below 60 kB."""
NEW_FOR = timedelta(hours=24)
"""How long a case is marked as new for somebody who has not opened it; not at all where most of the page would be."""
STRIP = 6
"""Flags that the strip names; the rest are counted."""
LARGEST_LIST = 10_000
"""Rows of a queue asked for as CSV or JSON without a page."""

ORDERS = {
    "risk": "by risk",
    "target": "by target",
    "age": "oldest clock first",
    "source": "by source",
    "state": "by state",
    "case": "by case number",
}
ATTENTION = {
    "flagged": "Escalation flag",
    "unacknowledged": "Flag nobody has acknowledged",
    "new_for_me": "New since I last looked",
    "unknown_files": "Has unknown files",
    "exact_matches": "Has known files",
    "near_matches": "Has near matches",
    "text_only": "Text only, no files",
    "reopened": "Reopened",
    "lowering_pending": "Lowering to approve",
    "second_look": "Second look open",
}
HOLDERS = {"me": "Me", "nobody": "Nobody"}

Many = Annotated[list[str] | None, Query()]


@router.get("/queue", name="queue")
def show(
    request: Request,
    *,
    band: Many = None,
    urgency: Many = None,
    source: Many = None,
    state: str = "",
    holder: str = "",
    provider: str = "",
    force: str = "",
    team: str = "",
    attention: str = "",
    text: str = "",
    order: str = "risk",
    after: str = "",
) -> Response:
    """Open cases by risk (band, unacknowledged flags, past the target, score, target), or by target alone."""
    filters = QueueFilters(
        band=tuple(band) if band else None,
        urgency=tuple(urgency) if urgency else None,
        source=tuple(source) if source else None,
        state=(state,) if state else None,
        holder=holder or None,
        provider=(provider,) if provider else None,
        force=force or None,
        team=team or None,
        query=text.strip().upper() or None,
    )
    flag: dict[str, Any] = {attention: True} if attention in ATTENTION else {}
    filters = replace(filters, **flag)
    whole = pages.chosen_format(request) == "csv"
    with writing(request) if _logged(request) else store(request).reader() as session:
        counted = request.app.state.counters.count(session, actor(request), filters)
        page = queues.page(session, actor(request), filters, order=order, after=after or None, size=PAGE)
        waiting = escalations.open_flags(session, actor(request), limit=STRIP)
        strip, told = escalations.strip(session, actor(request)), notices.unread(session, actor(request))
        saved = filters_kept.saved(session, actor(request))
        rows = _rest(session, request, filters, page) if whole else list(page.rows)
    data: dict[str, Any] = {
        "as_of": page.as_of,
        "total": counted.counts["total"],
        "order": page.order,
        "counts": counted.counts,
        "counted_at": counted.at,
        "to_be_told": [{"text": line.text, "cases": line.cases, "late": line.late} for line in strip],
        "filters": filters.active(),
        "cases": [row.as_dict() for row in rows],
        "next": pages.with_value(request, "after", page.next_after) if page.next_after else None,
    }
    return pages.answer(
        request,
        "queue.html",
        data,
        rows=data["cases"],
        name="queue",
        counted_earlier=counted.earlier,
        waiting=waiting,
        waiting_more=sum(line.flags for line in strip) - len(waiting),
        **{**_above(request, page.order, saved), "told": [(n.notice_id, n.text) for n in told]},
        kept={"provider": provider, "force": force, "team": team, "order": order},  # filters that come by a link only
        groups=_groups(rows, counted.counts, page),
        chosen=_chosen(request),
        options=_options(),
        picked={
            "band": band or [], "urgency": urgency or [], "source": source or [], "state": state,
            "holder": holder, "attention": attention, "text": text,
        },
        formats=pages.formats(request),
        previous=pages.without(request, "after") if after else None,
    )  # fmt: skip


@router.post("/queue/filters", name="save_filters")
def save_filters(request: Request, name: Annotated[str, Form()] = "", query: Annotated[str, Form()] = "") -> Response:
    """Keep the filters of an address under a name, for oneself."""
    with writing(request) as session:
        row = filters_kept.save(session, actor(request), name, query)
        kept = row.query
    return RedirectResponse(f"/queue?{kept}&done=kept", 303)


@router.post("/queue/filters/remove", name="remove_filters")
def remove_filters(request: Request, name: Annotated[str, Form()] = "") -> Response:
    """Forget filters that one kept."""
    with writing(request) as session:
        filters_kept.remove(session, actor(request), name)
    return RedirectResponse("/queue", 303)


@router.post("/queue/next", name="next")
def take_next(request: Request) -> Response:
    """Claim the free case that stands first, and open it."""
    with writing(request) as session:
        case = claims.claim_next(session, actor(request))
        number = case.case_id if case else None
    return RedirectResponse(f"/cases/{number}?done=claimed" if number else "/queue?done=none-free", 303)


def _above(request: Request, order: str, saved: Sequence[SavedFilter]) -> dict[str, Any]:
    """What the page shows beside the list: which order is on, the person's saved filters."""
    return {
        "orders": [(name, text, pages.with_value(request, "order", name)) for name, text in ORDERS.items()],
        "order_text": ORDERS[order],
        "saved": [{"name": row.name, "query": row.query} for row in saved],
        "here_query": request.url.query,
        "sort_links": {name: pages.with_value(request, "order", name) for name in ORDERS},
    }


def _logged(request: Request) -> bool:
    """Listings are written to the audit log only where the policy says so; all others need no write."""
    return bool(store(request).rules.data["consultation"]["log_listings"])


def _rest(session: Any, request: Request, filters: QueueFilters, first: QueuePage) -> list[QueueRow]:
    rows, page = list(first.rows), first
    while page.next_after and len(rows) < LARGEST_LIST:
        page = queues.page(
            session, actor(request), filters, order=page.order, after=page.next_after, size=queues.LARGEST_PAGE
        )
        rows += page.rows
    return rows[:LARGEST_LIST]


def _groups(rows: Sequence[QueueRow], counts: dict[str, int], page: QueuePage) -> list[dict[str, Any]]:
    """Rows by band, or all together by target, each as the few words of a line."""
    since = page.as_of - NEW_FOR
    fresh = {row.case_id for row in rows if row.new_for_me and not row.changed_for_me and row.opened_at > since}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.place if page.order == "risk" else "total", []).append(
            {
                "number": row.case_id,
                "band": row.band,
                "flags": row.flagged,
                "to_tell": row.unacknowledged,
                "urgency": row.urgency,
                "standing": row.standing,
                "reasons": row.top_reasons[:2],
                "new": row.case_id in fresh and len(fresh) * 2 <= len(rows),
                "changed": row.changed_for_me,
                "source": row.source,
                "provider": row.provider,
                "age": wording.duration(page.as_of - row.clock_start),
                "due": wording.due(row.due_at, page.as_of),
                "state": row.state,
                "holder": None if row.claim_lapsed else row.holder,
                "reopened": row.reopen_reason,
            }
        )
    return [
        {
            "code": code,
            "text": wording.words(code) if code != "total" else ORDERS[page.order].capitalize(),
            "count": counts.get(code, len(lines)),
            "rows": lines,
        }
        for code, lines in found.items()
    ]


def _options() -> dict[str, list[tuple[str, str]]]:
    return {
        "band": [(b, wording.words(b)) for b in BANDS],
        "urgency": [(u, wording.words(u)) for u in queues.URGENCIES],
        "source": [(s, wording.words(s)) for s in SOURCES],
        "state": [(s, wording.words(s)) for s in STATES],
        "holder": list(HOLDERS.items()),
        "attention": list(ATTENTION.items()),
    }


def _chosen(request: Request) -> list[dict[str, str]]:
    """The filters that are on, each with the address without it."""
    names = {"text": "Number", "force": "Force", "team": "Team", "provider": "Provider"}
    found = []
    for name, value in request.query_params.multi_items():
        if not value or name not in {
            "band", "urgency", "source", "state", "holder", "provider", "force", "team", "attention", "text"
        }:  # fmt: skip
            continue
        shown = {"attention": ATTENTION, "holder": HOLDERS}.get(name, {}).get(
            value, value if name in names else wording.words(value)
        )
        found.append(
            {"text": f"{names.get(name, wording.words(name))}: {shown}", "href": pages.without(request, name, value)}
        )
    return found
