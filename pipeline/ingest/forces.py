"""Which force a case belongs to: a look-up of postcodes as data (policy/forces.csv, policy/postcodes.csv).

The shipped look-up knows postcode areas only. Areas that several forces share give several candidates and no force:
a person decides, or the force installs a finer table of districts and sectors (the longest prefix wins).
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jsonschema

from pipeline.errors import SettingsError
from pipeline.policy import SCHEMAS
from pipeline.settings import Settings


@dataclass(frozen=True)
class Forces:
    """Names by code, and candidate codes by postcode prefix."""

    names: dict[str, str]
    prefixes: dict[str, tuple[str, ...]]

    def stated(self, text: str) -> str | None:
        """Code of the force that a sender states by its code (spreadsheets drop the zero before it) or its name."""
        for code in (text.upper(), text.zfill(2)):
            if code in self.names:
                return code
        return next((code for code, name in self.names.items() if name.casefold() == text.casefold()), None)

    def of_postcode(self, postcode: str) -> tuple[str, ...]:
        """Codes of the forces that police a postcode (`SW1A 1AA`); empty when no prefix fits."""
        outward, _, inward = postcode.upper().partition(" ")
        area = outward.rstrip("0123456789") if outward[-1:].isdigit() else outward[:-1].rstrip("0123456789")
        for prefix in (f"{outward} {inward[:1]}", outward, outward[:-1], area):
            if prefix in self.prefixes:
                return self.prefixes[prefix]
        return ()


def load(settings: Settings) -> Forces:
    """The look-up of the policy folder. Raises SettingsError naming the file and every wrong row."""
    return _parsed(*(_read(settings.policy / name) for name in ("forces.csv", "postcodes.csv")))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"Policy file {path.name} cannot be read: {error.strerror}.") from error


@cache
def _parsed(forces: bytes, postcodes: bytes) -> Forces:
    names = {row["code"]: row["name"] for row in _rows(forces, "forces")}
    prefixes: dict[str, tuple[str, ...]] = {}
    for row in _rows(postcodes, "postcodes"):
        if row["force_code"] not in names:
            raise SettingsError(f"policy/postcodes.csv names force {row['force_code']!r}, which forces.csv has not.")
        prefixes[row["prefix"]] = (*prefixes.get(row["prefix"], ()), row["force_code"])
    return Forces(names, prefixes)


def _rows(raw: bytes, name: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"Policy file {name}.csv is not CSV in UTF-8: {error}.") from error
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    faults = list(jsonschema.Draft202012Validator(schema).iter_errors(rows))
    if faults:
        where = "; ".join(f"row {(list(e.absolute_path) or [0])[0]}: {e.message}" for e in faults[:20])
        raise SettingsError(f"Policy file {name}.csv breaks its schema: {where}.")
    return rows
