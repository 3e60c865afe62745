"""Look-ups in the known-hash store, as a page and as the HTTP API; the list of matches; one match explained."""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, File, Form, Path, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from hashsets.release import releases
from pipeline.cases.views import hiding
from pipeline.console import pages
from pipeline.console.casepage import explain
from pipeline.console.casepage.holding import cases_with
from pipeline.console.context import actor, evidence, settings, store, writing
from pipeline.console.gate.identity import NotFoundError
from pipeline.errors import InputError, UsageError
from pipeline.export import hashes as texts
from pipeline.export import lookup
from pipeline.store import recording as audit

router = APIRouter()

LIMIT = 10_000
"""Hashes of one look-up on the page or through the API; longer lists are for the command line."""
SHOWN = 500
"""Rows of an answer on the page; CSV and JSON have them all."""
MATCHES = 200
"""Matches on one page, and in JSON; CSV has LIMIT."""


class LookupBody(BaseModel):
    """A look-up through the API."""

    hashes: list[Annotated[str, Field(max_length=400)]] = Field(
        max_length=LIMIT, description="Hex or base64, with or without `algorithm:`"
    )
    reason: str = Field("", max_length=400, description="Why it is asked; kept in the audit log")


@router.get("/look-up", name="lookup")
def form(request: Request) -> Response:
    """The form: paste hashes or upload a list."""
    return _page(request, {"rows": [], "rejects": [], "release": None, "taken": ""}, "", [])


