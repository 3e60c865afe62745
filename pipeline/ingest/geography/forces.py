"""Which local authority and which force an address belongs to: the ONS postcode directory, and data of the policy folder.

Police areas are unions of whole local authorities, so a whole postcode has one authority (`postcodes.authority`) and one
force (policy/local-authorities.csv). Part of a postcode gives every force that shares it: a person decides, where there
are several. policy/postcodes.csv corrects the directory for single prefixes (the longest one wins).
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline import documents, files
from pipeline.errors import SettingsError
from pipeline.ingest.geography import postcodes
from pipeline.policy import SCHEMAS
from pipeline.settings import Settings


@dataclass(frozen=True)
class Authority:
    """A local authority. `services` is the authority whose children's services and LADO are responsible (the county
    where there are two tiers), empty where the table names none."""

    code: str
    name: str
    services: str
    force_code: str


@dataclass(frozen=True)
class Forces:
    """Names of forces by code, corrections by postcode prefix, authorities by their ONS code."""

    names: dict[str, str]
    prefixes: dict[str, tuple[str, ...]]
    authorities: dict[str, Authority]

    def stated(self, text: str) -> str | None:
        """Code of the force that a sender states by its code (spreadsheets drop the zero before it) or its name."""
        for code in (text.upper(), text.zfill(2)):
            if code in self.names:
                return code
        return next((code for code, name in self.names.items() if name.casefold() == text.casefold()), None)

    def authority(self, postcode: str) -> Authority | None:
        """The local authority of a whole postcode (`CM1 1QH`); None where the directory has no such postcode, or its
        authority is not in the table (the Channel Islands, the Isle of Man)."""
        return self.authorities.get(postcodes.authority(postcode) or "")

    def of_postcode(self, postcode: str) -> tuple[str, ...]:
        """Codes of the forces that police a postcode (`SW1A 1AA`), a sector or a district; empty when none is known.

        A whole postcode that the directory has not (a new one) gives the forces of its sector, else of its district.
        """
        outward, _, inward = postcode.upper().partition(" ")
        area = outward.rstrip("0123456789") if outward[-1:].isdigit() else outward[:-1].rstrip("0123456789")
        for prefix in (f"{outward} {inward[:1]}", outward, outward[:-1], area):
            if prefix in self.prefixes:
                return self.prefixes[prefix]
        if len(inward) == 3 and (found := self.authority(postcode)):
            return (found.force_code,)
        for part in (f"{outward} {inward[:1]}" if inward else "", outward):
            shared = {self.authorities[a].force_code for a in postcodes.authorities(part) if a in self.authorities}
            if part and shared:
                return tuple(sorted(shared))
        return ()


def load(settings: Settings) -> Forces:
    """The look-up of the policy folder. Raises SettingsError naming the file and every wrong row."""
    return _parsed(*(_read(settings.policy / f"{name}.csv") for name in ("forces", "postcodes", "local-authorities")))


def counties(settings: Settings) -> frozenset[str]:
    """Names of the counties above districts: they stand in addresses and are no towns."""
    areas = load(settings).authorities.values()
    return frozenset(a.services for a in areas if a.services and a.services != a.name)


def _read(path: Path) -> bytes:
    try:
        return files.unchanged(path)
    except OSError as error:
        raise SettingsError(f"Policy file {path.name} cannot be read: {error.strerror}.") from error


@cache
def _parsed(forces: bytes, corrections: bytes, authorities: bytes) -> Forces:
    names = {row["code"]: row["name"] for row in _rows(forces, "forces")}
    prefixes: dict[str, tuple[str, ...]] = {}
    for row in _rows(corrections, "postcodes"):
        _known(row["force_code"], names, "postcodes")
        prefixes[row["prefix"]] = (*prefixes.get(row["prefix"], ()), row["force_code"])
    areas: dict[str, Authority] = {}
    for row in _rows(authorities, "local-authorities"):
        _known(row["force_code"], names, "local-authorities")
        if row["code"] in areas:
            raise SettingsError(f"policy/local-authorities.csv names {row['code']} twice.")
        areas[row["code"]] = Authority(row["code"], row["name"], row["services"], row["force_code"])
    return Forces(names, prefixes, areas)


def _known(code: str, names: dict[str, str], file: str) -> None:
    if code not in names:
        raise SettingsError(f"policy/{file}.csv names force {code!r}, which forces.csv has not.")


def _rows(raw: bytes, name: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"Policy file {name}.csv is not CSV in UTF-8: {error}.") from error
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    faults = documents.faults(schema, rows)
    if faults:
        where = "; ".join(f"row {(list(e.absolute_path) or [0])[0]}: {e.message}" for e in faults[:20])
        raise SettingsError(f"Policy file {name}.csv breaks its schema: {where}.")
    return rows
