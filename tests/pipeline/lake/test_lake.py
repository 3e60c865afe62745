"""The lake: published whole or not at all, wherever the writer dies, and never read when a bit differs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import files, records
from pipeline.errors import IntegrityError, TriageError
from pipeline.export.sql import parts
from pipeline.lake import Lake


def variants(count: int = 3, start: int = 0):
    return records.build(
        "variants",
        [
            {
                "sha256": bytes([i]) * 32,
                "variant": "mirror",
                "pdq": bytes([i + 1]) * 32,
                "quality": i,
                "algorithm_version": "1",
            }
            for i in range(start, start + count)
        ],
    )


def frames(count: int = 2):
    return records.build(
        "video_frames",
        [
            {
                "sha256": b"v" * 32,
                "frame": i,
                "seconds": float(i),
                "pdq": b"p" * 32,
                "quality": 90,
                "algorithm_version": "1",
            }
            for i in range(count)
        ],
    )


def test_a_commit_publishes_all_its_tables_at_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    commit = lake.commit("fingerprint", "a", {"variants": variants(), "video_frames": frames()}, run_id="n")
    assert {p.table: p.rows for p in commit.parts} == {"variants": 3, "video_frames": 2}
    assert lake.read("variants")["quality"].to_pylist() == [0, 1, 2]
    assert lake.read("variants", ["variant"]).column_names == ["variant"]


def test_an_empty_table_has_no_part_and_reads_as_empty(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.commit("fingerprint", "a", {"variants": records.empty("variants")}, run_id="n").parts == ()
    assert lake.committed("fingerprint", "a")
    assert lake.read("variants").num_rows == 0


def test_the_same_work_again_changes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = lake.commit("fingerprint", "a", {"variants": variants()}, run_id="n")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert lake.commit("fingerprint", "a", {"variants": variants(5)}, run_id="m") == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    one = Lake(tmp_path / "1").commit("f", "a", {"variants": variants(50)}, run_id="n")
    two = Lake(tmp_path / "2").commit("f", "a", {"variants": variants(50)}, run_id="n")
    assert one.parts[0].sha256 == two.parts[0].sha256


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="do not have that record's columns"):
        Lake(tmp_path).commit("f", "a", {"variants": frames()}, run_id="n")


@pytest.mark.parametrize("word", ["", "../up", ".hidden", "a/b", "a b"])
def test_unsafe_names_are_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(TriageError, match="cannot name"):
        Lake(tmp_path).commit("f", word, {}, run_id="n")


def test_older_parts_read_with_columns_that_came_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    full = records.arrow_schema("variants")
    old = full.remove(full.get_field_index("quality"))
    rows = variants().drop_columns("quality").cast(old)
    monkeypatch.setattr(records, "arrow_schema", lambda table: old)
    lake.commit("f", "a", {"variants": rows}, run_id="n")
    monkeypatch.undo()
    assert lake.read("variants")["quality"].to_pylist() == [None, None, None]
    assert lake.read("variants", ["sha256", "quality"])["quality"].to_pylist() == [None, None, None]
    lake.commit("f", "b", {"variants": variants(2)}, run_id="n")
    lake.merge("n")
    assert sorted(lake.read("variants", ["quality"])["quality"].to_pylist(), key=str) == [0, 1, None, None, None]


def test_a_part_written_under_a_former_name_reads_under_todays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`packages.landing_folder` was called `source`: an older part is read, searched, merged and queried all the same."""
    lake, now = Lake(tmp_path / "home" / "lake"), records.arrow_schema("packages")
    made = [records.build("packages", [package(f"{n}/p", n)]) for n in ("nca", "ucol", "ocag")]
    old = pa.schema([pa.field("source" if f.name == "landing_folder" else f.name, f.type, f.nullable) for f in now])
    monkeypatch.setattr(records, "arrow_schema", lambda table: old)
    lake.commit("ingest", "a", {"packages": made[0].rename_columns(old.names).cast(old)}, run_id="n")
    lake.commit("ingest", "b", {"packages": made[1].rename_columns(old.names).cast(old)}, run_id="n")
    lake.settle("n")
    monkeypatch.undo()
    lake.commit("ingest", "c", {"packages": made[2]}, run_id="n")

    def folders() -> list[str]:
        view = duckdb.connect()
        parts.register(view, "packages", lake.paths("packages"))
        assert view.table("packages").columns == now.names
        found = view.sql("SELECT landing_folder FROM packages ORDER BY landing_folder").fetchall()
        assert sorted(lake.read("packages", ["landing_folder"])["landing_folder"].to_pylist()) == [f for (f,) in found]
        return [f for (f,) in found]

    assert folders() == ["nca", "ocag", "ucol"]
    assert lake.read("packages", where=("landing_folder", pa.array(["nca"])))["container"].to_pylist() == ["nca/p"]
    for key in "defg":
        lake.commit("ingest", key, {"packages": made[2]}, run_id="n")
    assert lake.merge("n") == {"packages": 7}
    assert [p.merged for p in lake.parts("packages")] == [True] and folders() == ["nca", *["ocag"] * 5, "ucol"]
    assert "source" not in pq.read_schema(lake.paths("packages")[0]).names


