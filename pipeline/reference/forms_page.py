"""Writes the page that documents our own referral forms, from their JSON Schemas.

python -m pipeline.reference.forms_page > docs/referral-forms.md
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pipeline.settings import ROOT

FOLDER = ROOT / "schemas" / "referrals"
_HEAD = """# Referral forms

Generated from `schemas/referrals/` by `python -m pipeline.reference.forms_page`; do not edit by hand.

Every field may be left out unless it is marked *required*; a fact that is left out is unknown, which is not no. A field
that no form names is kept verbatim with the referral. `[]` marks a list. In the CSV form lists are counted from 1:
`subjects.1.emails.1`.
"""


def render() -> str:
    """The whole page as Markdown."""
    schemas = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    shared = _shared(schemas)
    parts = [_HEAD]
    for schema in schemas:
        own = [
            name for name in schema["properties"] if name not in shared or schema["properties"][name] != shared[name]
        ]
        parts.append(f"## {schema['title']}\n\n{schema['description']}\n")
        if len(own) < len(schema["properties"]):
            parts.append("With the fields that all forms share (below), and:\n")
        parts.append(_table(schema, own))
    parts.append("## Fields that all forms share\n")
    example = next(s for s in schemas if shared.keys() <= s["properties"].keys())
    parts.append(_table(example, list(shared)))
    for name, spec in example["$defs"].items():
        if "properties" in spec:
            parts.append(f"## {spec['title']} (`{name}`)\n\n{spec['description']}\n")
            parts.append(_table({**spec, "$defs": example["$defs"]}, list(spec["properties"])))
    return "\n".join(parts).rstrip() + "\n"


def _shared(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """Properties that every form with a `form` key has alike."""
    forms = [s["properties"] for s in schemas if "form" in s["properties"]]
    return {name: spec for name, spec in forms[0].items() if all(f.get(name) == spec for f in forms)}


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
