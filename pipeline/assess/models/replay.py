"""Replay: how a risk model would have ranked past decided cases, against what people found to be worth acting on.

The figure that matters is recall: of the cases that were acted on, how many stand in the top bands, and how many would
have been reached by a team that can take up only so many cases. Two limits of any replay are stated with it: the
inputs are those known now, not those known on the day of the decision, and a case that nobody looked at was never
found to be worth acting on.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.models.model import BANDS, Model
from pipeline.errors import InputError

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Volume budgets that every report lists, as shares of the decided cases."""


def read_decisions(path: Path) -> dict[str, bool]:
    """Decided cases from a CSV file with the columns case_id and acted (yes or no).

    Raises InputError naming the line of the first row that cannot be read or contradicts an earlier one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as UTF-8 text.", "Write a CSV file: case_id,acted.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    decided: dict[str, bool] = {}
    for row in reader:
        case, acted = (row.get("case_id") or "").strip(), (row.get("acted") or "").strip().lower()
        if not case or acted not in ("yes", "no"):
            raise InputError(f"Line {reader.line_num} of {path.name} has no case_id, or acted is not yes or no.")
        if decided.setdefault(case, acted == "yes") != (acted == "yes"):
            raise InputError(f"Line {reader.line_num} of {path.name} contradicts an earlier line about the same case.")
    return decided


def replay(
    model: Model, cases: Iterable[CaseFile], decided: Mapping[str, bool], budgets: Sequence[int] = ()
) -> dict[str, Any]:
    """Rank the decided cases under a model. `decided` maps case ids to whether the case was acted on; `budgets` are
    further numbers of cases that can be taken up, beside SHARES.

    Every decided case is counted once: ranked, or as not found.
    """
    ranked = sorted(
        ((*model.score(case), case.case_id) for case in cases if case.case_id in decided),
        key=lambda x: (-x[0], -x[1], x[2]),
    )
    acted = sum(decided[case] for _, _, case in ranked)
    return {
        "model": model.label,
        "model_sha256": model.digest,
        "decided": len(decided),
        "not_found": len(decided) - len(ranked),
        "cases": len(ranked),
        "acted": acted,
        "bands": _bands(ranked, decided, acted),
        "budgets": _budgets(ranked, decided, acted, budgets),
    }


def _bands(ranked: Sequence[tuple[int, float, str]], decided: Mapping[str, bool], acted: int) -> list[dict[str, Any]]:
    rows, cases_so_far, acted_so_far = [], 0, 0
    for rank in range(len(BANDS) - 1, -1, -1):
        here = [decided[case] for band, _, case in ranked if band == rank]
        cases_so_far, acted_so_far = cases_so_far + len(here), acted_so_far + sum(here)
        rows.append(
            {
                "band": BANDS[rank],
                "cases": len(here),
                "acted": sum(here),
                "cases_to_here": cases_so_far,
                "acted_to_here": acted_so_far,
                **_recall(acted_so_far, acted),
            }
        )
    return rows


def _budgets(
    ranked: Sequence[tuple[int, float, str]], decided: Mapping[str, bool], acted: int, wanted: Sequence[int]
) -> list[dict[str, Any]]:
    sizes = {min(n, len(ranked)) for n in wanted} | {math.ceil(len(ranked) * share) for share in SHARES}
    rows = []
    for size in sorted(sizes - {0}):
        reached = sum(decided[case] for _, _, case in ranked[:size])
        rows.append(
            {"budget": size, "share": round(size / len(ranked), 4), "acted": reached, **_recall(reached, acted)}
        )
    return rows


def _recall(found: int, total: int) -> dict[str, float | None]:
    """Recall with its 95 % interval by Wilson's method; None when nothing was acted on."""
    if not total:
        return {"recall": None, "recall_low": None, "recall_high": None}
    z, p = 1.959964, found / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return {"recall": round(p, 4), "recall_low": round(low, 4), "recall_high": round(high, 4)}
