"""The stage: what is planned, what is not decoded again, what a killed run leaves, and that nothing depends on chance."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import algorithms as registry
from pipeline import contract as nights
from pipeline import records
from pipeline.contract import Night
from pipeline.errors import UsageError
from pipeline.fingerprint import stage
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import FAULTY, settings_with

AS_OF = datetime(2026, 11, 21, 20, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose stage uses the test's decoder: no decoding libraries have to be loaded."""
    monkeypatch.setattr(stage, "Pool", lambda s: Pool(s, decoder=FAULTY))
    monkeypatch.setattr(stage, "_release", lambda _: None)
    return replace(settings_with(tmp_path, wall_seconds=30), shard_files=10)


def taken_in(settings: Settings, files: dict[str, bytes], night: Night, **lies: bytes) -> None:
    """What ingest would have written for these files; `lies` replace the SHA-256 of a file (by name without suffix)."""
    rows: list[dict[str, Any]] = []
    for number, (name, content) in enumerate(files.items()):
        container, _, member = name.partition("!/")
        path = settings.landing_dir / container
        path.parent.mkdir(parents=True, exist_ok=True)
        if member:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(member, content)
        else:
            path.write_bytes(content)
        digest = hashlib.sha256(content).digest()
        rows.append(media_row(f"{night.run_id}-{number}", name, lies.get(Path(name).stem, digest), len(content)))
    key = f"{night.run_id}-{hashlib.sha256(repr(sorted(files)).encode()).hexdigest()[:8]}"
    Lake(settings.lake_dir).commit(
        "ingest", key, {"media_files": records.build("media_files", rows)}, run_id=night.run_id
    )


def media_row(
    file_id: str, locator: str | None, sha256: bytes | None, size: int, state: str = "present"
) -> dict[str, Any]:
    return {
        "file_id": file_id,
        "referral_id": "R-1",
        "package_id": "P-1",
        "locator": locator,
        "state": state,
        "sha256": sha256,
        "size": size,
        "viewed_by_provider": "unknown",
        "publicly_available": "unknown",
        "annotations": [],
    }


def night_of(settings: Settings, name: str = "night-1") -> Night:
    return nights.start(settings, name, AS_OF)


def rows(settings: Settings, table: str = "fingerprints") -> pa.Table:
    return Lake(settings.lake_dir).read(table)


def files(number: int, start: int = 0) -> dict[str, bytes]:
    return {f"nca/p/{n:04}.bin": f"content {n}".encode() for n in range(start, start + number)}


def test_every_content_once(place: Settings) -> None:
    night = night_of(place)
    same = {"nca/p/copy.bin": b"content 3", "nca/q.zip!/m/again.bin": b"content 3", "nca/q.zip!/m/own.bin": b"member"}
    taken_in(place, {**files(25), **same}, night)
    shards = stage.plan(place, night)
    assert len(shards) == 3
    assert shards == stage.plan(place, night), "planning twice changes nothing"
    reports = [stage.run(place, night, shard) for shard in shards]
    assert stage.plan(place, night) == []
    assert sum(r.read for r in reports) == 26
    assert all(r.balanced for r in reports)
    found = rows(place)
    assert sorted(found["sha256"].to_pylist()) == sorted(
        {hashlib.sha256(c).digest() for c in {**files(25), **same}.values()}
    )
    assert set(found["state"].to_pylist()) == {"hashed"}
    assert found["md5"].null_count == 0
    assert set(found["run_id"].to_pylist()) == {"night-1"}


