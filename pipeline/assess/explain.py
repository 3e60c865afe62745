"""`triage model explain`: one case, assessed anew from the lake, set out for a person to read or to check."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.assess.inputs import YES, CaseFile
from pipeline.assess.model import Assessment, Model
from pipeline.assess.rows import Previous, inputs_digest, transfer_to
from pipeline.settings import Settings


def rows(assessed: Assessment) -> list[dict[str, Any]]:
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
        flags = f"; would raise: {', '.join(u['flags_if_yes'])}" if "flags_if_yes" in u else ""
        text = f"if yes: {u['band_if_yes']}{flags}"
        result.append(
            {
                "what": "question",
                "name": u["feature"],
                "label": u["question"],
                "adds": None,
                "text": text,
                "evidence": "",
            }
        )
    for what, key, listed in (("flag", "rule", assessed.flags), ("notify", "kind", assessed.notifications)):
        for f in listed:
            evidence = _evidence(f["evidence"], len(f["evidence"]))
            row = {"what": what, "name": f[key], "label": f["label"], "adds": None, "text": f["reason"]}
            result.append(row | {"evidence": evidence})
    return result


def page(settings: Settings, model: Model, case: CaseFile, assessed: Assessment, stored: Previous | None) -> Group:
    """The same for a terminal, with the head: band, score, target, and whether the stored assessment still holds."""
    head = Text.assemble(
        (f"{case.case_id}  ", "bold"),
        (model.band_labels[assessed.band], "bold"),
        f"  score {assessed.score:g}  under {model.label}\n",
        f"Target {assessed.due_at:%Y-%m-%d %H:%M} UTC, counted from {assessed.clock_start:%Y-%m-%d %H:%M}\n",
        f"If every unknown turned out badly: {model.band_labels[assessed.band_if_known]}\n",
        _stored(settings, model, case, stored),
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("what", "label", "adds", "text", "evidence"):
        table.add_column(name, overflow="fold", justify="right" if name == "adds" else "left")
    for row in rows(assessed):
        adds = "" if row["adds"] is None else f"{row['adds']:g}"
        table.add_row(row["what"], escape(row["label"]), adds, escape(row["text"]), escape(row["evidence"]))
    return Group(head, table)


def _stored(settings: Settings, model: Model, case: CaseFile, stored: Previous | None) -> str:
    if stored is None:
        return "Not assessed by a night's run yet."
    same = stored.inputs_sha256 == inputs_digest(case, model, transfer_to(case, settings))
    held = "same inputs and model" if same else "inputs or model have changed since"
    return f"Stored: version {stored.version}, {stored.band}, score {stored.score:g}; {held}."


def _evidence(listed: list[dict[str, Any]], total: int) -> str:
    shown = "; ".join(f"{e['table']} {e['id']}" + (f" ({e['note']})" if e["note"] else "") for e in listed)
    return shown + (f"; and {total - len(listed)} more" if total > len(listed) else "")