@router.post("/look-up", name="lookup_post")
def ask(
    request: Request,
    hashes: Annotated[str, Form(max_length=1_000_000)] = "",
    reason: Annotated[str, Form(max_length=400)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Look hashes up. The list is read here and not stored; the log keeps how many were asked, why, and what was found."""
    try:
        uploaded = texts.text_of(file.file.read(), file.filename) if file and file.filename else ""
        text = "\n".join(part for part in (hashes, uploaded) if part.strip())
        if not text.strip():
            named = file.filename if file else None
            raise UsageError(f"{named} is empty." if named else "Paste at least one hash, or choose a file.")
        data = _answer(request, text, reason)
    except (UsageError, InputError) as error:
        found: dict[str, Any] = {"rows": [], "rejects": [], "release": None, "taken": ""}
        return _page(
            request, found, hashes[:20_000], [{"text": str(error), "href": "#hashes"}], reason=reason, status=422
        )
    return _page(request, data, hashes[:20_000], [], reason=reason)


@router.post("/api/lookup", name="api_lookup")
def api(request: Request, asked: LookupBody) -> Response:
    """Look hashes up by token: rows as `triage lookup` gives them, and rejects with their reasons."""
    data = _answer(request, "\n".join(h.replace("\n", " ") for h in asked.hashes), asked.reason)
    return JSONResponse(pages.plain(data))


@router.get("/matches", name="matches")
def matches(
    request: Request,
    kind: Annotated[list[str] | None, Query()] = None,
    grade: Annotated[list[str] | None, Query()] = None,
    release: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    after: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Matches of all files that the person may know of, by level and grade, with filters and the number of cases."""
    with store(request).reader() as session:
        hidden = hiding.referrals(session, actor(request))
    found, following = evidence(request).matches(
        kinds=kind or [],
        grades=grade or [],
        release=int(release) if release else None,
        after=after,
        limit=LIMIT if pages.chosen_format(request) == "csv" else MATCHES,
        hidden=hidden,
    )
    with store(request).reader() as session:
        held = cases_with(session, actor(request), evidence(request), found)
    found = [{**m, "cases": len(held[m["match_id"]])} for m in found]
    data = {"matches": found, "next": pages.with_value(request, "after", following) if following else None}
    chosen = [
        {"text": f"{name.title()}: {value}", "href": pages.without(request, name, value)}
        for name, value in request.query_params.multi_items()
        if name in {"kind", "grade", "release"} and value
    ]
    return pages.answer(
        request,
        "matches.html",
        data,
        rows=found,
        name="matches",
        picked={"kind": kind or [], "grade": grade or [], "release": release},
        kinds=list(explain.KINDS),
        grades=["TRUSTED", "INDICATIVE", "DISPUTED", "WITHDRAWN", "BENIGN"],
        chosen=chosen,
        formats=pages.formats(request),
        previous=pages.without(request, "after") if after else None,
    )


@router.get("/matches/{match_id}", name="match")
def one(request: Request, match_id: str) -> Response:
    """One match explained, without a case; logged as a consultation."""
    found = evidence(request).match(match_id)
    if found is None:
        raise NotFoundError("There is no such match.")
    with writing(request) as session:
        hidden = hiding.referrals(session, actor(request))
        holders = evidence(request).holders(found)
        if holders and not [r for r in holders if r not in hidden]:
            raise NotFoundError("There is no such match.")
        audit.record(session, actor(request), "consultation", "match.read", object_=f"match:{found['match_id']}")
        cases = cases_with(session, actor(request), evidence(request), [found])[found["match_id"]]
    data = {**explain.explain(settings(request), found), "cases": cases}
    return pages.answer(request, "match.html", data, number=None, grid=explain.grid(found))


def _answer(request: Request, text: str, reason: str) -> dict[str, Any]:
    """Look up, with the audit entry in place before anything is shown. Raises UsageError when a reason is missing."""
    why = store(request).rules.consultation_reason("lookup", reason)
    found, rejects = texts.parse_list(text, LIMIT)
    release = releases.current(settings(request))
    rows = _linked(request, lookup.look_up(settings(request), release, found))
    with writing(request) as session:
        detail = {"hashes": len(found), "rejected": len(rejects), "hits": sum(r["result"] != "not known" for r in rows)}
        audit.record(
            session,
            actor(request),
            "consultation",
            "hash.looked_up",
            object_=f"release:{release.number}",
            reason=why,
            detail=detail,
        )
    return {
        "release": release.number,
        "rows": rows,
        "rejects": [{"line": r.line, "text": r.text, "reason": r.reason} for r in rejects],
        "taken": texts.taken(text),
    }


def _linked(request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each hit with the matches of that known item here, and the cases that they are in."""
    keys = {row["media_key"] for row in rows if row["media_key"] is not None}
    with store(request).reader() as session:
        hidden = hiding.referrals(session, actor(request))
        found = evidence(request).matches_of(sorted(keys), set(hidden))
        held = cases_with(session, actor(request), evidence(request), [m for ms in found.values() for m in ms])
    linked = []
    for row in rows:
        matches = found.get(row["media_key"], [])
        cases = sorted({number for m in matches for number in held[m["match_id"]]})
        linked.append({**row, "matches": [m["match_id"] for m in matches], "cases": cases})
    return linked


@router.get("/known/{media_key}", name="known")
def known(request: Request, media_key: Annotated[int, Path(ge=0, lt=2**63)]) -> Response:
    """A known media item: what each source says of it, since which release, and where it matched here. Logged."""
    release = releases.current(settings(request))
    described = release.describe(pa.array([media_key], pa.int64())).to_pylist()
    if not described:
        raise NotFoundError("There is no such known media item.")
    with writing(request) as session:
        audit.record(session, actor(request), "consultation", "known.read", object_=f"media:{media_key}")
        hidden = hiding.referrals(session, actor(request))
        found = evidence(request).matches_of([media_key], set(hidden)).get(media_key, [])
        held = cases_with(session, actor(request), evidence(request), found)
    data = {
        "release": release.number,
        "known": described[0],
        "history": explain.history(settings(request), media_key),
        "matches": [{**m, "cases": held[m["match_id"]]} for m in found],
    }
    return pages.answer(request, "known.html", data, formats=pages.formats(request, csv=False))


def _page(
    request: Request,
    data: dict[str, Any],
    text: str,
    errors: list[dict[str, str]],
    *,
    reason: str = "",
    status: int = 200,
) -> Response:
    needed = store(request).rules.data["consultation"]["reason_required"]["lookup"]
    shown = {"errors": errors, "hashes": text, "reason": reason, "needed": needed, "shown": SHOWN, "limit": LIMIT}
    if errors:  # back to the form, whatever form of answer was asked for
        return HTMLResponse(pages.render(request, "look_up.html", {**data, **shown}), status)
    rows = [*data["rows"], *lookup.not_read(data["rejects"])]
    return pages.answer(request, "look_up.html", data, rows=rows, name="look-up", status=status, **shown)
