"""The ingest stage: packages of the landing folder to the referral tables, in commits of one batch each.

Batches are cut from the ordered list of new packages, so a run that is killed and started again continues with the
same next batch and publishes the same tables. The counts of the report are those of everything that this run
published, however often it was started.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from pathlib import Path

from pipeline import files, logs
from pipeline.contract import Night, StageReport
from pipeline.ingest import intake, quarantine, rules
from pipeline.ingest.identity import Held
from pipeline.ingest.intake import Candidate
from pipeline.ingest.landing import discovery, seen
from pipeline.ingest.landing.discovery import LandingEntry
from pipeline.ingest.reading.supervisor import PackageReading
from pipeline.ingest.returned import ReturnedIndex
from pipeline.ingest.rules import IngestRules
from pipeline.lake import Lake
from pipeline.settings import Settings

STAGE = "ingest"


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Take in what is new. Raises SettingsError for the policy and UsageError when landing cannot be listed; bad
    packages raise nothing, they end in quarantine."""
    rule = rules.load(settings)
    lake = Lake.of(settings)
    index = ReturnedIndex(settings, lake)
    held = Held.read(lake, index)
    known = seen.load(settings)
    entries, strange = discovery.entries(settings.landing_dir, rule.data)
    held.look_up_packages(known[e.container][1] for e in entries if e.container in known)
    fresh = deque(entry for entry in entries if not _unchanged(entry, known, held, rule))
    new = len(fresh)
    remembered = {e.container: known[e.container] for e in entries if e.container in known}
    waiting: list[Candidate] = []
    with PackageReading(settings, rule) as reading:
        while fresh:
            batch = intake.take(reading, night, held, fresh)
            if batch.arrivals:
                key = hashlib.sha256("\n".join(batch.arrivals).encode("utf-8", "surrogateescape")).hexdigest()[:32]
                lake.commit(STAGE, key, batch.tables, run_id=night.run_id, meta={"counts": dict(batch.counts)})
            waiting += batch.waiting
            remembered.update(batch.seen)
    if remembered != known:
        seen.save(settings, remembered)
    files.make_folder(settings.quarantine_dir)
    index.follow()
    quarantine.write_notices(settings, index)
    _tell_waiting(settings, night, waiting)
    report = _report(lake, night, len(waiting))
    report.counts.update(
        packages_in_landing=len(entries),
        packages_seen_before=len(entries) - new,
        readers_ended=sum(reading.deaths.values()),
        quarantine_in_all=index.rows(),
        landing_entries_of_no_source=strange,
    )
    if reading.reached is not None:
        report.counts["reader_sandbox"] = reading.reached.describe()
    for reason, number in sorted(reading.deaths.items()):
        logs.get(STAGE).warning("a process that reads packages was replaced", reason=reason, times=number)
    returned, clock = index.waiting()
    report.counts["returned_for_information"] = returned
    if clock is not None:
        report.counts["returned_longest_hours"] = quarantine.hours(clock, night.now())
    late = report.counts.get("packages_waited_too_long", 0)
    if late or strange:
        logs.get(STAGE).warning("landing needs a look", waited_too_long=late, entries_of_no_source=strange)
    return report


def waiting(settings: Settings, night: Night) -> list[Candidate]:
    """The packages in landing that a run would leave waiting now, ordered by container, with the reasons in `waits`.

    Looks at what no run has taken in, checksums included; writes nothing. Raises what `run` raises.
    """
    rule, held, known = rules.load(settings), _held(settings), seen.load(settings)
    entries, _ = discovery.entries(settings.landing_dir, rule.data)
    held.look_up_packages(known[e.container][1] for e in entries if e.container in known)
    fresh = deque(entry for entry in entries if not _unchanged(entry, known, held, rule))
    found: list[Candidate] = []
    with PackageReading(settings, rule) as reading:
        while fresh:
            found += intake.take(reading, night, held, fresh).waiting
    return found


def fresh_entries(settings: Settings) -> list[LandingEntry]:
    """The packages in landing that the next run looks at, in its order. Raises what `run` raises."""
    rule, held, known = rules.load(settings), _held(settings), seen.load(settings)
    entries, _ = discovery.entries(settings.landing_dir, rule.data)
    held.look_up_packages(known[e.container][1] for e in entries if e.container in known)
    return [entry for entry in entries if not _unchanged(entry, known, held, rule)]


def _held(settings: Settings) -> Held:
    lake = Lake.of(settings)
    return Held.read(lake, ReturnedIndex(settings, lake))


def _unchanged(entry: LandingEntry, known: seen.SeenContainers, held: Held, rule: IngestRules) -> bool:
    """Whether this container was taken in or returned before (it is in the tables) and was not touched since."""
    if entry.container not in known:
        return False
    key, package_id = known[entry.container]
    if (package_id, entry.container) not in held.containers:
        return False
    now = discovery.stat_key(entry, 2 * rule.data["caps"]["members"])
    return key == now or key == discovery.returned_key(entry, now)


def waiting_file(settings: Settings) -> Path:
    """What the last run left waiting: `as_of`, and `packages` with landing folder, container, hours and reasons."""
    return settings.home / "ingest" / "waiting.json"


def _tell_waiting(settings: Settings, night: Night, waiting: list[Candidate]) -> None:
    now = night.now()
    rows = [
        {
            "landing_folder": c.package.landing_folder,
            "container": c.package.container,
            "hours": round(c.package.hours(now), 1),
            "reasons": list(c.waits),
        }
        for c in waiting
    ]
    until = int(now.timestamp() * 1e9)
    since = {c.package.container: (c.package.stat_key, c.package.changed) for c in waiting if c.package.changed}
    if night.live:  # a clock that was ahead when a package came
        since = {name: (key, min(changed, until)) for name, (key, changed) in since.items()}
    seen.save_waited(settings, since)
    files.make_folder(waiting_file(settings).parent)
    files.write_json(waiting_file(settings), {"as_of": now.isoformat(), "packages": rows})


def _report(lake: Lake, night: Night, waiting: int) -> StageReport:
    counts: Counter[str] = Counter()
    outputs = []
    for commit in lake.commits(STAGE, run_id=night.run_id):
        counts.update(commit.meta["counts"])
        outputs.append(commit.key)
    kept = sum(counts[f"packages_{state}"] for state in ("accepted", "supplement", "duplicate"))
    rejected = {name: n for name, n in (("quarantined", counts["packages_quarantined"]), ("waiting", waiting)) if n}
    return StageReport(
        STAGE,
        night.run_id,
        read=kept + sum(rejected.values()),
        kept=kept,
        rejected=rejected,
        counts=dict(sorted(counts.items())),
        outputs=sorted(outputs),
    )
