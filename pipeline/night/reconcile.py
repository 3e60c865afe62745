"""The last stage: what came in is what came out, and every published byte of the run is what was written.

Each check is `what went in = what came out`, computed from the lake and the case store rather than from the stages' own
reports, so that a run that was killed and repeated is checked as a whole. What was counted before is not read again
(`totals.py`). The run report is written whatever the result; a check that does not hold fails the run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import contract as nights
from pipeline import files, policy
from pipeline.assess.evidence.case_file import group
from pipeline.cases.publishing.stage import published_count, published_of
from pipeline.contract import Night, StageReport
from pipeline.errors import ReconciliationError
from pipeline.ingest.landing import seen
from pipeline.lake import Lake, upkeep
from pipeline.matching import core, stage
from pipeline.night import report as runreport
from pipeline.night import stages as nightly
from pipeline.night import totals
from pipeline.night.totals import STAGE, Check, Kept, Span, counted, distinct
from pipeline.settings import Settings

UNITS = "units of fingerprints = matched units (or waiting for a first release)"
ASSESSED = "cases assessed = cases in the store"


def run(settings: Settings, night: Night, shard: str | None = None, *, whole: bool = False) -> StageReport:
    """Check the run, write `report.json` and `report.txt` into its folder. With `whole` everything is counted anew.

    Raises ReconciliationError naming every check that does not hold, IntegrityError for damaged parts, CanaryError when
    the release's canaries are missed.
    """
    lake = Lake.of(settings)
    lake.settle(night.run_id)
    days = int(policy.load(settings, "lake").data["recheck_days"])
    kept = Kept() if whole else Kept.before(lake, night.run_id, night.as_of, days)
    # where everything is counted anew, nothing that was kept is asked, the listings of tables neither
    span = Span(lake.now() if kept.through else lake.now().anew(), kept.through)
    checked = upkeep.check(settings, lake, night.run_id, night.as_of)
    rows_check, rows = totals.stored(span, kept)
    counted_now = {c.name: c.plus(kept.checks.get(c.name)) for c in _of_span(settings, span)}
    checks = [*_landing(settings, span, night), *counted_now.values(), rows_check, _store(settings, counted_now)]
    since = kept.whole or night.as_of.astimezone(UTC).date()
    canaries = _canaries(settings)
    shown = [{**asdict(c), "holds": c.holds} for c in checks]
    summary = runreport.build(settings, night, shown, checked, canaries, whole=since)
    folder = nights.run_dir(settings, night.run_id)
    # orjson: what has been returned over years is a long list, and Python's own writer of indented JSON is slow
    how = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    files.write_bytes(folder / "report.json", orjson.dumps(summary, option=how))
    files.write_bytes(folder / "report.txt", runreport.text(summary).encode())
    broken = [c for c in checks if not c.holds]
    if broken:
        raise ReconciliationError(
            "The run does not reconcile: "
            + "; ".join(f"{c.name}: {c.into} in, {c.out} out {c.parts}" for c in broken)
            + ".",
            "Do not work the queue from it. report.txt in the run's folder has every count.",
        )
    if not counted_now[UNITS].parts["waiting"]:  # what waits is matched later: its figures would not stay
        Kept(span.through, counted_now, rows, since).publish(lake, night.run_id)
    return StageReport(
        STAGE,
        night.run_id,
        read=len(checks),
        kept=len(checks),
        counts={
            "parts_verified": checked.parts,
            "lake_checked_whole_since": checked.whole_since.isoformat(),
            "canaries": canaries,
        },
    )


def _of_span(settings: Settings, span: Span) -> list[Check]:
    """The equations whose figures add up from one night to the next."""
    intake = _intake(span)
    return [
        *_packages(span, intake),
        *_identifiers(span, intake),
        *_media(span, intake),
        *_matches(settings, span),
        *_cases(settings, span),
    ]


def _landing(settings: Settings, span: Span, night: Night) -> list[Check]:
    """What the run's last ingest saw in the landing folder; nothing to check in a run that did not ingest."""
    ingests = [r for r in nightly.reports(settings, night.run_id) if r.stage == "ingest"]
    if not ingests:
        return []
    looked_at = set(seen.load(settings))
    taken = looked_at & set(span.read("packages", ["container"])["container"].to_pylist())
    taken |= span.earlier("packages", "container", looked_at - taken)  # what stays in landing was taken in before
    parts = {
        "taken in": len(taken),
        "waiting to be complete": ingests[-1].rejected.get("waiting", 0),
    }
    listed = int(ingests[-1].counts["packages_in_landing"])
    return [Check("packages in the landing folder = taken in or waiting", listed, sum(parts.values()), parts)]


