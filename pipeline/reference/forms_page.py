"""Writes the page that documents our own referral forms, from their JSON Schemas.

python -m pipeline.reference.forms_page > docs/referral-forms.md
"""

from __future__ import annotations

import sys
from typing import Any

from pipeline.reference import forms

_HEAD = """# Referral forms

Generated from `schemas/referrals/` by `python -m pipeline.reference.forms_page`; do not edit by hand.

Every field may be left out unless it is marked *required*; a fact that is left out is unknown, which is not no. A field
that no form names is kept verbatim with the referral. `[]` marks a list. In the CSV form lists are counted from 1:
`subjects.1.emails.1`.
"""


def render() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    common: list[str] = []
    for name in forms.names():
        schema, shared = forms.whole(name), forms.shared(forms.stated(name))
        common = common or shared
        parts.append(f"## {schema['title']}\n\n{schema['description']}\n")
        if shared:
            parts.append("With the fields that all forms share (below), and:\n")
        parts.append(_table(schema, [field for field in schema["properties"] if field not in shared]))
    parts.append("## Fields that all forms share\n")
    blocks = {"$defs": forms.blocks()}
    parts.append(_table({"properties": {name: blocks["$defs"][name] for name in common}}, common))
    for name, spec in blocks["$defs"].items():
        if name not in common and "properties" in spec:
            parts.append(f"## {spec['title']} (`{name}`)\n\n{spec['description']}\n")
            parts.append(_table({**spec, **blocks}, list(spec["properties"])))
    return "\n".join(parts).rstrip() + "\n"


def _table(schema: dict[str, Any], names: list[str]) -> str:
    required = set(schema.get("required", []))
    rows = [line for name in names for line in _rows(schema["properties"][name], name, name in required)]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *rows]) + "\n"


def _rows(spec: dict[str, Any], path: str, required: bool) -> list[str]:
    """One line for a field and one for each field inside it; shared definitions are named, not repeated."""
    marks = " *required*" if required else ""
    meaning = f"{spec.get('title', '')}. {spec.get('description', '')}".strip(". ")
    lines = [f"| `{path}`{marks} | {_type(spec)} | {_cell(meaning)} |"]
    inner, prefix = spec, path
    if "items" in spec:
        inner, prefix = spec["items"], f"{path}[]"
    for part in [inner, *inner.get("anyOf", [])]:
        needed = set(part.get("required", []))
        for name, below in part.get("properties", {}).items():
            lines += _rows(below, f"{prefix}.{name}", name in needed)
    return lines


def _type(spec: dict[str, Any]) -> str:
    if "$ref" in spec:
        return str(spec["$ref"]).rsplit("/", 1)[1]
    if "enum" in spec:
        return ", ".join(str(v) for v in spec["enum"] if v is not None)
    if "items" in spec:
        return f"list of {_type(spec['items'])}"
    if "anyOf" in spec:
        kinds = list(dict.fromkeys(_type(part) for part in spec["anyOf"]))
        return " or ".join(kind for kind in kinds if kind != "null")
    kinds = [spec["type"]] if isinstance(spec.get("type"), str) else list(spec.get("type", []))
    return " or ".join(kind for kind in kinds if kind != "null") or "null"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ") + "."


if __name__ == "__main__":
    sys.stdout.write(render())
