"""A case as the page shows it: the store's view joined with the lake's rows of its referrals.

Data only; words and layout are the templates'. Everything here is also the JSON form of the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from pipeline.cases.views.case import CaseView
from pipeline.console.casepage import similar, stated
from pipeline.console.casepage.evidence import Evidence
from pipeline.matching import levels
from pipeline.people import permissions
from pipeline.plainwords import PlainWords
from pipeline.store.actors import Actor

STEPS = (
    ("incident_at", "Incident"),
    ("provider_reported_at", "Provider reported"),
    ("ncmec_received_at", "NCMEC received"),
    ("nca_received_at", "NCA received"),
    ("nca_disseminated_at", "NCA disseminated"),
    ("force_received_at", "Force received"),
)
SHOWN = ("subjects", "identifiers", "facts", "media_files", "defects", "packages")
"""Tables of the lake whose rows of a case's referrals are shown."""
FILES_SHOWN = 100
"""Groups of files on a page before `?files=all`."""
MATCHES_SHOWN = 20
"""Matches listed under one group of files; the rest are counted."""
VERSION = (
    "assessment_id", "sequence", "run_id", "assessed_at", "model", "band", "score", "band_if_known", "clock_start",
    "due_at", "inputs_sha256",
)  # fmt: skip
"""What of an assessment is shown as it is stored. Its reasons, flags and counts may rest on what the reader may not know of."""


def assemble(
    view: CaseView,
    referrals: list[dict[str, Any]],
    evidence: Evidence,
    reader: Actor,
    near: int,
    *,
    all_files: bool,
    plain: PlainWords,
) -> dict[str, Any]:
    """Everything of one case that this reader may know of; `referrals` are those of it (`referrals_of`), `near` is the PDQ
    threshold in bits. Words of a report in a place where no rule reads them, or in that of a mark or a time (`plain` tells), may
    be a narrative: who may not open texts is told that they are there, and not what they are."""
    texts = permissions.allowed(reader, "case.read_text")
    keys = [r["referral_id"] for r in referrals] or [view.case.referral_id]
    rows = evidence.of_kinds(SHOWN, keys)
    if not texts:
        referrals = [plain.shown("referrals", r, stated.NOT_SHOWN) for r in referrals]
        for name in ("identifiers", "media_files"):
            rows[name] = [plain.shown(name, r, stated.NOT_SHOWN) for r in rows[name]]
    files = _files(evidence, rows["media_files"], near)
    return {
        "case": _columns(view.case),
        "urgency": view.urgency,
        "claim_lapsed": view.claim_lapsed,
        "assessment": {**_version(view.assessment), "reasons": view.reasons, "flags": view.flags},
        "summary": view.summary,
        "changes": [_columns(c) for c in view.changes],
        "first_look": view.first_look,
        "unknowns": [u for u in view.unknowns if "question" in u],
        "referrals": [
            {**_without_words(r, WORDS, texts), "stated": stated.rows(r, first=n == 0, words_shown=texts)}
            for n, r in enumerate(referrals)
        ],
        "times": times(referrals, view.case.first_action_at),
        "subjects": _subjects(rows["subjects"], rows["identifiers"]),
        "facts": [_without_words(f, ("detail",), texts) for f in rows["facts"] if f["value"] != "unknown"],
        "links": [_columns(link) for link in view.links],
        "files": files if all_files else files[:FILES_SHOWN],
        "file_groups": len(files),
        "file_count": sum(len(g["files"]) for g in files),
        "texts": evidence.texts(keys, reader.compartments),
        "defects": [_without_words(d, ("original",), texts) for d in rows["defects"]],
        "packages": rows["packages"],
        "versions": [_version(v) for v in view.versions],
        "history": [_columns(c) for c in view.history],
        "notes": [_columns(n) for n in view.notes],
        "decisions": [_columns(d) for d in view.decisions],
        "lowering": _columns(view.lowering) if view.lowering else None,
        "requests": [_columns(r) for r in view.requests],
        "transfers": [_columns(t) for t in view.transfers],
        "kirat": [_columns(k) for k in view.kirat],
        "answers": [_columns(a) for a in view.answers],
        "reviews": [_columns(r) for r in view.reviews],
        "second_looks": [_columns(s) for s in view.second_looks],
        "notifications": [_columns(n) for n in view.notifications],
        "escalations": [_columns(f) for f in view.escalations],
        "retention": [_columns(r) for r in view.retention],
    }


WORDS = ("unknown_keys", "escalation_text", "extension")
"""Columns of a referral with what people wrote (`VERBATIM` of the statements)."""


def _without_words(row: dict[str, Any], names: Sequence[str], texts: bool) -> dict[str, Any]:
    if texts:
        return row
    hidden = {name: held for name in names if (held := row.get(name))}
    return {
        **row,
        **{
            n: stated.NOT_SHOWN if isinstance(held, str) else {"not_shown": stated.NOT_SHOWN}
            for n, held in hidden.items()
        },
    }


def times(referrals: list[dict[str, Any]], first_action: datetime | None) -> list[dict[str, Any]]:
    """The way from the incident to the first action: each known moment, the time since the one before.

    The first referral's times count; supplements are later reports of the same. A negative step is shown as it is: the
    sender's times contradict each other.
    """
    first = referrals[0] if referrals else {}
    steps = [(label, _moment(first.get(name)), name) for name, label in STEPS] + [
        ("First action", first_action, "first_action_at")
    ]
    originals = first.get("times_original") or {}
    rows: list[dict[str, Any]] = []
    before: datetime | None = None
    for label, at, name in steps:
        took = at - before if at and before else None
        given = originals.get(name) or {}
        rows.append(
            {
                "step": label,
                "at": at,
                "took_hours": round(took / timedelta(hours=1), 1) if took is not None else None,
                "original": given.get("original"),
                "ambiguous": bool(given.get("ambiguous")),
            }
        )
        before = at or before
    return rows


