"""What the nightly publish takes in: assessments and links of commits that the store has not seen, parsed and ordered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from pipeline.errors import IntegrityError
from pipeline.lake import Commit, Lake
from pipeline.store.types import Encoded

STAGES = {"assessments": "assess", "links": "link"}
"""Table to the stage whose commits hold it."""


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
                json.loads(row["summary"]),
                json.loads(row["changes"]) if row.get("changes") else {},
                json.loads(row["reasons"]),
                json.loads(row["flags"]),
                json.loads(row["notifications"]),
                tuple(row.get("referrals") or (row["referral_id"],)),
            )
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"Assessment {row['assessment_id']} holds a column that is not JSON.", "Run the assess stage again."
            ) from error

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
    """What is new. `keys` are the commits it came from; `compartments` of every referral that has one."""

    keys: list[str] = field(default_factory=list)
    assessments: list[NewAssessment] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    compartments: dict[str, str] = field(default_factory=dict)

    def restricted(self, referrals: Iterable[str]) -> str | None:
        """The compartment of any of the referrals."""
        return next((self.compartments[r] for r in referrals if r in self.compartments), None)


def collect(lake: Lake, known: set[str], as_of: datetime) -> Intake:
    """Everything in commits whose key is not `known`, assessments and links by version.

    `as_of` stands in where an older row has no time of its own.
    """
    intake = Intake()
    assessments = _new_rows(lake, "assessments", known, intake.keys)
    for row in assessments:
        row["assessed_at"] = row.get("assessed_at") or as_of
    assessments.sort(key=lambda r: (r.get("version") or 0, r["assessed_at"], r["case_id"], r["assessment_id"]))
    intake.assessments = [NewAssessment.parse(row) for row in assessments]
    links = _new_rows(lake, "links", known, intake.keys)
    links.sort(key=lambda r: (r.get("version") or 0, r.get("found_at") or as_of, r["link_id"]))
    intake.links = list({row["link_id"]: row for row in links}.values())
    if intake.keys:
        intake.compartments = _compartments(lake)
    return intake


def _new_rows(lake: Lake, table: str, known: set[str], keys: list[str]) -> list[dict[str, Any]]:
    stage = STAGES[table]
    commits = lake.named(stage, [key for key in lake.keys(stage) if f"{stage}/{key}" not in known])
    keys += [key_of(c) for c in commits if key_of(c) not in keys]
    parts = [part for commit in commits for part in commit.parts if part.table == table]
    rows: list[dict[str, Any]] = lake.read(table, parts=parts).to_pylist() if parts else []
    return rows


def key_of(commit: Commit) -> str:
    """Key of a publish: the commit's stage and key, which is made from the run and the rows' ids."""
    return f"{commit.stage}/{commit.key}"


def _compartments(lake: Lake) -> dict[str, str]:
    rows = lake.read("referrals", ["referral_id", "compartment"])
    rows = rows.filter(pc.is_valid(rows["compartment"]))
    pairs = zip(rows["referral_id"].to_pylist(), rows["compartment"].to_pylist(), strict=True)
    return {referral: compartment for referral, compartment in pairs if referral and compartment}