def _packages(span: Span, intake: Counter[str]) -> list[Check]:
    packages = span.read("packages", ["state", "referral_id", "package_id", "container"])
    states = counted(packages["state"])
    arrived = _counted_at_intake(intake, "packages_", states)
    # the same content may arrive in several containers: each arrival is counted, all but one as duplicates
    arrivals = packages.group_by(["package_id", "container"]).aggregate([]).num_rows
    referrals = span.read("referrals", ["referral_id", "package_id"])
    made = states.get("accepted", 0) + states.get("supplement", 0)
    return [
        Check("packages counted at intake = packages stored, by state", arrived, packages.num_rows, states),
        Check("arrivals are distinct", packages.num_rows, arrivals, {}),
        Check("accepted and supplementing packages = referral records", made, referrals.num_rows, {}),
        Check("referral records are distinct", referrals.num_rows, distinct(referrals["package_id"]), {}),
    ]


def _identifiers(span: Span, intake: Counter[str]) -> list[Check]:
    """Every identifier that a report gives is in the table, or counted as unusable (a defect each) or as withheld."""
    table = span.read("identifiers", ["identifier_id", "kind"])
    kinds = counted(table["kind"])
    given, unusable, withheld = (
        _counted_at_intake(intake, "identifiers_", {name: 0}) for name in ("given", "unusable", "withheld")
    )
    problems = span.read("defects", ["problem"])["problem"]
    defects = int(pc.sum(pc.starts_with(problems, "Not usable as ")).as_py() or 0)
    return [
        Check(
            "identifiers given = identifiers stored by kind, unusable and withheld",
            given,
            sum(kinds.values()) + unusable + withheld,
            {**kinds, "unusable": unusable, "withheld": withheld},
        ),
        Check("identifiers are distinct", table.num_rows, distinct(table["identifier_id"]), {}),
        Check(
            "unusable identifiers = defects that name them",
            unusable,
            defects,
            {},
        ),
    ]


def _media(span: Span, intake: Counter[str]) -> list[Check]:
    media = span.read("media_files", ["file_id", "state", "sha256"])
    states = counted(media["state"])
    listed = _counted_at_intake(intake, "files_", states)
    present = media.filter(pc.and_(pc.equal(media["state"], "present"), pc.is_valid(media["sha256"])))
    prints = span.read("fingerprints", ["sha256", "state"])
    contents = present["sha256"].combine_chunks().unique()
    unmade = contents.filter(pc.invert(pc.is_in(contents, value_set=prints["sha256"].combine_chunks())))
    again = span.earlier("fingerprints", "sha256", unmade.to_pylist())  # contents that came on an earlier night too
    outcome = counted(prints["state"])
    return [
        Check("media files counted at intake = media files stored, by state", listed, media.num_rows, states),
        Check("media files are distinct", media.num_rows, distinct(media["file_id"]), {}),
        Check(
            "distinct contents present = fingerprints",
            len(contents) - len(again),
            distinct(prints["sha256"]),
            outcome,
        ),
        Check("fingerprints are distinct", prints.num_rows, distinct(prints["sha256"]), {}),
    ]