def request_text(data: dict[str, Any]) -> str:
    """A request for information that can be sent as it stands: what could not be used, what is missing, what is open."""
    referral = data["referrals"][0] if data["referrals"] else {}
    missing = Counter(f["state"] for g in data["files"] for f in g["files"] if f["state"] in {"missing", "unreadable"})
    asks = [f"- {d['field']}: {d['problem']}" for d in data["defects"]]
    asks += [
        f"- {count} media file(s) that the report names are {state}: please send them."
        for state, count in sorted(missing.items())
    ]
    asks += [f"- {u['question']}" for u in data["unknowns"][:5]]
    lines = [
        f"Your reference: {referral.get('source_reference') or 'not stated'}",
        f"Our reference: {data['case']['case_id']}",
        "",
        "We have received and assessed your referral. To go on we need:",
        "",
        *(asks or ["- (say here what is needed)"]),
        "",
        "The case stays at its priority while we wait. Please answer with our reference.",
    ]
    return "\n".join(lines)


def referrals_of(
    root: str, evidence: Evidence, hidden_of: Callable[[Collection[str]], set[str]]
) -> list[dict[str, Any]]:
    """The case's referral and every supplement to it, first the one the case was opened for. `hidden_of` says which of some
    referrals the reader may not know of: even the first may have gone on in another case."""
    seen: list[str] = []
    further = [root]
    while further:
        hidden = hidden_of(further)
        shown = [key for key in further if key not in hidden]
        seen += shown
        further = list(dict.fromkeys(key for one in shown for key in evidence.supplements(one) if key not in seen))
    found = [row for key in seen for row in evidence.rows("referrals", [key])]
    return sorted(found, key=lambda r: (r["referral_id"] != root, r["force_received_at"]))


def _subjects(subjects: list[dict[str, Any]], identifiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Subjects with their identifiers; identifiers that no subject owns come last under no subject."""
    order = {"suspect": 0, "victim": 1, "recipient": 2}
    subjects.sort(key=lambda s: order.get(s["role"], 3))
    known = {s["subject_id"] for s in subjects}
    found = [{**s, "identifiers": [i for i in identifiers if i["subject_id"] == s["subject_id"]]} for s in subjects]
    loose = [i for i in identifiers if i["subject_id"] not in known]
    return [*found, {"subject_id": "", "role": "", "name": None, "identifiers": loose}] if loose else found


def content_key(file: dict[str, Any]) -> str:
    """The key under which matches of a file stand: its content (hex), or its id for media that was not sent."""
    return str(file["sha256"] or file["file_id"])


def _files(evidence: Evidence, rows: list[dict[str, Any]], near: int) -> list[dict[str, Any]]:
    """Media files in groups of near-duplicates, those with matches first, each group with its fingerprint and matches.

    The path in the landing folder is left out: it is as the sender wrote it, names of a covert source included.
    """
    files = [{k: v for k, v in f.items() if k != "locator"} for f in rows]
    contents = [content_key(f) for f in files]
    found_of = evidence.of_kinds(("fingerprints", "matches"), contents)
    prints = {p["sha256"]: p for p in found_of["fingerprints"]}
    matches: dict[str, dict[str, dict[str, Any]]] = {}
    for match in found_of["matches"]:
        matches.setdefault(match["file_id"] or match["sha256"], {})[match["match_id"]] = match
    distinct = list(dict.fromkeys(contents))
    hashes = [prints.get(c, {}).get("pdq") for c in distinct]
    usable = [bool(prints.get(c)) and not prints[c]["low_information"] for c in distinct]
    numbers = dict(zip(distinct, similar.groups(hashes, usable, near), strict=True))
    grouped: dict[int, list[dict[str, Any]]] = {}
    for file, content in zip(files, contents, strict=True):
        grouped.setdefault(numbers[content], []).append({**file, "content": content, "print": prints.get(content)})
    found: list[dict[str, Any]] = []
    for members in grouped.values():
        hits = [m for c in dict.fromkeys(f["content"] for f in members) for m in matches.get(c, {}).values()]
        hits.sort(key=_strength)
        found.append({"files": members, "matches": hits[:MATCHES_SHOWN], "match_count": len(hits)})
    found.sort(key=lambda g: (_strength(g["matches"][0]) if g["matches"] else (9,), g["files"][0]["file_id"]))
    return found


def _strength(match: dict[str, Any]) -> tuple[Any, ...]:
    """Order of matches: the strongest level first and similar scenes last, then the surest kind, then the smallest distance."""
    kinds = ("exact", "claimed", "near", "variant", "video", "refined", "unrefined")
    level = match.get("level") or ("similar" if match["kind"] == "unrefined" else "near")
    return (
        levels.LEVELS.index(level) if match["distance"] else 0,
        kinds.index(match["kind"]),
        match["distance"],
        -match["release"],
        match["match_id"],
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _version(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in VERSION}


def _columns(row: Any) -> dict[str, Any]:
    """A store row or dataclass as a dict."""
    if hasattr(row, "__table__"):
        return {c.key: getattr(row, c.key) for c in row.__mapper__.column_attrs}
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
