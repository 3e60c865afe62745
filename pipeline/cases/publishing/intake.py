"""What the nightly publish takes in: assessments and links of commits that the store has not seen, parsed and ordered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cases.publishing.keeping import KeptRows, kept
from pipeline.errors import IntegrityError
from pipeline.jsontext import json_value
from pipeline.lake import Commit, Lake
from pipeline.lake.parts import Part
from pipeline.store.types import Encoded

STAGES = {"assessments": "assess", "links": "link"}
"""Table to the stage whose commits hold it."""
BATCH = 1_000
"""Assessments that are parsed, applied and written at a time."""
READ = 5_000
"""Assessments from which on no further part is read into memory at once."""


@dataclass(frozen=True)
class NewAssessment:
    """One assessment row of the lake. JSON columns that only pass through stay text (`Encoded`)."""

    row: Mapping[str, Any]
    summary: dict[str, Any]
    changes: dict[str, Any]
    reasons: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    notifications: list[dict[str, Any]]
    referrals: tuple[str, ...]

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> NewAssessment:
        """Raises IntegrityError when a JSON column is not JSON."""
        try:
            return cls(
                row,
                json_value(row["summary"]),
                json_value(row["changes"]) if row.get("changes") else {},
                json_value(row["reasons"]),
                json_value(row["flags"]),
                json_value(row["notifications"]),
                tuple(row.get("referrals") or (row["referral_id"],)),
            )
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"Assessment {row['assessment_id']} holds a column that is not JSON.", "Run the assess stage again."
            ) from error

    @property
    def joined(self) -> tuple[str, ...]:
        """Cases whose referral supplements this one's."""
        return tuple(self.summary.get("joined_cases") or ())

    @property
    def assessed_at(self) -> datetime:
        moment: datetime = self.row["assessed_at"]
        return moment

    def columns(self, sequence: int) -> dict[str, Any]:
        """Values of the case store's assessment row."""
        row = self.row
        plain = (
            "assessment_id", "case_id", "run_id", "model", "band", "score", "band_if_known", "clock_start", "due_at",
            "inputs_sha256",
        )  # fmt: skip
        return {
            **{name: row[name] for name in plain},
            **{name: Encoded(row[name]) for name in ("reasons", "unknowns", "flags", "notifications", "summary")},
            "inputs": row.get("inputs"),
            "sequence": sequence,
            "assessed_at": self.assessed_at,
        }


@dataclass
class Intake:
    """What is new. `keys` are the commits it came from; `cases` whose assessments there are, those that join them too;
    `compartments` of every referral that has one, of all that were looked up in `lake` (None: all are given)."""

    keys: list[str] = field(default_factory=list)
    assessments: KeptRows | None = None
    cases: set[str] = field(default_factory=set)
    links: list[dict[str, Any]] = field(default_factory=list)
    compartments: dict[str, str] = field(default_factory=dict)
    lake: Lake | None = None
    _asked: set[str] = field(default_factory=set)

    def learn(self, referrals: Iterable[str]) -> None:
        """Look up the compartments of referrals by their ids; an id of anything else is none."""
        asked = sorted(set(referrals) - self._asked)
        if self.lake is None or not asked:
            return
        self._asked.update(asked)
        columns, where = ["referral_id", "compartment"], ("referral_id", pa.array(asked, pa.string()))
        rows = self.lake.read("referrals", columns, where=where).filter(pc.field("compartment") != "")
        self.compartments |= zip(rows["referral_id"].to_pylist(), rows["compartment"].to_pylist(), strict=True)

    def restricted(self, referrals: Iterable[str]) -> str | None:
        """The compartment of any of the referrals, which were looked up before."""
        return next((self.compartments[r] for r in referrals if r in self.compartments), None)

    def batches(self) -> Iterator[list[NewAssessment]]:
        """The assessments by version, some at a time."""
        if self.assessments is not None:
            for rows in self.assessments.batches(BATCH):
                yield [NewAssessment.parse(row) for row in rows]


@contextmanager
def collect(lake: Lake, known: set[str], as_of: datetime, folder: Path) -> Iterator[Intake]:
    """Everything in commits whose key is not `known`, assessments and links by version.

    `as_of` stands in where an older row has no time of its own. While it is read, the assessments lie in a file without a
    name on the disk of `folder`.
    """
    intake = Intake()
    with kept(folder) as rows:
        for parts in _together(_new_parts(lake, "assessments", known, intake.keys)):
            table = lake.read("assessments", parts=parts)
            times = table["assessed_at"].fill_null(pa.scalar(as_of, table.schema.field("assessed_at").type))
            rows.add(table.set_column(table.schema.get_field_index("assessed_at"), "assessed_at", times), _place)
            intake.cases.update(table["case_id"].to_pylist(), _joining(table["summary"]))
        intake.assessments = rows
        parts = _new_parts(lake, "links", known, intake.keys)
        links: list[dict[str, Any]] = lake.read("links", parts=parts).to_pylist() if parts else []
        links.sort(key=lambda r: (r.get("version") or 0, r.get("found_at") or as_of, r["link_id"]))
        intake.links = list({row["link_id"]: row for row in links}.values())
        if intake.keys:
            intake.lake = lake.now()
        yield intake


ORDER = ("version", "assessed_at", "case_id", "assessment_id")
"""What assessments are put in order by."""


def _place(rows: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The place of every row in the order."""
    columns = [rows[name].to_pylist() for name in ORDER]
    return ((version or 0, *rest) for version, *rest in zip(*columns, strict=True))


def _joining(summaries: pa.ChunkedArray) -> Iterator[str]:
    for text in summaries.filter(pc.match_substring(summaries, '"joined_cases":["')).to_pylist():
        yield from json_value(text)["joined_cases"]


def _new_parts(lake: Lake, table: str, known: set[str], keys: list[str]) -> list[Part]:
    stage = STAGES[table]
    commits = lake.named(stage, [key for key in lake.keys(stage) if f"{stage}/{key}" not in known])
    keys += [key_of(c) for c in commits if key_of(c) not in keys]
    return [part for commit in commits for part in commit.parts if part.table == table]


def _together(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts in runs of some thousand rows: many small ones are read at once, and no more of large ones than needs be."""
    found: list[Part] = []
    for part in parts:
        found.append(part)
        if sum(p.rows for p in found) >= READ:
            yield found
            found = []
    if found:
        yield found


def key_of(commit: Commit) -> str:
    """Key of a publish: the commit's stage and key, which is made from the run and the rows' ids."""
    return f"{commit.stage}/{commit.key}"
