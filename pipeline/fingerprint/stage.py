"""The fingerprint stage: every content that the night's referrals hold, once, to digests and perceptual hashes.

`plan` cuts the contents into shards and writes down which content belongs to which, so that a repeated plan of the same
night gives the same shards; `run` does one shard. Contents that were fingerprinted on an earlier night, and contents
whose digest the current release knows, are not decoded again; the report says how many that saved. A killed shard goes
on where it stopped, from its journal.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashsets.release import releases
from hashsets.release.releases import Release
from pipeline import files, logs, records
from pipeline import policy as policies
from pipeline.algorithms import DIGESTS, algorithm_version
from pipeline.contract import Night, StageReport
from pipeline.errors import UsageError
from pipeline.fingerprint import planning
from pipeline.fingerprint.decode.versions import decoder_version
from pipeline.fingerprint.journal import Journal
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item, Reason, State
from pipeline.fingerprint.planning import STAGE
from pipeline.fingerprint.rows import ContentRows, Origin, rows_of
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.lake import Lake, Part
from pipeline.locator import Locator
from pipeline.settings import Settings

plan = planning.plan
"""As every stage that is done in shards has it."""
ELSEWHERE = {
    Reason.MISSING,
    Reason.UNREADABLE,
    Reason.NOT_A_FILE,
    Reason.ARCHIVE_DAMAGED,
    Reason.ARCHIVE_LIMIT,
    Reason.ENCRYPTED,
    Reason.AMBIGUOUS,
    Reason.CHANGED,
    Reason.PACKAGE_FAULTS,
}
"""Reasons that lie in the place and not in the content: the next place of the same content is tried."""


@dataclass(frozen=True)
class Content:
    """One content, its size in bytes as taken in, and every place where it lies, in order."""

    sha256: bytes
    size: int
    places: tuple[Locator, ...]


# -- running ---------------------------------------------------------------------------------------------------------


@contextmanager
def together(settings: Settings) -> Iterator[Callable[[Settings, Night, str | None], StageReport]]:
    """`run` for several shards in one process: they share the server that media workers are forked from."""
    with Pool(settings) as pool:
        yield partial(run, pool=pool)


def run(settings: Settings, night: Night, shard: str | None = None, pool: Pool | None = None) -> StageReport:
    """Do one shard (or, without one, all that are left). What is committed is not done again, only reported.

    `pool` is used where one is given, and left open. Raises UsageError for a shard that was never planned, DependencyError when workers cannot be started or isolated.
    """
    if shard is None:
        return _all(settings, night)
    lake = Lake.of(settings)
    if not lake.committed(STAGE, shard):
        with nullcontext(pool) if pool else Pool(settings) as workers:
            _Shard(settings, night, lake, shard).work(workers)
    return _reported(lake, night, shard)


def _all(settings: Settings, night: Night) -> StageReport:
    """Every shard of the night, one after the other, as one report."""
    planning.plan(settings, night)
    total = StageReport(STAGE, night.run_id)
    for path in files.finished(planning.folder(settings, night), "*.json"):
        one = run(settings, night, path.stem)
        total.read += one.read
        total.kept += one.kept
        total.rejected = dict(Counter(total.rejected) + Counter(one.rejected))
        for name, value in one.counts.items():
            before = total.counts.get(name, 0)
            summed = isinstance(value, int | float) and isinstance(before, int | float)
            total.counts[name] = before + value if summed else value  # type: ignore[operator]
        total.outputs += one.outputs
        total.seconds += one.seconds
        total.cpu_seconds += one.cpu_seconds
    return total


def _reported(lake: Lake, night: Night, shard: str) -> StageReport:
    [commit] = lake.named(STAGE, [shard])
    return StageReport.from_dict({**commit.meta["report"], "run_id": night.run_id})


class _Shard:
    """The work of one shard."""

    def __init__(self, settings: Settings, night: Night, lake: Lake, name: str) -> None:
        path = planning.folder(settings, night) / f"{name}.json"
        if not path.is_file():
            raise UsageError(f"There is no shard {name!r} in run {night.run_id}.", "Plan the stage first.")
        planned = planning.shard_file(path)
        self.settings, self.night, self.lake, self.name = settings, night, lake, name
        self.earlier = len(planned["earlier"])
        self.contents = _located(lake, night, [bytes.fromhex(text) for text in planned["contents"]])
        self.journal_path = path.with_suffix(".journal")
        self.done: dict[bytes, ContentRows] = {}
        self.report = StageReport(STAGE, night.run_id, name)

    def work(self, pool: Pool) -> None:
        """Fingerprint the contents and publish the rows."""
        began, cpu = time.monotonic(), time.process_time()
        pool.begin_report()
        if self.contents:
            pool.start()
            self._fingerprint(pool)
            pool.rest()
        self.report.seconds = round(time.monotonic() - began, 3)
        self.report.cpu_seconds = round(time.process_time() - cpu + pool.report.cpu_seconds, 3)
        self._publish(pool)

    def _fingerprint(self, pool: Pool) -> None:
        release = _release(self.settings)
        decoder = decoder_version(pool.report.versions)
        origin = Origin(self.night.run_id, pool.report.sandbox, decoder)
        conditions = {
            "shard": self.name,
            "algorithms": algorithm_version(),
            "decoders": decoder,
            "sandbox": pool.report.sandbox,
            "policy": policies.load(self.settings, "fingerprint").digest,
            "release": release.number if release else 0,
        }
        with Journal(self.journal_path, conditions) as journal:
            self.done = {bytes.fromhex(key): ContentRows.from_json(value) for key, value in journal.taken_over.items()}
            self.report.counts["resumed"] = len(self.done)
            for content, outcome in self._outcomes(pool, release):
                rows = rows_of(outcome, content.sha256, content.size, origin)
                self.done[content.sha256] = rows
                journal.add(content.sha256.hex(), rows.as_json())

    def _outcomes(self, pool: Pool, release: Release | None) -> Iterator[tuple[Content, Fingerprint | Failure]]:
        """One outcome for each content that is not done, each from the first of its places that can be read."""
        waiting = [content for content in self.contents if content.sha256 not in self.done]
        yield from ((content, Failure(Reason.MISSING, "locator")) for content in waiting if not content.places)
        left = [(content, 0) for content in waiting if content.places]
        while left:
            again: list[tuple[Content, int]] = []
            for (content, place), outcome in self._tried(pool, release, left):
                if isinstance(outcome, Failure) and outcome.reason in ELSEWHERE and place + 1 < len(content.places):
                    again.append((content, place + 1))
                else:
                    yield content, outcome
            left = again

    def _tried(
        self, pool: Pool, release: Release | None, left: list[tuple[Content, int]]
    ) -> Iterator[tuple[tuple[Content, int], Fingerprint | Failure]]:
        """An outcome for each content from one of its places.

        Digests come first, by workers that have decoded nothing and so have not been taken over: what the release knows by
        them needs no decoding, and the others' fingerprints are held against them.
        """
        read = [found for _, found in pool.identified(content.places[place] for content, place in left)]
        known = _known(release, read)
        rest: list[tuple[tuple[Content, int], Digests]] = []
        for number, (tried, found) in enumerate(zip(left, read, strict=True)):
            content = tried[0]
            if isinstance(found, Failure):
                yield tried, found
            elif found[0].sha256 != content.sha256 or content.size not in (0, found[0].size):
                yield tried, Failure(Reason.CHANGED)
            elif number in known:
                yield tried, Fingerprint(found[0], found[1], State.DIGESTS_ONLY, Reason.KNOWN_EXACT)
            else:
                rest.append((tried, found[0]))
        items = [Item(content.places[place], digests) for (content, place), digests in rest]
        for (tried, _), (_, outcome) in zip(rest, pool.fingerprints(items), strict=True):
            yield tried, outcome

    def _publish(self, pool: Pool) -> None:
        report = self.report
        ordered = [self.done[content.sha256] for content in self.contents]
        report.read = len(self.contents) + self.earlier
        states = Counter(rows.state for rows in ordered)
        turned_down = [rows for rows in ordered if _turned_down(rows)]
        report.rejected = dict(sorted(Counter(rows.reason.value for rows in turned_down).items()))
        report.kept = report.read - len(turned_down)
        report.counts.update({state.value: states[state] for state in State})
        report.counts.update(
            saved_earlier_night=self.earlier,
            saved_known_exact=sum(rows.reason is Reason.KNOWN_EXACT for rows in ordered),
            low_information=sum(rows.fingerprint["low_information"] for rows in ordered),
            variants=sum(len(rows.variants) for rows in ordered),
            video_frames=sum(len(rows.video_frames) for rows in ordered),
            workers=pool.report.workers,
            workers_died=sum(pool.report.deaths.values()),
            decoder_output_bytes=pool.report.stderr_bytes,
            sandbox=pool.report.sandbox,
        )
        report.outputs = [self.name]
        tables = {
            "fingerprints": records.build("fingerprints", (rows.fingerprint for rows in ordered)),
            "variants": records.build("variants", (v for rows in ordered for v in rows.variants)),
            "video_frames": records.build("video_frames", (f for rows in ordered for f in rows.video_frames)),
        }
        meta = {"report": report.as_dict(), "versions": pool.report.versions}
        self.lake.commit(STAGE, self.name, tables, run_id=self.night.run_id, meta=meta)
        self.journal_path.unlink(missing_ok=True)
        logs.get(STAGE).info("shard done", shard=self.name, read=report.read, kept=report.kept, **report.rejected)


def _turned_down(rows: ContentRows) -> bool:
    """Whether a content has digests at most, for a reason that lies in the content or its place."""
    return rows.state is State.REJECTED or (rows.state is State.DIGESTS_ONLY and rows.reason is not Reason.KNOWN_EXACT)


def _release(settings: Settings) -> Release | None:
    """The current known-hash release, or None before the first one is built."""
    return releases.current(settings) if releases.exists(settings) else None


def _known(release: Release | None, read: list[Any]) -> set[int]:
    """Places in the list whose digest the release holds; without a release none."""
    return set() if release is None else set(release.exact(_queries(read))["query_id"].to_pylist())


def _queries(found: list[Any]) -> pa.Table:
    """Digest queries (query_id, algorithm, value) of what could be read; the number in the list is the query."""
    rows = [
        (number, algorithm, getattr(one[0], algorithm))
        for number, one in enumerate(found)
        if not isinstance(one, Failure)
        for algorithm in DIGESTS
    ]
    return pa.table(
        {
            "query_id": pa.array([row[0] for row in rows], pa.int64()),
            "algorithm": pa.array([row[1] for row in rows], pa.string()),
            "value": pa.array([row[2] for row in rows], pa.binary()),
        }
    )


def _located(lake: Lake, night: Night, contents: list[bytes]) -> list[Content]:
    """The contents with their places, ordered by their first place: members of one package come in a row. A content that
    tonight's packages do not hold (an earlier night did not come to it) is looked for among those of all nights."""
    tonight = [p for c in lake.commits("ingest", run_id=night.run_id) for p in c.parts if p.table == "media_files"]
    found = _places(lake, contents, tonight)
    missing = [content for content in contents if content not in found]
    if missing:
        found |= _places(lake, missing, lake.parts("media_files"))
    listed = []
    for content in contents:
        size, places = found.get(content, (0, set()))
        listed.append(Content(content, size, tuple(sorted(places, key=str))))
    return sorted(listed, key=lambda content: (str(content.places[:1]), content.sha256))


def _places(lake: Lake, contents: list[bytes], parts: Iterable[Part]) -> dict[bytes, tuple[int, set[Locator]]]:
    """Size and places of those contents that lie in some parts."""
    named = "sha256", pa.array(contents, records.arrow_schema("media_files").field("sha256").type)
    wanted = lake.read("media_files", ["sha256", "size", "locator", "state"], parts=parts, where=named)
    found: dict[bytes, tuple[int, set[Locator]]] = {}
    for row in wanted.filter(pc.equal(wanted["state"], "present")).to_pylist():
        if row["locator"] is not None:
            _, places = found.get(row["sha256"], (0, set()))
            found[row["sha256"]] = (row["size"] or 0, places | {Locator.parse(row["locator"])})
    return found
