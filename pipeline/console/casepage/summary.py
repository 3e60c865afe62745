"""A case in three lines, above why it has its band: who is concerned, what is alleged, what is next."""

from __future__ import annotations

from typing import Any

NOBODY = "nobody is named"


def lines(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line, from the data of the case's page (`casefile.assemble`)."""
    return [("Who", _who(data)), ("What", _what(data)), ("Next", _next(data))]


def _who(data: dict[str, Any]) -> str:
    by_role: dict[str, list[dict[str, Any]]] = {}
    for subject in data["subjects"]:
        by_role.setdefault(subject["role"], []).append(subject)
    named = list(
        dict.fromkeys(_person(s) for s in by_role.get("suspect", []))
    )  # a supplement names the same person again
    suspects = "; ".join(named[:2]) or NOBODY
    children = by_role.get("victim", [])
    ages = sorted({str(c["approximate_age"]) for c in children if c.get("approximate_age")})
    if not children:
        child = "no child is named"
    else:
        child = "1 child" if len(children) == 1 else f"{len(children)} children"
        child += f", {'age' if len(ages) == 1 else 'ages'} {', '.join(ages)}" if ages else ", age not stated"
    more = len(named) - 2
    return f"Suspect: {suspects}{f' and {more} more' if more > 0 else ''}. Child: {child}."


def _person(subject: dict[str, Any]) -> str:
    name = subject.get("name") or "name not known"
    known = [f"born {subject['date_of_birth']}"] if subject.get("date_of_birth") else []
    if count := len(subject.get("identifiers") or []):
        known.append("1 identifier" if count == 1 else f"{count} identifiers")
    return ", ".join([name, *known])


def _what(data: dict[str, Any]) -> str:
    stated = "; ".join(r["label"] for r in data["assessment"]["reasons"][:3]) or "No reason adds risk"
    files = data["file_count"]
    if not files:
        return f"{stated}. No files."
    matched = sum(len(g["files"]) for g in data["files"] if g["matches"])
    number = "1 file" if files == 1 else f"{files} files"
    return f"{stated}. {number}, {matched} with a match in the known-hash store."


def _next(data: dict[str, Any]) -> str:
    case = data["case"]
    if not case["is_open"]:
        return "The case is closed." if case["state"] == "closed" else "Another force has taken the case."
    open_notices = [n["label"] for n in data["notifications"] if not n["made_at"]]
    told = dict.fromkeys(f"Bring to the {f['role']}: {f['label']}" for f in data["escalations"] if f["waiting"])
    steps = [*told, *([f"Notify: {', '.join(dict.fromkeys(open_notices))}"] if open_notices else [])]
    if data["lowering"]:
        steps.append("A supervisor decides on the lower band")
    if any(not r["answered_at"] for r in data["requests"]):
        steps.append("An answer is waited for")
    if case["holder"] is None:
        steps.append("Somebody claims it")
    elif case["state"] == "allocated":
        steps.append("Start an enquiry, ask, or close")
    return "; ".join(steps or ["Go on with the enquiry"]) + "."
