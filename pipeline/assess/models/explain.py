"""`triage model explain`: one case, assessed anew from the lake, set out for a person to read or to check."""

from __future__ import annotations

from typing import Any

from pipeline.assess.evidence.inputs import YES, CaseFile
from pipeline.assess.models.model import Assessed, Model
from pipeline.assess.rows import Previous, inputs_digest, transfer_to
from pipeline.britishtime import moment
from pipeline.settings import Settings


def rows(assessed: Assessed) -> list[dict[str, Any]]:
    """Everything that counts, is unknown, or raises a flag, as flat rows: what, name, label, adds, text, evidence."""
    result = [
        {
            "what": "reason" if r["value"] == YES else "not known",
            "name": r["feature"],
            "label": r["label"],
            "adds": r["contribution"],
            "text": r["explanation"] + (f" (cut by {r['cut']:g}: the family's limit)" if "cut" in r else ""),
            "evidence": _evidence(r["evidence"], r["evidence_total"]),
        }
        for r in assessed.reasons
    ]
    for u in assessed.unknowns:
        result.append(
            {
                "what": "question",
                "name": u["feature"],
                "label": u["question"],
                "adds": None,
                "text": if_known(u),
                "evidence": "",
            }
        )
    for what, key, listed in (("flag", "rule", assessed.flags), ("notify", "kind", assessed.notifications)):
        for f in listed:
            evidence = _evidence(f["evidence"], len(f["evidence"]))
            row = {"what": what, "name": f[key], "label": f["label"], "adds": None, "text": f["reason"]}
            result.append(row | {"evidence": evidence})
    return result


def if_known(unknown: dict[str, Any]) -> str:
    """How far the band could move if one unknown were known. (Older assessments do not say where a no would lead.)"""
    flags = f" and raise: {', '.join(unknown['flags_if_yes'])}" if unknown.get("flags_if_yes") else ""
    no = f"; if no: {_band(unknown['band_if_no'])}" if unknown.get("band_if_no") else ""
    return f"if yes: {_band(unknown.get('band_if_yes', ''))}{flags}{no}"


def _band(code: str) -> str:
    """A band in a sentence: "Very high"."""
    return code.replace("_", " ").capitalize()


def head(
    settings: Settings, model: Model, case: CaseFile, assessed: Assessed, stored: Previous | None, *, whole: bool
) -> str:
    """Band, score and target in words, and whether the stored assessment still holds. `whole` says that no links
    were left out, without which the two cannot be compared."""
    return "\n".join(
        [
            f"{case.case_id}: {model.band_labels[assessed.band]}, score {assessed.score:g}, under {model.label}.",
            f"Target {moment(assessed.due_at)} British time, counted from {moment(assessed.clock_start)}"
            + (f" ({model.targets})." if model.targets else "."),
            f"If every unknown turned out badly: {model.band_labels[assessed.band_if_known]}.",
            _stored(settings, model, case, stored, whole),
        ]
    )


def _stored(settings: Settings, model: Model, case: CaseFile, stored: Previous | None, whole: bool) -> str:
    if stored is None:
        return "Not assessed by a night's run yet."
    if not whole:
        return f"Stored: version {stored.version}. Links to restricted cases are left out here, so the two can differ."
    same = stored.inputs_sha256 == inputs_digest(case, model, transfer_to(case, settings))
    held = "same inputs and model" if same else "inputs or model have changed since"
    return f"Stored: version {stored.version}, {stored.band}, score {stored.score:g}; {held}."


def _evidence(listed: list[dict[str, Any]], total: int) -> str:
    shown = "; ".join(f"{e['table']} {e['id']}" + (f" ({e['note']})" if e["note"] else "") for e in listed)
    return shown + (f"; and {total - len(listed)} more" if total > len(listed) else "")
