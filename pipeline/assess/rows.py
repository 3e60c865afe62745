"""Assessments as rows of the lake: summary, digest of the inputs, what changed, columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from pipeline import __version__, records
from pipeline.assess.evidence.counters import GRADES
from pipeline.assess.evidence.inputs import FORCE_NOT_SET, YES, CaseFile
from pipeline.assess.models.model import BANDS, Assessed, Model
from pipeline.assess.telling import authorities
from pipeline.contract import Night
from pipeline.lake import Lake
from pipeline.settings import Settings

CATEGORIES = ("A", "B", "C", "PROHIBITED", "EXTREME", "UNMAPPED")


@dataclass(frozen=True, slots=True)
class Previous:
    """The latest stored assessment of a case, as far as the next one needs it. `texts` gives the JSON of its reasons
    and flags when they are wanted: most cases of a night have not changed."""

    version: int
    band: str
    score: float
    inputs_sha256: str
    texts: Callable[[], tuple[str, str]]


def encode(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no white space; equal values give equal bytes. Named tuples are lists."""
    return orjson.dumps(value, default=list, option=orjson.OPT_SORT_KEYS)


def inputs_digest(case: CaseFile, model: Model, transfer: str | None) -> str:
    """SHA-256 (hex) over the case's inputs, the model file's bytes, the receiving force and the version of this
    software, whose features read them."""
    return digest_of(encode(case.content()), model, transfer)


def digest_of(inputs: bytes, model: Model, transfer: str | None) -> str:
    """The same for a case whose `content` is encoded already."""
    return hashlib.sha256(encode([model.digest, __version__, transfer]) + inputs).hexdigest()


def transfer_to(case: CaseFile, settings: Settings) -> str | None:
    """Code of the force that the case has to go to; None for our own, an unknown one, or when TRIAGE_FORCE is not
    set."""
    if settings.force == FORCE_NOT_SET or case.force_code is None or case.force_code == settings.force:
        return None
    return case.force_code


def summary(case: CaseFile, assessed: Assessed, transfer: str | None) -> dict[str, Any]:
    """What the queue shows of a case without opening it."""
    counts = case.counts
    exact, leads = counts.get("known", 0), counts.get("leads", 0)
    return {
        "source": case.source,
        "sources": case.sources,
        "provider": case.provider,
        "force_code": case.force_code,
        "transfer_to": transfer,
        "compartment": case.compartment,
        "priority": case.priority,
        "oldest_at": min(case.times.values()).isoformat() if case.times else None,
        "oldest_stage": min(case.times, key=lambda t: (case.times[t], t)) if case.times else None,
        "completeness": case.completeness,
        "referrals": len(case.referrals),
        "files": counts.get("files", 0),
        "files_present": counts.get("present", 0),
        "files_unhashable": counts.get("unhashable", 0),
        "files_unexamined": counts.get("unexamined", 0),
        "files_not_sent": counts.get("files", 0) - counts.get("present", 0),
        "matched_exact": exact,
        "matched_near": leads,
        "leads": counts.get("only_leads", 0),
        "known_benign": counts.get("only_benign", 0),
        "unknown_files": counts.get("unknown", 0),
        "by_grade": {g: n for g in GRADES if (n := counts.get(f"best_{g}", 0))},
        "by_category": {c: n for c in CATEGORIES if (n := counts.get(f"in_{c}", 0))},
        "links": sum(case.links.values()),
        "links_strong": case.links.get("strong", 0),
        "links_by_strength": case.links,
        "lists": case.lists,
        "narratives": case.narratives,
        "top_reasons": [r["label"] for r in assessed.reasons if r["value"] == YES][:3],
        "text_only": case.narratives > 0 and not counts.get("files", 0),
        "quarantined_packages": case.quarantined,
        "joined_cases": case.joined,
    }


