"""`triage index` and `triage match`, from files to rows and exit codes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipeline.errors import InputError, IntegrityError, UsageError
from pipeline.matching import core
from pipeline.matching.cli import index, match
from pipeline.matching.core.compiled.jit import JIT
from pipeline.settings import Settings
from tests.pipeline.matching import synthetic_night
from tests.pipeline.matching.core.support import build, flipped, random_hashes


def call(settings: Settings, command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(a) for a in arguments], obj=settings)  # type: ignore[arg-type]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(result: Result) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path / "pdq", random_hashes(10, 32, 1))
    return tmp_path / "pdq"


def test_inspect_verify_and_compact(settings: Settings, folder: Path, tmp_path: Path) -> None:
    core.extend_index(folder, tmp_path / "next", [(np.array([50]), random_hashes(1, 32, 2))], [3], release="8")
    shown = rows(call(settings, index, "inspect", tmp_path / "next"))
    assert [(r["index"], r["rows"], r["withdrawn"]) for r in shown] == [
        ("segment-0000", 9, 1),
        ("segment-0001", 1, 0),
        ("next", 10, 1),
    ]
    verified = rows(call(settings, index, "verify", tmp_path / "next"))[0]
    assert verified["canary_pairs_found"] == 3 * 192 and verified["bytes_read"] == verified["bytes"]
    compacted = rows(call(settings, index, "compact", tmp_path / "next", tmp_path / "whole"))[0]
    assert (compacted["rows"], compacted["withdrawn"], compacted["canaries"]) == (10, 0, 16)


@pytest.mark.skipif(not JIT, reason="finds groups among many hashes")
def test_inspect_says_how_many_hashes_are_in_groups(settings: Settings, tmp_path: Path) -> None:
    near = random_hashes(1, 32, 5).repeat(200, axis=0)
    near[np.arange(200), np.arange(200) % 32] ^= np.uint8(1) << (np.arange(200) // 32).astype(np.uint8)
    build(tmp_path / "near", np.concatenate([random_hashes(300, 32, 6), near]))
    [segment, whole] = rows(call(settings, index, "inspect", tmp_path / "near"))
    assert segment["grouped"] == whole["grouped"] == 200
    assert (segment["rows"], segment["canaries"]) == (500, 24)


def test_verify_refuses_an_altered_index(settings: Settings, folder: Path) -> None:
    path = folder / "segment-0000" / "ids.u8"
    path.write_bytes(bytes([255]) + path.read_bytes()[1:])
    with pytest.raises(IntegrityError, match="altered"):
        call(settings, index, "verify", folder)


def test_build_and_match_need_a_release(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no known-hash release"):
        call(settings, index, "build", tmp_path / "new")
    with pytest.raises(UsageError, match="no known-hash release"):
        call(settings, match, tmp_path / "hashes.csv")


def test_match_a_csv_with_unusable_rows(settings: Settings, folder: Path, tmp_path: Path) -> None:
    known = random_hashes(10, 32, 1)
    near = flipped(known[4], range(31)).tobytes().hex()
    (tmp_path / "q.csv").write_text(f"id,hash\n7,{near}\n8,zz\n9,\nx,{near}\n10,{known[2].tobytes().hex()}\n")
    out = tmp_path / "pairs.csv"
    result = call(settings, match, tmp_path / "q.csv", "--index", folder, "--out", out)
    with out.open() as file:
        found = [(int(r["query_id"]), int(r["known_id"]), int(r["distance"])) for r in csv.DictReader(file)]
    assert found == [(7, 4, 31), (10, 2, 0)]
    assert [line.split(" left")[0] for line in result.stderr.splitlines()[:3]] == ["row 1", "row 2", "row 3"]
    assert "2 hashes against 10: 2 pairs, 2 kept, 3 rows left out; radius 31" in result.stderr
    assert "s of compiling" in result.stderr
    nearer = call(settings, match, tmp_path / "q.csv", "--index", folder, "--radius", 30, "--format", "jsonl")
    assert rows(nearer) == [{"query_id": 10, "known_id": 2, "distance": 0, "algorithm": "pdq"}]


def test_match_a_parquet_file_of_binary_hashes(settings: Settings, folder: Path, tmp_path: Path) -> None:
    values = [h.tobytes() for h in random_hashes(10, 32, 1)[:3]]
    pq.write_table(pa.table({"hash": pa.array(values, pa.binary(32))}), tmp_path / "q.parquet")
    out = tmp_path / "pairs.parquet"
    call(settings, match, tmp_path / "q.parquet", "--index", folder, "--cap", 1, "--out", out)
    assert pq.read_table(out)["known_id"].to_pylist() == [0, 1, 2]


def test_files_that_are_no_hash_files(settings: Settings, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\n1\n")
    (tmp_path / "b.parquet").write_text("no")
    for name, message in (("a.csv", "no column `hash`"), ("b.parquet", "cannot be read"), ("c.csv", "does not exist")):
        with pytest.raises(InputError, match=message):
            call(settings, match, tmp_path / name, "--index", folder)
    result = call(settings, match, tmp_path / "a.csv", "--index", folder, "--algorithm", "phash64")
    assert result.exit_code == 2 and "holds pdq" in result.stderr


def test_build_from_a_release_and_match_against_it(settings: Settings, tmp_path: Path) -> None:
    items = [synthetic_night.known(number) for number in range(5)]
    number = synthetic_night.publish(settings, "first", items)
    built = rows(call(settings, index, "build", tmp_path / "own", "--release", number))[0]
    assert (built["rows"], built["algorithm"], built["release"]) == (5, "pdq", str(number))
    assert {"seconds", "compile_seconds"} <= set(built)
    with pytest.raises(UsageError, match=r"no index for dhash64. It has: pdq"):
        call(settings, index, "build", tmp_path / "other", "--algorithm", "dhash64")
    verified = rows(call(settings, index, "verify"))
    assert [(r["algorithm"], r["release"], r["rows"]) for r in verified] == [("pdq", str(number), 5)]
    assert rows(call(settings, index, "verify", "--release", number)) == verified
    near = synthetic_night.flipped(items[3].pdq, 30)
    (tmp_path / "q.csv").write_text(f"hash\n{near.hex()}\n")
    own = rows(call(settings, match, tmp_path / "q.csv", "--index", tmp_path / "own", "--format", "jsonl"))
    released = rows(call(settings, match, tmp_path / "q.csv", "--release", number, "--format", "jsonl"))
    assert own == released and [(r["query_id"], r["distance"]) for r in own] == [(0, 30)]
    damaged = next((settings.releases_dir / str(number) / "index" / "pdq").rglob("*.i64"))
    damaged.write_bytes(bytes([255]) + damaged.read_bytes()[1:])
    with pytest.raises(IntegrityError, match=re.escape(f"{damaged} is not what was published with release {number}")):
        call(settings, index, "verify")
