"""The stage `digest`: the media of a large night digested in shards beside each other, before ingest goes through its packages
one after the other. Reading the bytes is most of what ingest does."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline import files
from pipeline.collector import no_cycle_search
from pipeline.contract import Night, StageReport
from pipeline.errors import UsageError
from pipeline.ingest import ahead, intake, media, rules
from pipeline.ingest.landing import discovery
from pipeline.ingest.landing.discovery import LandingEntry
from pipeline.ingest.reading.supervisor import PackageReading
from pipeline.ingest.stage import fresh_entries
from pipeline.settings import Settings


def plan(settings: Settings, night: Night) -> list[str]:
    """Shards of new packages that are not digested yet; none where there are no more than TRIAGE_LARGE_NIGHT.

    A repeated plan of the same night keeps the shards that it had. Raises what `ingest` raises.
    """
    place = ahead.folder(settings, night)
    shards = {path.stem: ahead.containers(path) for path in files.finished(place, "*.json")}
    planned = {container for listed in shards.values() for container in listed}
    todo = [entry.container for entry in fresh_entries(settings) if entry.container not in planned]
    if len(todo) > settings.large_night:
        for start in range(0, len(todo), settings.large_night):
            chosen = todo[start : start + settings.large_night]
            name = hashlib.sha256("\n".join([night.run_id, *chosen]).encode()).hexdigest()[:24]
            files.write_json(place / f"{name}.json", {"containers": chosen})
            shards[name] = chosen
    return [name for name in shards if not (place / f"{name}.answers").is_file()]


@contextmanager
def together(settings: Settings) -> Iterator[Callable[[Settings, Night, str | None], StageReport]]:
    """`run` for several shards in one process."""
    yield run


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Digest the media of one shard's packages. Counts packages; the tables are written by ingest alone.

    Raises UsageError for a shard that was never planned.
    """
    path = ahead.folder(settings, night) / f"{shard}.json"
    if not path.is_file():
        raise UsageError(f"There is no shard {shard!r} in run {night.run_id}.", "Plan the stage first.")
    wanted = set(ahead.containers(path))
    report = StageReport(ahead.STAGE, night.run_id, shard, read=len(wanted), kept=len(wanted))
    answers = path.with_suffix(".answers")
    if answers.is_file():
        return report
    rule = rules.load(settings)
    listed, _ = discovery.entries(settings.landing_dir, rule.data)
    entries = deque(entry for entry in listed if entry.container in wanted)
    lines: list[bytes] = []
    with PackageReading(settings, rule) as reading, no_cycle_search():
        while entries:
            lines += _digested(settings, night, reading, entries)
    report.counts["packages_digested"] = len(lines)
    files.write_bytes(answers, b"".join(lines))
    return report


def _digested(settings: Settings, night: Night, reading: PackageReading, entries: deque[LandingEntry]) -> list[bytes]:
    found = intake.looked_at(reading, night, entries)
    digests = media.answers(settings, intake.locators(found).values(), intake.with_sha512(found)).digests
    lines = []
    for candidate in found:
        package = candidate.package
        own = {package.container, *(member.key for member in package.payload)}
        lines.append(ahead.line(package.container, package.stat_key, {k: digests[k] for k in own if k in digests}))
    return lines