def notifications(
    assessed: Assessed, case: CaseFile, transfer: str | None, forces: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The notifications due; a case of another force adds the transfer to it. `forces` are names by code."""
    due = authorities.addressed(assessed.notifications, case, forces)
    if transfer is None:
        return due
    evidence = [{"table": "referrals", "id": case.referral_id, "note": "force of the referral"}]
    named = f"{forces[transfer]} ({transfer})" if transfer in forces else f"force {transfer}"
    reason = "The referral concerns the area of another force."
    moved = {"kind": "transfer", "label": f"Transfer to {named}", "reason": reason, "evidence": evidence}
    return [*due, moved | {"force_code": transfer}]


def changes(previous: Previous, assessed: Assessed, reasons: str, flags: str) -> dict[str, Any]:
    """What differs from the stored version, in labels that can be shown. `reasons` and `flags` are those of `assessed`
    as they are stored: a text that has not changed, as most, is not read again."""
    reasons_before, flags_before = previous.texts()
    before = _said(assessed.reasons if reasons_before == reasons else orjson.loads(reasons_before))
    now = _said(assessed.reasons)
    raised = assessed.flags if flags_before == flags else orjson.loads(flags_before)
    flags_were, flags_now = ({f["rule"]: f["label"] for f in listed} for listed in (raised, assessed.flags))
    both = [n for n in now if n in before]
    return {
        "band_from": previous.band,
        "band_to": assessed.band,
        "direction": _direction(BANDS.index(previous.band), BANDS.index(assessed.band)),
        "score_from": previous.score,
        "score_to": assessed.score,
        "reasons_new": [r["label"] for n, r in now.items() if n not in before],
        "reasons_gone": [r["label"] for n, r in before.items() if n not in now],
        "reasons_raised": [now[n]["label"] for n in both if now[n]["contribution"] > before[n]["contribution"]],
        "reasons_lowered": [now[n]["label"] for n in both if now[n]["contribution"] < before[n]["contribution"]],
        "flags_new": [label for rule, label in flags_now.items() if rule not in flags_were],
        "flags_gone": [label for rule, label in flags_were.items() if rule not in flags_now],
    }


def _said(reasons: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Reasons that are a yes, by their feature."""
    return {r["feature"]: r for r in reasons if r["value"] == YES}


def _direction(before: int, now: int) -> str:
    return "same" if before == now else "raised" if now > before else "lowered"


@dataclass(frozen=True, slots=True)
class Inputs:
    """A case file as text (its encoded `content`), and the digest of it with the model and the receiving force."""

    text: bytes
    digest: str

    @classmethod
    def of(cls, case: CaseFile, model: Model, transfer: str | None) -> Inputs:
        text = encode(case.content())
        return cls(text, digest_of(text, model, transfer))


def row_of(
    case: CaseFile,
    assessed: Assessed,
    inputs: Inputs,
    transfer: str | None,
    previous: Previous | None,
    *,
    model: Model,
    night: Night,
    forces: Mapping[str, str],
    origin: str = "",
) -> dict[str, Any]:
    """One row of schemas/records/assessments.json. `origin` keeps ids of rows that no night made apart from the night's."""
    version = 1 if previous is None else previous.version + 1
    name = hashlib.sha256(f"{case.case_id} {inputs.digest} {version}{origin}".encode()).hexdigest()[:32]
    reasons, flags = encode(assessed.reasons).decode(), encode(assessed.flags).decode()
    differs = None if previous is None else encode(changes(previous, assessed, reasons, flags)).decode()
    return {
        "assessment_id": f"A-{name}",
        "case_id": case.case_id,
        "referral_id": case.referral_id,
        "version": version,
        "referrals": case.referrals,
        "model": model.label,
        "band": assessed.band,
        "score": assessed.score,
        "reasons": reasons,
        "unknowns": encode(assessed.unknowns).decode(),
        "flags": flags,
        "notifications": encode(notifications(assessed, case, transfer, forces)).decode(),
        "clock_start": assessed.clock_start,
        "due_at": assessed.due_at,
        "band_if_known": assessed.band_if_known,
        "summary": encode(summary(case, assessed, transfer)).decode(),
        "inputs_sha256": inputs.digest,
        "inputs": inputs.text.decode(),
        "previous_band": None if previous is None else previous.band,
        "changes": differs,
        "assessed_at": night.as_of,
        "run_id": night.run_id,
    }


STAGE = "assess"
COMMIT_ROWS = 20_000
"""Rows of one commit: a row is about 10 kB of text before compression, and a whole force is never held at once."""


class Writer:
    """Collects assessment rows column by column and commits them to the lake, COMMIT_ROWS at a time."""

    def __init__(self, lake: Lake, night: Night, model: Model, forces: Mapping[str, str]) -> None:
        self.forces = forces
        self.lake = lake
        self.rows = 0
        self.outputs: list[str] = []
        self.night = night
        self.model = model
        self._schema = records.arrow_schema("assessments")
        self._columns: dict[str, list[Any]] = {n: [] for n in self._schema.names}

    def add(
        self, case: CaseFile, assessed: Assessed, inputs: Inputs, transfer: str | None, previous: Previous | None
    ) -> None:
        """One more row; `previous` is the version before, if there is one."""
        row = row_of(case, assessed, inputs, transfer, previous, model=self.model, night=self.night, forces=self.forces)
        for column, values in self._columns.items():
            values.append(row[column])
        self.rows += 1
        if len(self._columns["case_id"]) >= COMMIT_ROWS:
            self._commit()

    def close(self) -> list[str]:
        """Commit what is left; returns the names of all commits."""
        if self._columns["case_id"]:
            self._commit()
        return self.outputs

    def _commit(self) -> None:
        """The commit is named by its rows: the same new rows in the same run are the same work."""
        names = hashlib.sha256("".join(self._columns["assessment_id"]).encode()).hexdigest()
        table = pa.Table.from_arrays(
            [pa.array(self._columns[f.name], f.type) for f in self._schema], schema=self._schema
        )
        meta = {"model": self.model.label, "model_sha256": self.model.digest, "rows": table.num_rows}
        key = f"{self.night.run_id}-{names[:16]}"
        self.lake.commit(STAGE, key, {"assessments": table}, run_id=self.night.run_id, meta=meta)
        self.outputs.append(f"{STAGE}/{key}")
        self._columns = {n: [] for n in self._schema.names}