def test_shards_of_one_process_share_the_server_and_are_counted_apart(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    night, servers = night_of(place), []
    taken_in(place, files(25), night)
    start = Pool._start_server
    monkeypatch.setattr(Pool, "_start_server", lambda pool: servers.append(1) or start(pool))  # type: ignore[func-returns-value]
    with stage.together(place) as run:
        reports = [run(place, night, shard) for shard in stage.plan(place, night)]
    assert len(servers) == 1 and [r.kept for r in reports] == [10, 10, 5]
    assert reports[0].cpu_seconds > reports[1].cpu_seconds  # the first one has paid for the server
    assert rows(place).num_rows == 25


def test_running_again_reports_the_same(place: Settings) -> None:
    night = night_of(place)
    taken_in(place, files(5), night)
    (shard,) = stage.plan(place, night)
    first = stage.run(place, night, shard)
    assert stage.run(place, night, shard) == first
    assert rows(place).num_rows == 5


def test_whole_stage_without_a_shard(place: Settings) -> None:
    night = night_of(place)
    taken_in(place, files(25), night)
    report = stage.run(place, night)
    assert (report.read, report.kept, len(report.outputs)) == (25, 25, 3)
    again = stage.run(place, night)
    assert (again.read, again.kept) == (25, 25)
    assert rows(place).num_rows == 25


def test_unplanned_shard(place: Settings) -> None:
    with pytest.raises(UsageError, match="no shard"):
        stage.run(place, night_of(place), "nonsense")


def test_half_a_shard_file_of_a_killed_planner_is_no_shard(place: Settings) -> None:
    night = night_of(place)
    taken_in(place, files(5), night)
    shards = stage.plan(place, night)
    folder = nights.run_dir(place, night.run_id) / "fingerprint"
    (folder / ".tmp-1-0123456789abcdef01234567.json").write_bytes(b'{"contents": [')
    assert stage.plan(place, night) == shards
    assert stage.run(place, night).kept == 5


def test_earlier_night_is_not_decoded_again(place: Settings) -> None:
    first, second = night_of(place), night_of(place, "night-2")
    taken_in(place, files(8), first)
    stage.run(place, first)
    taken_in(
        place,
        {f"ucol/{n}": c for n, c in enumerate(files(12).values())}
        and {f"ucol/x/{n}.bin": c for n, c in enumerate(files(12).values())},
        second,
    )
    report = stage.run(place, second)
    assert (report.read, report.kept) == (12, 12)
    assert report.counts["saved_earlier_night"] == 8
    assert report.counts["hashed"] == 4
    assert rows(place).num_rows == 12


def test_another_version_is_hashed_anew(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of different versions are never compared, so the contents get hashes of the new one too."""
    night, later = night_of(place), night_of(place, "night-2")
    taken_in(place, files(3), night)
    stage.run(place, night)
    monkeypatch.setattr(registry, "CANONICAL", "canonical-next")
    report = stage.run(place, later)
    assert report.counts["hashed"] == 3
    assert len(set(rows(place)["algorithm_version"].to_pylist())) == 2


class Release:
    """Stands for a known-hash release that knows some contents by their MD5 only."""

    number = 7

    def __init__(self, known: set[bytes]) -> None:
        self.known = known

    def exact(self, queries: pa.Table) -> pa.Table:
        assert queries.schema.names == ["query_id", "algorithm", "value"]
        hits = [r for r in queries.to_pylist() if r["algorithm"] == "md5" and r["value"] in self.known]
        return pa.table({"query_id": pa.array([h["query_id"] for h in hits], pa.int64())})


def test_exact_first(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the release knows is not decoded: even a file that would kill the decoder is only digested."""
    night = night_of(place)
    content = {**files(6), "nca/p/bad.bin": b"FAULT:segv", "nca/p/worse.bin": b"FAULT:abort"}
    known = {hashlib.md5(content[name], usedforsecurity=False).digest() for name in ("nca/p/bad.bin", "nca/p/0002.bin")}
    monkeypatch.setattr(stage, "_release", lambda _: Release(known))
    taken_in(place, content, night)
    report = stage.run(place, night)
    assert report.counts["saved_known_exact"] == 2
    assert report.rejected == {"crashed": 1}
    assert report.counts["workers_died"] == 2
    found = rows(place)
    known_rows = found.filter(pc.equal(found["reason"], "known_exact"))
    assert known_rows["state"].to_pylist() == ["digests_only"] * 2
    assert known_rows["pdq"].null_count == 2
    assert found["sha1"].null_count == 0, "the digests of the first read are kept"
    assert set(known_rows["md5"].to_pylist()) == known


def test_failures_are_rows(place: Settings) -> None:
    night = night_of(place)
    content = {
        **files(3),
        "nca/p/dies.bin": b"FAULT:exit",
        "nca/p/gone.bin": b"soon gone",
        "nca/p/other.bin": b"was another",
    }
    taken_in(place, content, night, other=bytes(32))
    (place.landing_dir / "nca/p/gone.bin").unlink()
    report = stage.run(place, night)
    assert report.rejected == {"changed": 1, "exited": 1, "missing": 1}
    assert (report.read, report.kept) == (6, 3)
    found = rows(place)
    states = {r["reason"]: r for r in found.to_pylist() if r["reason"]}
    assert states["missing"]["size"] == 9
    assert states["missing"]["md5"] is None
    assert states["changed"]["sha256"] == bytes(32)
    assert states["exited"]["md5"] == hashlib.md5(b"FAULT:exit", usedforsecurity=False).digest()
    assert set(found["state"].to_pylist()) == {"hashed", "rejected"}


def test_content_is_read_where_it_still_lies(place: Settings) -> None:
    """Its first place is gone or altered: the next is tried."""
    night = night_of(place)
    taken_in(place, {"nca/a.bin": b"twice", "nca/b.bin": b"twice", "ucol/c.zip!/x": b"twice"}, night)
    (place.landing_dir / "nca/a.bin").unlink()
    (place.landing_dir / "nca/b.bin").write_bytes(b"altered")
    assert stage.run(place, night).rejected == {}
    assert rows(place)["state"].to_pylist() == ["hashed"]


def test_media_that_is_not_there_is_not_asked_for(place: Settings) -> None:
    night = night_of(place)
    described = [media_row("f1", None, None, 0, "hash_only"), media_row("f2", "nca/x", None, 0, "unreadable")]
    nowhere = [media_row("f3", None, b"\1" * 32, 5)]
    table = records.build("media_files", described + nowhere)
    Lake(place.lake_dir).commit("ingest", "k", {"media_files": table}, run_id=night.run_id)
    report = stage.run(place, night)
    assert (report.read, report.rejected) == (1, {"missing": 1})


def test_same_rows_whatever_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    for workers in (1, 3):
        monkeypatch.setattr(stage, "Pool", lambda s, n=workers: Pool(s, decoder=FAULTY, workers=n))
        monkeypatch.setattr(stage, "_release", lambda _: None)
        settings = replace(settings_with(tmp_path / str(workers)), shard_files=15)
        night = night_of(settings)
        taken_in(settings, {**files(40), "nca/p/bad.bin": b"FAULT:segv"}, night)
        stage.run(settings, night)
        tables.append(rows(settings))
    assert tables[0].equals(tables[1])


KILLED = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from pipeline import contract as nights
from pipeline.fingerprint import stage
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import Settings
folder = Path(sys.argv[1])
settings = Settings(home=folder / "home", landing=folder / "landing", policy=folder / "policy", threads=1, shard_files=0)
stage.Pool = lambda s: Pool(s, decoder="tests.pipeline.fingerprint.sandbox.faulty:decode")
stage.run(settings, nights.load(settings, "night-1"))
"""


def test_killed_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL in the middle of a shard: what was done is taken from the journal, and the rows are those of a whole run."""
    from pipeline.settings import ROOT

    monkeypatch.setattr(stage, "Pool", lambda s: Pool(s, decoder=FAULTY, workers=1))
    settings = replace(settings_with(tmp_path / "a", wall_seconds=60), shard_files=0)
    whole = replace(settings_with(tmp_path / "b", wall_seconds=60), shard_files=0)
    content = {**files(300), "nca/p/0299-stops.bin": b"FAULT:sleep"}
    for one in (settings, whole):
        taken_in(one, content, night_of(one))
    journal = settings.home / "runs" / "night-1" / "fingerprint"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "a")], cwd=ROOT, start_new_session=True)
    try:
        until = time.monotonic() + 600  # a busy machine takes its time
        while process.poll() is None and not any(_lines(p) > 250 for p in journal.glob("*.journal")):
            assert time.monotonic() < until, "the run does not come to its last files"
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for one in (settings, whole):  # the file that never ends is replaced by one that does
        (one.landing_dir / "nca/p/0299-stops.bin").write_bytes(b"altered")
    report = stage.run(settings, night_of(settings))
    other = stage.run(whole, night_of(whole))
    assert report.counts["resumed"] >= 250
    assert other.counts["resumed"] == 0
    assert rows(settings).equals(rows(whole))
    assert not list(journal.glob("*.journal"))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def test_real_media(real_settings: Settings, real_pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the product's decoder: every table gets its rows."""
    monkeypatch.setattr(Pool, "close", lambda _: None)
    monkeypatch.setattr(stage, "Pool", lambda _: real_pool)
    monkeypatch.setattr(stage, "_release", lambda _: None)
    settings = replace(real_settings, home=tmp_path / "home")
    night = night_of(settings)
    media = {**samples.stills(), **samples.videos()}
    taken_in(settings, {f"stage/{name}": data for name, data in media.items()}, night)
    report = stage.run(settings, night)
    assert report.balanced
    assert report.kept == len(media)
    assert report.counts["variants"] > 30 * 20
    found = rows(settings)
    assert found.num_rows == len(media)
    assert found["phash256"].null_count == len(samples.videos())
    assert rows(settings, "variants")["variant"].null_count == 0
    frames = rows(settings, "video_frames")
    assert len(set(frames["sha256"].to_pylist())) >= len(samples.videos()) + 4
    assert orjson.dumps(report.as_dict())
