"""One case: the page, its print view, its texts, and the explanation of one match. Every reading is logged."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from pipeline import plainwords, policy
from pipeline.cases import groups, states
from pipeline.cases import words as spoken
from pipeline.cases.views import case as views
from pipeline.cases.views import hiding, supervision
from pipeline.cases.views import timeline as timelines
from pipeline.cases.work import answers, safeguarding
from pipeline.console import pages, wording
from pipeline.console.casepage import casefile, explain, linkwords, summary
from pipeline.console.context import actor, evidence, know_people, person, settings, store, writing
from pipeline.console.dashboard import charts
from pipeline.console.gate.identity import NotFoundError
from pipeline.ingest.geography import forces
from pipeline.people import permissions
from pipeline.store.group_tables import Apart, GroupMember
from pipeline.store.types import BANDS
from pipeline.store.work_tables import Safeguarded

router = APIRouter()

ANSWERED_BY = {
    "own_checks": "The force's own checks: PNC, PND, local systems, children's services",
    "sender": "The sender of the referral",
    "provider": "The provider of the service",
}
"""Who can answer a question (policy/cases.yaml, answers/asked), in the order of the page."""

PARTS = {
    "why": "Why this band",
    "unknown": "What is unknown",
    "times": "Times per stage",
    "people": "Subjects and identifiers",
    "links": "Links to other cases",
    "files": "Files and matches",
    "texts": "Chats and narratives",
    "stated": "What the referral states",
    "decisions": "Decisions and notes",
    "requests": "Requests for information",
    "history": "History",
}
"""Sections of the page, in order."""
PRINTED = frozenset({"why", "people", "links", "decisions"})
"""What the print view has unless more is asked for."""

MOVES = {
    "release": "release", "start": "start_enquiry", "close": "close", "reopen": "reopen", "ask": "request_information",
    "move": "transfer",
}  # fmt: skip
"""Forms of the page to the moves that they make (`cases/states.py`)."""

AUDIT = ("seq", "at", "user_id", "user_name", "category", "action", "object", "reason", "recipient")
"""What of an audit entry is shown on the case."""


@router.get("/cases/{number}", name="case")
def show(
    request: Request, number: str, *, files: str = "", reason: str = "", audit: str = "", unfold: str = ""
) -> Response:
    """Everything that is known of one case; with `audit=yes` also who opened or changed it, which is logged too. The form
    named by `unfold` is open on the page."""
    data = _read(request, number, reason, files == "all")
    if audit == "yes":
        with writing(request) as session:
            entries = timelines.timeline(session, actor(request), number)
            data["audit"] = [{name: getattr(e, name) for name in AUDIT} for e in entries]
    words = {**_words(request, data), "unfolded": unfold}
    return pages.answer(request, "case.html", data, **words, printing=False, parts=set(PARTS))


@router.get("/cases/{number}/print", name="print")
def printed(
    request: Request, number: str, reason: str = "", part: Annotated[list[str] | None, Query()] = None
) -> Response:
    """The case on paper, two pages for most: what it is, why, people, links, what was decided. `part` adds others, `all`
    everything; no menus, everything unfolded. The browser prints it or saves it as PDF."""
    data = _read(request, number, reason, True)
    return pages.answer(request, "case.html", data, **_words(request, data), printing=True, parts=_parts(part))


@router.get("/cases/{number}/texts", name="texts")
def texts(request: Request, number: str, open: str = "", reason: str = "") -> Response:
    """Chats and narratives: folded; each is opened one by one, with a reason, and the opening is logged."""
    with writing(request) as session:
        seen = views.read(session, actor(request), number)
        hidden_of = partial(hiding.among, session, actor(request))
        referrals = casefile.referrals_of(seen.case.referral_id, evidence(request), hidden_of)
        compartments = actor(request).compartments
        rows = [
            r
            for r in evidence(request).rows("narratives", [x["referral_id"] for x in referrals])
            if r["compartment"] is None or r["compartment"] in compartments
        ]
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(rows, key=lambda r: (r["referral_id"], r["kind"], r["position"])):
            groups.setdefault(f"{row['kind']}-{row['referral_id']}", []).append(row)
        if open and open not in groups:
            raise NotFoundError("There is no such text in this case.")
        if open:
            views.open_text(session, actor(request), number, open, reason)
        reasons = store(request).rules.reasons("consultation")
        needed = store(request).rules.data["consultation"]["reason_required"]["text"]
    data = {
        "number": number,
        "groups": [
            {"id": key, "kind": lines[0]["kind"], "count": len(lines), "lines": lines if key == open else []}
            for key, lines in groups.items()
        ],
    }
    return pages.answer(request, "texts.html", data, opened=open, reasons=list(reasons.items()), needed=needed)


@router.get("/cases/{number}/matches/{match_id}", name="case_match")
def match(request: Request, number: str, match_id: str) -> Response:
    """Why a file of this case and a known media item were taken for the same."""
    with writing(request) as session:
        seen = views.read(session, actor(request), number)
    found = evidence(request).match(match_id)
    keys = [r["referral_id"] for r in _referrals(request, seen.case.referral_id)]
    contents = {casefile.content_key(f) for f in evidence(request).rows("media_files", keys)}
    if found is None or (found["file_id"] or found["sha256"]) not in contents:
        raise NotFoundError("This case has no such match.")
    data = explain.explain(settings(request), found)
    return pages.answer(request, "match.html", data, number=number, cases=[], grid=explain.grid(found))


def _read(request: Request, number: str, reason: str, all_files: bool) -> dict[str, Any]:
    near = policy.load(settings(request), "matching").data["algorithms"]["pdq"]["radius"]
    with writing(request) as session:
        seen = views.read(session, actor(request), number, reason)
        grouped, noted = GroupMember.__tablename__ in seen.beside, Safeguarded.__tablename__ in seen.beside
        group = groups.of_case(session, actor(request), number) if grouped else None
        entered = safeguarding.newest(session, number) if noted else None
        children = {"children": entered.children, "at": entered.at, "by": entered.by} if entered else None
        together = [
            {"case_id": c.case_id, "band": c.band, "state": c.state, "holder": c.holder, "version": c.version}
            for c in (group.cases if group else ())
        ]
        apart = Apart.__tablename__ in seen.beside
        know_people(request, session)
    # the lake's rows are read after the transaction, which others wait for
    plain = plainwords.of(settings(request))
    referrals = _referrals(request, seen.case.referral_id)
    assembled = casefile.assemble(
        seen, referrals, evidence(request), actor(request), near, all_files=all_files, plain=plain
    )
    return {**assembled, "together": together, "taken_apart": apart, "safeguarded": children}


def _referrals(request: Request, root: str) -> list[dict[str, Any]]:
    """The referrals of a case, outside a transaction: of supplements the store is asked in one of its own, which only reads."""

    def hidden_of(ids: Collection[str]) -> set[str]:
        with store(request).reader() as session:
            return hiding.among(session, actor(request), ids)

    return casefile.referrals_of(root, evidence(request), hidden_of)


def refused(request: Request, number: str, form: pages.RefusedForm) -> Response:
    """The case's page with a form that was refused: what is wrong on top, everything typed still in its place.

    Raises what reading the case raises.
    """
    data = _read(request, number, "", False)
    words = {**_words(request, data), "printing": False, "parts": set(PARTS)}
    return pages.with_form(request, "case.html", data, words, refused=form, at=form.place)


def _parts(chosen: list[str] | None) -> set[str]:
    if chosen and "all" in chosen:
        return set(PARTS)
    return set(PRINTED) | (set(chosen or ()) & set(PARTS))


def _score_bar(request: Request, score: float) -> Markup:
    """The score on the scale of the bands of the model that is in force."""
    bands = policy.load(settings(request), "risk-model").data["bands"]
    limits = [(wording.words(row["band"]), float(row["least"])) for row in reversed(bands)]
    return charts.score_bar(score, limits)


def _questions(request: Request, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Open questions by who can answer them; in a group those first whose answer would change something."""
    rules = store(request).rules.data["answers"]
    facts = policy.load(settings(request), "facts").data["facts"]
    band = data["case"]["band"]
    groups: dict[str, list[dict[str, Any]]] = {code: [] for code in ANSWERED_BY}
    for row in data["unknowns"]:
        question = answers.open_question(row)
        asked = next((c for c in groups if set(question.facts) & set(rules["asked"][c])), "sender")
        changes = {question.band_if_yes, question.band_if_no} - {None, band} or question.flags_if_yes
        groups[asked].append(
            {
                **row,
                "facts": [(f, facts[f]) for f in question.facts],
                "changes": bool(changes),
                "form": f"q-{question.feature}",
            }
        )
    return [
        {"code": code, "label": ANSWERED_BY[code], "questions": sorted(rows, key=lambda r: not r["changes"])}
        for code, rows in groups.items()
        if rows
    ]


