"""The last stage: what came in is what came out, and every published byte of the run is what was written.

Each check is `what went in = what came out`, computed from the lake and the case store rather than from the stages' own
reports, so that a run that was killed and repeated is checked as a whole. The run report is written whatever the result;
a check that does not hold fails the run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import files
from pipeline.errors import ReconciliationError
from pipeline.ingest.landing import seen
from pipeline.lake import Lake, upkeep
from pipeline.night import contract as nights
from pipeline.night import report as runreport
from pipeline.night import stages as nightly
from pipeline.night.contract import Night, StageReport
from pipeline.settings import Settings


@dataclass(frozen=True)
class Check:
    """One equation of the night. `parts` shows how the right side is made up."""

    name: str
    into: int
    out: int
    parts: dict[str, int]

    @property
    def holds(self) -> bool:
        return self.into == self.out


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Check the run, write `report.json` and `report.txt` into its folder.

    Raises ReconciliationError naming every check that does not hold, IntegrityError for damaged parts, CanaryError when
    the release's canaries are missed.
    """
    lake = Lake.of(settings)
    lake.settle(night.run_id)
    checked = upkeep.check(settings, lake, night.run_id, night.as_of)
    intake = _intake(lake)
    checks = [
        *_landing(settings, lake, night),
        *_packages(lake, intake),
        *_identifiers(lake, intake),
        *_media(lake, intake),
        *_matches(settings, lake),
        *_cases(settings, lake),
    ]
    canaries = _canaries(settings)
    summary = runreport.build(settings, night, [{**asdict(c), "holds": c.holds} for c in checks], checked, canaries)
    folder = nights.run_dir(settings, night.run_id)
    files.write_json(folder / "report.json", summary)
    files.write_bytes(folder / "report.txt", runreport.text(summary).encode())
    broken = [c for c in checks if not c.holds]
    if broken:
        raise ReconciliationError(
            "The run does not reconcile: "
            + "; ".join(f"{c.name}: {c.into} in, {c.out} out {c.parts}" for c in broken)
            + ".",
            "Do not work the queue from it. report.txt in the run's folder has every count.",
        )
    return StageReport(
        "reconcile",
        night.run_id,
        read=len(checks),
        kept=len(checks),
        counts={
            "parts_verified": checked.parts,
            "lake_checked_whole_since": checked.whole_since.isoformat(),
            "canaries": canaries,
        },
    )


def _landing(settings: Settings, lake: Lake, night: Night) -> list[Check]:
    """What the run's last ingest saw in the landing folder; nothing to check in a run that did not ingest."""
    ingests = [r for r in nightly.reports(settings, night.run_id) if r.stage == "ingest"]
    if not ingests:
        return []
    looked_at = pa.array(sorted(seen.load(settings)), pa.string())
    taken = lake.read("packages", ["container"])["container"]
    parts = {
        "taken in": _distinct(taken.filter(pc.is_in(taken, value_set=looked_at))),
        "waiting to be complete": ingests[-1].rejected.get("waiting", 0),
    }
    listed = int(ingests[-1].counts["packages_in_landing"])
    return [Check("packages in the landing folder = taken in or waiting", listed, sum(parts.values()), parts)]


def _packages(lake: Lake, intake: Counter[str]) -> list[Check]:
    packages = lake.read("packages", ["state", "referral_id", "package_id", "container"])
    states = _counted(packages["state"])
    arrived = _counted_at_intake(intake, "packages_", states)
    # the same content may arrive in several containers: each arrival is counted, all but one as duplicates
    arrivals = packages.group_by(["package_id", "container"]).aggregate([]).num_rows
    referrals = lake.read("referrals", ["referral_id", "package_id"])
    made = states.get("accepted", 0) + states.get("supplement", 0)
    return [
        Check("packages counted at intake = packages stored, by state", arrived, packages.num_rows, states),
        Check("arrivals are distinct", packages.num_rows, arrivals, {}),
        Check("accepted and supplementing packages = referral records", made, referrals.num_rows, {}),
        Check("referral records are distinct", referrals.num_rows, _distinct(referrals["package_id"]), {}),
    ]


