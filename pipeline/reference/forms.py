"""The schemas of our own referral forms: each a file of its own that refers to what all forms share by `$ref`."""

from __future__ import annotations

import json
from typing import Any

from pipeline.settings import ROOT

FOLDER = ROOT / "schemas" / "referrals"
SHARED = "blocks/common.json"
"""The file of the shared blocks, as the forms name it."""


def names() -> list[str]:
    """The forms by name, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def blocks() -> dict[str, Any]:
    """Definitions of the shared blocks by name; they refer to each other as `#/$defs/NAME`."""
    found: dict[str, Any] = json.loads((FOLDER / SHARED).read_text())["$defs"]
    return found


def shared(schema: dict[str, Any]) -> list[str]:
    """Names of the form's properties that are shared blocks, in the form's order."""
    return [name for name, spec in schema["properties"].items() if spec.get("$ref", "").startswith(SHARED)]


def stated(name: str) -> dict[str, Any]:
    """A form's schema as its file states it."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def whole(name: str) -> dict[str, Any]:
    """A form's schema in one piece, with the shared blocks among its own `$defs`: what a validator takes."""
    schema = stated(name)
    common = blocks()
    used = shared(schema)
    properties = {key: common[key] if key in used else _local(spec) for key, spec in schema["properties"].items()}
    return {**schema, "properties": properties, "$defs": {**common, **schema.get("$defs", {})}}


def _local(spec: Any) -> Any:
    """References to shared blocks as references inside one schema."""
    if isinstance(spec, dict):
        return {k: v.removeprefix(SHARED) if k == "$ref" and isinstance(v, str) else _local(v) for k, v in spec.items()}
    return [_local(part) for part in spec] if isinstance(spec, list) else spec
