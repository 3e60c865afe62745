"""Which contents a night fingerprints, in shards: those that its packages hold, and those that no earlier night came to.

A night looks at the contents of commits that no night before has found done, and not at those of all nights: up to which commit every
content has a fingerprint of the present version stands in the lake as the stage `fingerprinted`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import files
from pipeline.algorithms import algorithm_version
from pipeline.contract import Night, run_dir
from pipeline.lake import Commit, Lake, erasing
from pipeline.settings import Settings

STAGE = "fingerprint"
DONE = "fingerprinted"
"""Stage of the commits without rows that say up to which commit, and for which version, everything is done."""


def folder(settings: Settings, night: Night) -> Path:
    """Where the night's shards are written down."""
    return run_dir(settings, night.run_id) / STAGE


def plan(settings: Settings, night: Night) -> list[str]:
    """Shards of this night that are not committed. Contents that tonight's packages hold, or that no night has done yet."""
    lake = Lake.of(settings)
    shards = {path.stem: shard_file(path) for path in files.finished(folder(settings, night), "*.json")}
    planned = {content for shard in shards.values() for content in (*shard["contents"], *shard["earlier"])}
    tonight, open_ = _wanted(lake, night)
    held = tonight.filter(pc.invert(pc.is_in(tonight, value_set=open_)))
    earlier = {value.hex() for value in held.to_pylist()}
    todo = sorted(({value.hex() for value in (*open_.to_pylist(), *tonight.to_pylist())}) - planned)
    size = settings.shard_files or max(1, len(todo))
    for start in range(0, len(todo), size):
        chosen = todo[start : start + size]
        shard = {"contents": [c for c in chosen if c not in earlier], "earlier": [c for c in chosen if c in earlier]}
        name = hashlib.sha256("\n".join([night.run_id, *chosen]).encode()).hexdigest()[:24]
        files.write_json(folder(settings, night) / f"{name}.json", shard)
        shards[name] = shard
    return sorted(name for name in shards if not lake.committed(STAGE, name))


def shard_file(path: Path) -> dict[str, list[str]]:
    """A shard's contents as hex SHA-256: `contents` to do, `earlier` done on an earlier night."""
    found: dict[str, list[str]] = orjson.loads(path.read_bytes())
    return found


def _wanted(lake: Lake, night: Night) -> tuple[pa.Array, pa.Array]:
    """The contents of tonight's packages, and those of any night that have no fingerprint of the present version, each once."""
    last, through = lake.last(), done_through(lake)
    own = lake.commits("ingest", run_id=night.run_id)
    since = [c for c in lake.commits(after=through) if c.seq <= last and any(p.table == "media_files" for p in c.parts)]
    tonight = _contents(lake, own).unique()
    before = [c for c in since if all(c.seq < mine.seq for mine in own)]
    asked = pa.concat_arrays([_contents(lake, since), tonight]).unique()
    open_ = asked.filter(pc.invert(pc.is_in(asked, value_set=_fingerprinted(lake, asked, everything=not through))))
    if before and not pc.any(pc.is_in(_contents(lake, before), value_set=open_)).as_py():
        newest = max(c.seq for c in before)
        meta = {"through": newest, "algorithm_version": algorithm_version()}
        key = f"{newest}-{hashlib.sha256(algorithm_version().encode()).hexdigest()[:12]}"
        lake.commit(DONE, key, {}, run_id=night.run_id, meta=meta)
    return tonight, open_


def done_through(lake: Lake) -> int:
    """The commit up to which every content has a fingerprint of the present version; 0 where that is not known. After an erasure it
    is not: what it took away may be held by others."""
    newest = lake.newest(DONE)
    if not newest or newest[0].meta["algorithm_version"] != algorithm_version():
        return 0
    return 0 if lake.commits(erasing.STAGE, after=newest[0].seq) else int(newest[0].meta["through"])


def _contents(lake: Lake, commits: Sequence[Commit]) -> pa.Array:
    """The contents that are present in what some commits brought, each as often as it is there."""
    media = lake.read("media_files", ["sha256", "state"], commits=commits)
    present = media.filter(pc.and_(pc.equal(media["state"], "present"), pc.is_valid(media["sha256"])))
    return present["sha256"].combine_chunks()


def _fingerprinted(lake: Lake, asked: pa.Array, *, everything: bool) -> pa.Array:
    """Those of the contents that have a row of the present version; hashes of another version are made anew. With `everything` all
    rows are read, which costs less than looking up as many."""
    where = None if everything else ("sha256", asked)
    rows = lake.read("fingerprints", ["sha256", "algorithm_version"], where=where)
    return rows.filter(pc.equal(rows["algorithm_version"], algorithm_version()))["sha256"].combine_chunks()
