"""A lake of the version before: refused with what to do, brought over whole, wherever the command is killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.lake import Lake, old
from tests.pipeline.lake.test_lake import frames, variants


def written_before(root: Path) -> None:
    """Three commits as the version before wrote them."""
    for n, key in enumerate(("c", "a", "b")):
        parts = []
        for table, data in (("variants", variants(2, n)), ("video_frames", frames(1))):
            path = root / table / f"fingerprint-{key}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(data, path, compression="zstd")
            parts.append({"table": table, "file": path.name, "rows": data.num_rows, "sha256": files.sha256(path)})
        commit = {"format": 1, "stage": "fingerprint", "key": key, "run_id": "n", "meta": {"number": n}, "parts": parts}
        files.write_json(root / "commits" / "fingerprint" / f"{key}.json", commit)


def test_it_is_refused_until_it_is_brought_over(tmp_path: Path) -> None:
    written_before(tmp_path)
    with pytest.raises(UsageError, match="triage lake migrate"):
        Lake(tmp_path)
    assert old.migrate(tmp_path) == 3
    lake = Lake(tmp_path)
    assert sorted(lake.read("variants")["quality"].to_pylist()) == [0, 1, 1, 2, 2, 3]
    assert lake.read("video_frames").num_rows == 3
    assert [(c.key, c.meta, c.run_id) for c in lake.commits("fingerprint")] == [
        ("a", {"number": 1}, "n"), ("b", {"number": 2}, "n"), ("c", {"number": 0}, "n"),
    ]  # fmt: skip
    assert [c.key for c in sorted(lake.commits(), key=lambda c: c.seq)] == ["c", "a", "b"]
    assert old.migrate(tmp_path) == 0
    assert lake.verify() == 6 and lake.sweep() == 0
    assert not list(tmp_path.glob("commits/fingerprint"))


def test_killed_anywhere_it_is_finished_by_a_second_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_before(tmp_path / "sound")
    steps = [(old.os, "link"), (Lake, "publish_all"), (Lake, "settle"), (old.shutil, "rmtree")]
    for number, (owner, name) in enumerate(steps):
        root = tmp_path / str(number)
        shutil.copytree(tmp_path / "sound", root)
        original, calls = getattr(owner, name), []

        def dies(
            *arguments: object, calls: list[object] = calls, original: object = original, **named: object
        ) -> object:
            calls.append(arguments)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return original(*arguments, **named)  # type: ignore[operator]

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dies)
            with pytest.raises(KeyboardInterrupt):
                old.migrate(root)
        with pytest.raises(UsageError, match="triage lake migrate"):
            Lake(root)
        old.migrate(root)
        lake = Lake(root)
        assert (lake.read("variants").num_rows, lake.read("video_frames").num_rows, len(lake.commits())) == (6, 3, 3)


def test_a_damaged_part_or_commit_is_not_brought_over(tmp_path: Path) -> None:
    written_before(tmp_path)
    part = tmp_path / "variants" / "fingerprint-a.parquet"
    sound = part.read_bytes()
    part.write_bytes(sound[:-1] + b"X")
    with pytest.raises(IntegrityError, match="not what was written"):
        old.migrate(tmp_path)
    part.write_bytes(sound)
    commit = tmp_path / "commits" / "fingerprint" / "a.json"
    text = commit.read_text()
    commit.write_text(json.dumps({**json.loads(text), "format": 9}))
    with pytest.raises(IntegrityError, match="format 9"):
        old.migrate(tmp_path)
    commit.write_text(text)
    assert old.migrate(tmp_path) == 3