def _words(request: Request, data: dict[str, Any]) -> dict[str, Any]:
    """What only the page needs: form choices, and the words of times."""
    rules = store(request).rules
    now = store(request).clock()
    case = data["case"]
    me = actor(request).user_id
    questions = _questions(request, data)
    names = forces.load(settings(request)).names
    return {
        "reason": lambda kind, code: spoken.reason(rules, kind, code),
        "why": lambda code: spoken.any_reason(rules, code),
        "decided": lambda kind, code: spoken.decided(rules, kind, code),
        "changed": lambda change: spoken.changed(change["kind"], change["text"], partial(person, request)),
        "outcome_words": partial(spoken.outcome, rules),
        "errors": [],
        "unfolded": "",
        "three_lines": summary.lines(data),
        "score_bar": _score_bar(request, case["score"]),
        "link_blocks": linkwords.blocks(data["links"]),
        "all_parts": list(PARTS.items()),
        "forces": sorted(((c, n) for c, n in names.items() if c != settings(request).force), key=lambda f: f[1]),
        "force_names": names,
        "data_force": case["force_code"] if case["force_code"] != settings(request).force else "",
        "questions": questions,
        "settled": sum(not q["changes"] for group in questions for q in group["questions"]),
        "sources": list(rules.data["answers"]["sources"].items()),
        "today": now.date().isoformat(),
        "higher": [(b, wording.words(b)) for b in BANDS[: BANDS.index(case["band"])]],
        "lower": [(b, wording.words(b)) for b in BANDS[BANDS.index(case["band"]) + 1 :]],
        "rules": {kind: list(codes.items()) for kind, codes in rules.data["reasons"].items()},
        "outcomes": [(code, o["label"]) for code, o in rules.data["outcomes"].items()],
        "levels": list(rules.data["kirat"]["levels"].items()),
        "due": wording.due(case["due_at"], now),
        "age": wording.duration(now - case["clock_start"]),
        "mine": case["holder"] == me and not data["claim_lapsed"],
        "supervisor": "supervisor" in actor(request).roles,
        "people": _people(request),
        "moves": MOVES,
        "possible": [move for move, table in states.MOVES.items() if case["state"] in table],
        "letter": casefile.request_text(data),
        "formats": pages.formats(request, csv=False),
        "all_files_href": pages.with_value(request, "files", "all"),
        "anchor": _anchor,
    }


def _people(request: Request) -> list[tuple[str, str]]:
    """Account and words of everybody to whom the reader may allocate the case; nobody where they may not."""
    who = actor(request)
    if not permissions.allowed(who, "case.allocate"):
        return []
    with store(request).reader() as session:
        return [(load.user_id, load.words) for load in supervision.loads(session, who)]


def _anchor(number: str, row: dict[str, Any]) -> str:
    """Where the evidence row behind a reason stands on the page."""
    if row["table"] == "matches":
        return f"/cases/{number}/matches/{row['id']}"
    return f"#{row['table']}-{row['id']}"
