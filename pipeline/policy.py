"""Policy files: rules of the work as data that an inspector can read, validated against a schema at load.

`load("matching")` reads policy/matching.yaml and checks it against schemas/policy/matching.json.
Every policy file carries `version` and is identified in results by its name, version and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline import documents, files
from pipeline.errors import SettingsError
from pipeline.settings import ROOT, Settings

SCHEMAS = ROOT / "schemas" / "policy"


@dataclass(frozen=True)
class Policy:
    """One validated policy file. `data` is its content, `digest` the SHA-256 of the file's bytes (hex)."""

    name: str
    version: str
    digest: str
    data: dict[str, Any]


def load(settings: Settings, name: str, schema: str | None = None) -> Policy:
    """Read `<policy folder>/<name>.yaml` and validate it against schemas/policy/<schema or name>.json.

    Raises SettingsError naming the file, the place in it and what is wrong, all defects at once.
    """
    path = settings.policy / f"{name}.yaml"
    try:
        raw = files.unchanged(path)
    except OSError as error:
        raise SettingsError(
            f"Policy file {path.name} cannot be read: {error.strerror}.", "TRIAGE_POLICY names the folder."
        ) from error
    return _validated(name, schema or Path(name).name, raw)


@cache
def _validated(name: str, schema: str, raw: bytes) -> Policy:
    try:
        # libyaml, in every wheel of PyYAML: the same safe types as safe_load, eight times as fast
        data = yaml.load(raw, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"Policy file {name}.yaml is not YAML: {error}.") from error
    faults = documents.faults(json.loads((SCHEMAS / f"{schema}.json").read_text()), data)
    if faults:
        lines = "; ".join(f"{'/'.join(map(str, e.absolute_path)) or '(top)'}: {e.message}" for e in faults)
        raise SettingsError(f"Policy file {name}.yaml breaks its schema: {lines}.")
    return Policy(name, str(data["version"]), hashlib.sha256(raw).hexdigest(), data)
