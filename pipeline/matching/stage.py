"""The match stage: every fingerprint and every stated digest of the night against the current known-hash release.

The work is cut into units: `content-<key>` for the fingerprints of one fingerprint commit, `claimed-<key>` for the
media of one ingest commit that the sender only described (its digests are stated, its bytes never came). A unit is
matched once, against the release that is current then; what later releases change is the work of `retro`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from hashsets.release import releases
from pipeline import policy
from pipeline.contract import Night, StageReport
from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.lake.lake import Commit
from pipeline.matching.evidence import MatchRow, finished
from pipeline.matching.known import WholeRelease
from pipeline.matching.unit import Matcher
from pipeline.settings import Settings

CONTENT, CLAIMED = "content-", "claimed-"


def release_or_none(settings: Settings) -> releases.Release | None:
    """The current release, or None before the first one is published. A damaged release raises IntegrityError."""
    return releases.current(settings) if releases.pointer(settings) is not None else None


def units(lake: Lake) -> list[str]:
    """Every unit of work that the lake holds, matched or not."""
    return units_of([*lake.commits("fingerprint"), *lake.commits("ingest")])


def units_of(commits: Iterable[Commit]) -> list[str]:
    """Units of work that some commits bring."""
    names = {"fingerprint": ("fingerprints", CONTENT), "ingest": ("media_files", CLAIMED)}
    chosen = [(c, *names[c.stage]) for c in commits if c.stage in names]
    return [prefix + c.key for c, table, prefix in chosen if any(p.table == table for p in c.parts)]


def plan(settings: Settings, night: Night) -> list[str]:
    """Units that no release has been matched against. Without a release nothing can be matched yet: an empty list."""
    if release_or_none(settings) is None:
        return []
    lake = Lake.of(settings)
    done = lake.keys("match")
    # only commits that no unit is matched of are read: the past is not
    contents = lake.named("fingerprint", [k for k in lake.keys("fingerprint") if CONTENT + k not in done])
    claims = lake.named("ingest", [k for k in lake.keys("ingest") if CLAIMED + k not in done])
    return [
        *(CONTENT + c.key for c in contents if any(p.table == "fingerprints" for p in c.parts)),
        *(CLAIMED + c.key for c in claims if any(p.table == "media_files" for p in c.parts)),
    ]


@contextmanager
def together(settings: Settings) -> Iterator[Callable[[Settings, Night, str | None], StageReport]]:
    """`run` for several units in one process: what was opened and checked of a release serves all of them."""
    opened: dict[int, WholeRelease] = {}
    yield partial(run, opened=opened)


def run(
    settings: Settings, night: Night, shard: str | None = None, opened: dict[int, WholeRelease] | None = None
) -> StageReport:
    """Match one unit and commit its rows. `opened` holds releases by number that units before it opened.

    Raises UsageError when there is no release or no such unit, CanaryError when the core misses a canary: then nothing
    of the unit is kept.
    """
    release = release_or_none(settings)
    if release is None or shard is None:
        raise UsageError(
            "There is no known-hash release to match against.", "Import a hash set: `triage hashset import --help`."
        )
    lake = Lake.of(settings)
    if lake.committed("match", shard):
        return StageReport("match", night.run_id, shard)
    opened = {} if opened is None else opened
    if release.number not in opened:
        opened[release.number] = WholeRelease(release, settings)
    matcher = Matcher(settings, opened[release.number], night)
    with release.kept_open():
        if shard.startswith(CONTENT):
            rows, read = matcher.contents(lake, [shard.removeprefix(CONTENT)])
        else:
            rows, read = matcher.claims(lake, [shard.removeprefix(CLAIMED)])
        table = finished(rows, release, night, policy.load(settings, "matching").data)
    commit = lake.commit(
        "match",
        shard,
        {"matches": table},
        run_id=night.run_id,
        meta={
            "unit": shard,
            "release": release.number,
            "policy": policy.load(settings, "matching").digest,
            **matcher.counts,
        },
    )
    return StageReport(
        "match",
        night.run_id,
        shard,
        read=read,
        kept=read,
        counts=_counts(rows, matcher.counts),
        outputs=[f"match/{commit.key}"],
    )


def _counts(rows: list[MatchRow], counts: Counter[str]) -> dict[str, Any]:
    kinds = Counter(row["kind"] for row in rows)
    return {**{f"{kind}_matches": count for kind, count in sorted(kinds.items())}, **dict(sorted(counts.items()))}