def package(container: str, folder: str) -> dict[str, object]:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    return {
        "package_id": container, "landing_folder": folder, "container": container, "state": "accepted", "reasons": [],
        "first_seen": moment, "files": 0, "defects": 0, "run_id": "n",
    }  # fmt: skip


def test_every_flipped_bit_is_refused_before_use(tmp_path: Path) -> None:
    Lake(tmp_path).commit("f", "a", {"variants": variants(20)}, run_id="n")
    path = next(tmp_path.glob("variants/*.parquet"))
    sound = path.read_bytes()
    chance = random.Random(1)
    for _ in range(200):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="not what was written"):
            Lake(tmp_path).read("variants")
    path.write_bytes(sound)
    assert Lake(tmp_path).read("variants").num_rows == 20


def test_a_missing_part_and_a_damaged_commit_are_refused(tmp_path: Path) -> None:
    Lake(tmp_path).commit("f", "a", {"variants": variants()}, run_id="n")
    part = next(tmp_path.glob("variants/*.parquet"))
    content = part.read_bytes()
    part.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        Lake(tmp_path).read("variants")
    part.write_bytes(content)
    ledger = next(tmp_path.glob("commits/*.parquet"))
    sound = ledger.read_bytes()
    ledger.write_bytes(sound[:-1] + b"X")
    with pytest.raises(IntegrityError, match="not what was written"):
        Lake(tmp_path).read("variants")
    ledger.write_bytes(sound)
    log = sorted(tmp_path.glob("commits/_delta_log/*.json"))[-1]
    log.write_text(log.read_text()[:-40])
    with pytest.raises(IntegrityError, match="log of commits in the lake is damaged"):
        Lake(tmp_path).read("variants")


WRITERS = """
import json, os, signal, sys
from pathlib import Path
from tests.pipeline.lake.test_lake import variants, frames
from pipeline.lake import Lake

def write(root, wanted):
    count = 0
    def step(event, args):
        nonlocal count
        if event in {"open", "os.rename", "os.mkdir", "os.remove"} and str(args[0]).startswith(root):
            count += 1
            if count == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    Lake(Path(root)).commit("f", "a", {"variants": variants(), "video_frames": frames()}, run_id="n")

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(*json.loads(line))
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Forks a writer for each line: its lake, and before which file operation it is killed. It opens no lake itself, and its imports,
which take ten times what a writer does, are made once."""


def test_killed_at_every_file_operation_it_is_all_or_nothing(tmp_path: Path) -> None:
    """A writer is killed before its 1st, 2nd, ... file operation; a repeated writer then finishes the work."""
    finished = False
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", WRITERS]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writers:
        assert writers.stdin is not None and writers.stdout is not None
        for wanted in range(1, 60):
            root = tmp_path / str(wanted)
            root.mkdir()
            writers.stdin.write(json.dumps([str(root), wanted]) + "\n")
            writers.stdin.flush()
            ended = int(writers.stdout.readline())
            lake = Lake(root)
            rows = (lake.read("variants").num_rows, lake.read("video_frames").num_rows)
            assert rows in {(0, 0), (3, 2)}, wanted
            if ended == 0:
                finished = True
                break
            assert ended == -signal.SIGKILL
            lake.commit("f", "a", {"variants": variants(), "video_frames": frames()}, run_id="n")
            assert lake.read("variants")["quality"].to_pylist() == [0, 1, 2]
            lake.sweep()
            assert len(list(root.glob("variants/*.parquet"))) == 1
            assert not [p for p in root.rglob("*") if p.name.startswith(files.TEMPORARY)]
            assert lake.verify() == 2
    assert finished and wanted > 6


def test_sweep_removes_what_no_commit_names_and_nothing_else(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.commit("f", "a", {"variants": variants()}, run_id="n")
    orphan = tmp_path / "variants" / "f-b.parquet"
    orphan.write_bytes(b"left behind")
    (tmp_path / "variants" / f"{files.TEMPORARY}999999999-x").write_bytes(b"half")
    own = tmp_path / "variants" / f"{files.TEMPORARY}{os.getpid()}-y"
    own.write_bytes(b"being written")
    assert lake.sweep() == 2
    assert own.exists() and not orphan.exists()
    assert lake.read("variants").num_rows == 3


def test_rows_are_found_by_their_key_in_every_kind_of_part(tmp_path: Path) -> None:
    import pyarrow as pa

    lake = Lake(tmp_path)
    for n in range(8):
        lake.commit("f", f"k{n}", {"variants": variants(3, 3 * n)}, run_id="n")
    wanted = ("sha256", pa.array([bytes([i]) * 32 for i in (2, 10, 23, 99)], pa.binary(32)))
    for _ in range(2):  # as published, then merged
        assert sorted(lake.read("variants", ["quality"], where=wanted)["quality"].to_pylist()) == [2, 10, 23]
        chosen = lake.named("f", ["k0", "k3"])
        assert sorted(lake.read("variants", commits=chosen, where=wanted)["quality"].to_pylist()) == [2, 10]
        assert lake.read("variants", where=("sha256", pa.array([], pa.binary(32)))).num_rows == 0
        lake.merge("n")