def _matches(settings: Settings, span: Span) -> list[Check]:

    matches = span.read("matches", ["match_id", "kind"])
    units = set(stage.units_of(span.commits))
    matched = set(span.lake.keys("match")) & units
    waiting = 0 if stage.release_or_none(settings) else len(units - matched)
    kinds = counted(matches["kind"])
    return [
        Check(UNITS, len(units), len(matched) + waiting, {"waiting": waiting}),
        Check("matches written = matches stored, by kind", span.rows().get("matches", 0), matches.num_rows, kinds),
        Check("matches are distinct", matches.num_rows, distinct(matches["match_id"]), {}),
    ]


def _cases(settings: Settings, span: Span) -> list[Check]:
    """Cases that the span's referrals belong to, followed to the first of their chain; they are counted where they begin."""

    extends = _chains(span)
    own = set(span.read("referrals", ["referral_id"])["referral_id"].to_pylist())
    of = {referral: case for referral, case in group(extends).items() if referral in own}
    cases = set(of.values())
    assessed = set(span.read("assessments", ["case_id"])["case_id"].to_pylist())
    earlier = _begun_before(span, extends, cases)
    begun = cases - earlier
    fresh = assessed & begun if span.after else assessed
    lost = assessed - published_of(settings, assessed)
    return [
        Check("referrals = referrals of a case", len(own), len(of), {"cases": len(begun)}),
        Check("cases = cases assessed", len(begun), len(begun & assessed), {}),
        Check(ASSESSED, len(fresh), len(fresh) - len(lost), {}),
    ]


def _chains(span: Span) -> dict[str, str | None]:
    """Referral to the one it extends: of the span's, and of those before that they lead to."""
    columns = ["referral_id", "supplements"]
    extends = {r["referral_id"]: r["supplements"] for r in span.read("referrals", columns).to_pylist()}
    wanted = {root for root in extends.values() if root} - extends.keys()
    while wanted and span.after:
        keys = ("referral_id", pa.array(sorted(wanted), pa.string()))
        rows = span.lake.read("referrals", columns, where=keys).to_pylist()
        extends |= {r["referral_id"]: r["supplements"] for r in rows}
        wanted = {r["supplements"] for r in rows if r["supplements"]} - extends.keys()
    return extends


def _begun_before(span: Span, extends: dict[str, str | None], cases: set[str]) -> set[str]:
    """Which cases of the span's referrals were assessed before the span: they are in the kept figures.

    Only cases that have a referral from before can be: one that is in the chain, or a supplement that came first.
    """
    if not span.after or not cases:
        return set()
    own = set(span.read("referrals", ["referral_id"])["referral_id"].to_pylist())
    chain = pa.array(sorted(extends.keys() | {root for root in extends.values() if root}), pa.string())
    beside = span.lake.read("referrals", ["referral_id"], where=("supplements", chain))["referral_id"].to_pylist()
    if own >= extends.keys() | set(beside):
        return set()
    wanted = pa.array(sorted(cases), pa.string())
    ever = Counter(span.lake.read("assessments", ["case_id"], where=("case_id", wanted))["case_id"].to_pylist())
    now = Counter(span.read("assessments", ["case_id"])["case_id"].to_pylist())
    return {case for case, times in ever.items() if times > now[case]}


def _store(settings: Settings, counts: dict[str, Check]) -> Check:
    """Every case that was ever assessed is in the store or was erased there: as many as were counted."""

    return Check(
        "cases ever assessed = cases in the store or erased", counts[ASSESSED].into, published_count(settings), {}
    )


def _canaries(settings: Settings) -> int:
    """Run the canaries of every index of the current release; returns how many indexes were checked."""

    release = stage.release_or_none(settings)
    if release is None:
        return 0
    for algorithm in release.indexes:
        core.check_canaries(core.open_index(release.index_dir(algorithm)))
    return len(release.indexes)


def _intake(span: Span) -> Counter[str]:
    """What the ingest stage counted while it worked, over its commits in the span."""
    total: Counter[str] = Counter()
    for commit in span.of("ingest"):
        total.update({name: int(count) for name, count in commit.meta["counts"].items()})
    return total


def _counted_at_intake(intake: Counter[str], prefix: str, states: dict[str, int]) -> int:
    return sum(intake[f"{prefix}{state}"] for state in states)
