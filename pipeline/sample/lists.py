"""The force's lists for a sample: some of its invented suspects, and entries that fit nobody.

One registered sex offender by account, one person in a position of trust by e-mail, one current investigation by
telephone, one protection address by house and postcode. Everything is invented.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pipeline import files
from pipeline.assess.links.lists import COLUMNS
from pipeline.sample.cases import Person

OWNER = "Sample owner"
ADDRESSES = "child_protection_addresses"
STRANGERS = 3
"""Entries of each list that fit nobody in the sample."""


def write(folder: Path, people: Sequence[Person], homes: Mapping[int, str | None], day: datetime) -> dict[str, int]:
    """Write the four lists, dated `day`, each CSV file before the JSON file that releases it; returns list to the number of
    the person that it names (lists for which the sample has nobody are left out). `homes`: number of each suspect to
    the postcode of the home that a referral states, None where none does: a protection address is one that is stated."""
    named: dict[str, int] = {}
    chosen = [p for p in people if p.number in homes][1::3]
    named_by = dict(zip(_ENTRIES, chosen, strict=False))
    if ADDRESSES in named_by and homes[named_by[ADDRESSES].number] is None:
        del named_by[ADDRESSES]
        others = list(named_by.values())
        housed = [p for p in people if homes.get(p.number) is not None and p not in others]
        if housed:
            named_by[ADDRESSES] = housed[0]
    for name, person in named_by.items():
        rows = [_ENTRIES[name](person, homes[person.number] or ""), *(_stranger(name, n) for n in range(STRANGERS))]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"entry": f"S-{n}"} | row for n, row in enumerate(rows, 1))
        content, stem = text.getvalue().encode(), f"{name}-{day:%Y-%m-%d}"
        files.write_bytes(folder / f"{stem}.csv", content)
        about = {
            "list": name,
            "dated": f"{day:%Y-%m-%d}",
            "owner": OWNER,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        files.write_json(folder / f"{stem}.json", about)
        named[name] = person.number
    return named


_ENTRIES: dict[str, Callable[[Person, str], dict[str, str]]] = {
    "registered_sex_offenders": lambda p, _: {"name": p.name, "usernames": f"{p.service}:{p.username}"},
    ADDRESSES: lambda p, home: {"address": f"{p.number} Sample Street, Sampletown, {home}"},
    "positions_of_trust": lambda p, _: {"name": p.name, "emails": p.email},
    "current_investigations": lambda p, _: {"name": p.name, "phones": p.phone},
}


def _stranger(name: str, number: int) -> dict[str, str]:
    return {"name": f"Sample Stranger {number}", "emails": f"stranger-{name}-{number}@example.net"}
