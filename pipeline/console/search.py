"""One search: what somebody has in hand (a number, a name, an account, a hash) to the cases that know it.

    found(session, actor, evidence, text)    one entry per case: number, band, state, and what was found in it

A text is tried as everything that it can be; what is found says as what. Compartments hold: referrals and cases that
the person may not know of are neither found nor counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.algorithms import ALGORITHMS
from pipeline.cases.views import hiding
from pipeline.cases.views.queue import visible
from pipeline.console.casepage.evidence import Evidence
from pipeline.console.terms import folded
from pipeline.errors import InputError, UsageError
from pipeline.export import hashes
from pipeline.ingest.reports import values
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.tables import Case, CaseReferral
from pipeline.store.types import BANDS

SHORTEST, LONGEST = 3, 400
"""Characters of a search: shorter would find half the store, longer is no value of a referral."""
CASES = 200
"""Cases shown; with more, the search is too wide to be worked through."""


@dataclass
class Hit:
    """One case and what was found in it: pairs (kind of value, as code or in words; the value as the referral has it)."""

    case_id: str
    band: str
    state: str
    holder: str | None
    found: list[dict[str, str]] = field(default_factory=list)


def search(session: Session, actor: Actor, evidence: Evidence, text: str, near: int) -> list[Hit]:
    """Cases in which `text` is found, gravest first; logged as a consultation with the kinds found, never the text.

    `near` is the distance in bits within which a perceptual hash counts as near. Raises UsageError for a text that is
    too short or too long.
    """
    permissions.require(actor, "case.read")
    asked = folded(text)
    if not SHORTEST <= len(asked) <= LONGEST:
        raise UsageError(
            f"A search has {SHORTEST} to {LONGEST} characters.",
            "Give a whole value: a name, an account, a number, a hash.",
        )
    found: dict[str, list[dict[str, str]]] = {}
    for number in session.scalars(
        select(Case.case_id).where(visible(actor), Case.case_id.contains(asked.upper(), autoescape=True)).limit(CASES)
    ):
        found.setdefault(number, []).append({"kind": "case number", "value": number})
    by_referral = _in_lake(evidence, text, asked, near)
    hidden = hiding.referrals_among(session, actor, by_referral)
    wanted = {r: kinds for r, kinds in by_referral.items() if r not in hidden}
    for chunk in _chunks(sorted(wanted), 500):
        for referral, number in session.execute(
            select(CaseReferral.referral_id, CaseReferral.case_id).where(CaseReferral.referral_id.in_(chunk))
        ):
            found.setdefault(number, []).extend(wanted[referral])
    hits = _hits(session, actor, found)
    kinds = sorted({one["kind"] for hit in hits for one in hit.found})
    audit.record(
        session,
        actor,
        "consultation",
        "search",
        object_="search:" + hashlib.sha256(asked.encode()).hexdigest()[:32],
        detail={"cases": [hit.case_id for hit in hits], "kinds": kinds},
    )
    return hits


def _hits(session: Session, actor: Actor, found: dict[str, list[dict[str, str]]]) -> list[Hit]:
    hits = []
    for chunk in _chunks(sorted(found), 500):
        for case in session.scalars(select(Case).where(visible(actor), Case.case_id.in_(chunk))):
            unique = list({(f["kind"], f["value"]): f for f in found[case.case_id]}.values())
            hits.append(Hit(case.case_id, case.band, case.state, case.holder, unique))
    hits.sort(key=lambda hit: (BANDS.index(hit.band), hit.case_id))
    return hits[:CASES]


def _in_lake(evidence: Evidence, text: str, asked: str, near: int) -> dict[str, list[dict[str, str]]]:
    """Referral ids with what was found in each."""
    found: dict[str, list[dict[str, str]]] = {}

    def add(rows: Iterable[tuple[str, str, str]]) -> None:
        for referral, kind, value in rows:
            found.setdefault(referral, []).append({"kind": kind, "value": value})

    for candidate in _candidates(text, asked):
        add(evidence.found(candidate))
    words = re.findall(r"\w+", asked)
    if words:
        named = [{(r, k, v) for r, k, v in evidence.found(f"name:{word}")} for word in words]
        add(sorted(set.intersection(*named)))
    for algorithm, value in _hashes(text):
        add(evidence.found(f"{algorithm}:{value.hex()}"))
        contents = [(content, 0) for content in sorted(evidence.contents_with(algorithm, value))]
        if algorithm == "sha256":
            contents = [(value.hex(), 0)]
        elif algorithm == "pdq":
            contents = evidence.contents_near(value, near)
        for content, distance in contents:
            name = ALGORITHMS[algorithm].label
            kind = f"file with this {name}" if not distance else f"file {distance} bits away by {name}"
            add((referral, kind, content) for referral in evidence.referrals_with(content))
    return found


def _candidates(text: str, asked: str) -> list[str]:
    """The forms under which a value may stand: as given, a telephone number in full, without spaces, `@name`."""
    forms = [asked, asked.replace(" ", ""), asked.removeprefix("@")]
    readers: tuple[Callable[[str], str], ...] = (
        lambda given: values.phone(given, "GB"),
        lambda given: values.ip_and_port(given)[0],
        values.email,
        values.device,
    )
    for read in readers:
        try:
            forms.append(folded(read(text.strip())))
        except values.UnusableError:
            continue  # it is no value of that kind
    return list(dict.fromkeys(f for f in forms if f))


def _hashes(text: str) -> list[tuple[str, bytes]]:
    try:
        parsed = hashes.parse_hash(text)
    except InputError:
        return []
    return [(name, parsed.value) for name in parsed.algorithms]


def _chunks(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