def _identifiers(lake: Lake, intake: Counter[str]) -> list[Check]:
    """Every identifier that a report gives is in the table, or counted as unusable (a defect each) or as withheld."""
    table = lake.read("identifiers", ["identifier_id", "kind"])
    kinds = _counted(table["kind"])
    given, unusable, withheld = (
        _counted_at_intake(intake, "identifiers_", {name: 0}) for name in ("given", "unusable", "withheld")
    )
    problems = lake.read("defects", ["problem"])["problem"]
    defects = int(pc.sum(pc.starts_with(problems, "Not usable as ")).as_py() or 0)
    return [
        Check(
            "identifiers given = identifiers stored by kind, unusable and withheld",
            given,
            sum(kinds.values()) + unusable + withheld,
            {**kinds, "unusable": unusable, "withheld": withheld},
        ),
        Check("identifiers are distinct", table.num_rows, _distinct(table["identifier_id"]), {}),
        Check(
            "unusable identifiers = defects that name them",
            unusable,
            defects,
            {},
        ),
    ]


def _media(lake: Lake, intake: Counter[str]) -> list[Check]:
    media = lake.read("media_files", ["file_id", "state", "sha256"])
    states = _counted(media["state"])
    listed = _counted_at_intake(intake, "files_", states)
    present = media.filter(pc.equal(media["state"], "present"))
    prints = lake.read("fingerprints", ["sha256", "state"])
    outcome = _counted(prints["state"])
    return [
        Check("media files counted at intake = media files stored, by state", listed, media.num_rows, states),
        Check("media files are distinct", media.num_rows, _distinct(media["file_id"]), {}),
        Check(
            "distinct contents present = fingerprints",
            _distinct(present["sha256"]),
            _distinct(prints["sha256"]),
            outcome,
        ),
        Check("fingerprints are distinct", prints.num_rows, _distinct(prints["sha256"]), {}),
    ]


def _matches(settings: Settings, lake: Lake) -> list[Check]:
    from pipeline.matching import stage

    matches = lake.read("matches", ["match_id", "kind"])
    units = stage.units(lake)
    matched = set(lake.keys("match"))
    waiting = 0 if stage.release_or_none(settings) else len(set(units) - matched)
    kinds = _counted(matches["kind"])
    written = sum(part.rows for part in lake.parts("matches"))
    return [
        Check(
            "units of fingerprints = matched units (or waiting for a first release)",
            len(units),
            len(matched & set(units)) + waiting,
            {"waiting": waiting},
        ),
        Check("matches written = matches stored, by kind", written, matches.num_rows, kinds),
        Check("matches are distinct", matches.num_rows, _distinct(matches["match_id"]), {}),
    ]


def _cases(settings: Settings, lake: Lake) -> list[Check]:
    from pipeline.assess.evidence.case_file import group
    from pipeline.cases.publishing.stage import published_cases

    referrals = lake.read("referrals", ["referral_id", "supplements"]).to_pylist()
    of = group({r["referral_id"]: r["supplements"] for r in referrals})
    cases = set(of.values())
    assessed = set(lake.read("assessments", ["case_id"])["case_id"].to_pylist())
    stored = published_cases(settings)
    earlier = {"joined another case since": len(assessed - cases)}
    return [
        Check(
            "referrals = referrals of a case",
            len({r["referral_id"] for r in referrals}),
            len(of),
            {"cases": len(cases)},
        ),
        Check("cases = cases assessed", len(cases), len(cases & assessed), earlier),
        Check("cases assessed = cases in the store", len(assessed), len(assessed & stored), {}),
    ]


def _canaries(settings: Settings) -> int:
    """Run the canaries of every index of the current release; returns how many indexes were checked."""
    from pipeline.matching import core, stage

    release = stage.release_or_none(settings)
    if release is None:
        return 0
    for algorithm in release.indexes:
        core.check_canaries(core.open_index(release.index_dir(algorithm)))
    return len(release.indexes)


def _intake(lake: Lake) -> Counter[str]:
    """What the ingest stage counted while it worked, over all its commits."""
    total: Counter[str] = Counter()
    for commit in lake.commits("ingest"):
        total.update({name: int(count) for name, count in commit.meta["counts"].items()})
    return total


def _counted_at_intake(intake: Counter[str], prefix: str, states: dict[str, int]) -> int:
    return sum(intake[f"{prefix}{state}"] for state in states)


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counts = column.value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: str(row["values"]))}


def _distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column).as_py())
