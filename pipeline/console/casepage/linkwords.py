"""Links as sentences: one block for each other case or list, with everything that joins it to this one.

The lake's evidence is a list of values with the rows that hold them on both sides; ids of rows are for programs and stay in the
JSON form of the page.
"""

from __future__ import annotations

from typing import Any

from pipeline.assess.links.strength import STRENGTHS
from pipeline.console import wording

SHOWN = 3
"""Values of one kind that a sentence names; the rest are counted."""


def blocks(links: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The links by the other side, those with the strongest link first: `other`, `case` (None: no case of ours), its band and
    state, `strength`, and `lines`, each with the link's id, strength and sentence."""
    found: dict[str, dict[str, Any]] = {}
    for link in links:
        block = found.setdefault(
            link["other_case"] or link["other"],
            {
                "case": link["other_case"],
                "other": link["other"],
                "band": link["other_band"],
                "state": link["other_state"],
                "strength": link["strength"],
                "lines": [],
            },
        )
        block["strength"] = max(block["strength"], link["strength"], key=STRENGTHS.index)
        block["lines"].append({"id": link["link_id"], "strength": link["strength"], "text": sentence(link)})
    for block in found.values():
        block["lines"].sort(key=lambda line: -STRENGTHS.index(line["strength"]))
    return sorted(found.values(), key=lambda block: -STRENGTHS.index(block["strength"]))


def sentence(link: dict[str, Any]) -> str:
    """What joins the two, for example "The same username on the same service: demodrop / sample_user_7 (suspect here and there)."."""
    evidence = [row for row in link["evidence"] if isinstance(row, dict)] if isinstance(link["evidence"], list) else []
    text = str(link["explanation"]).strip().rstrip(".")
    values = list(dict.fromkeys(str(row["value"]) for row in evidence if row.get("value")))
    if link["kind"] == "supplement":
        values = []
    if values:
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        text += f": {', '.join(values[:SHOWN])}{more}"
    roles = _roles(evidence)
    return f"{text}{f' ({roles})' if roles else ''}."


def _roles(evidence: list[dict[str, Any]]) -> str:
    """Whose it is on both sides; empty where nobody is named."""
    left, right = (
        {_role(side) for row in evidence for side in row.get(name) or [] if _role(side)} for name in ("left", "right")
    )
    if not left or not right:
        return ""
    if left == right:
        return f"{_all(left)} here and there"
    return f"{_all(left)} in one, {_all(right)} in the other"


def _role(row: Any) -> str:
    return str(row.get("role") or "") if isinstance(row, dict) else ""


def _all(roles: set[str]) -> str:
    return " and ".join(wording.words(role).lower() for role in sorted(roles))
