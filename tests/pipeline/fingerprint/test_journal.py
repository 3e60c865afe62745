"""The journal keeps what a killed run found, and nothing that is torn, damaged or of other conditions."""

from __future__ import annotations

from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.fingerprint.journal import Journal
from pipeline.fingerprint.rows import ContentRows

HERE = {"version": 1}


def written(path: Path, number: int) -> bytes:
    path.unlink(missing_ok=True)
    with Journal(path, HERE) as journal:
        for n in range(number):
            journal.add(f"key {n}", {"value": n})
    return path.read_bytes()


def test_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "j"
    written(path, 3)
    with Journal(path, HERE) as journal:
        assert journal.taken_over == {f"key {n}": {"value": n} for n in range(3)}
        journal.add("key 3", {"value": 3})
    with Journal(path, HERE) as journal:
        assert len(journal.taken_over) == 4
        journal.remove()
    assert not path.exists()


def test_other_conditions(tmp_path: Path) -> None:
    written(tmp_path / "j", 3)
    with Journal(tmp_path / "j", {"version": 2}) as journal:
        assert journal.taken_over == {}
    with Journal(tmp_path / "j", HERE) as journal:
        assert journal.taken_over == {}, "it now belongs to the other conditions"


@given(cut=st.integers(0, 400), flip=st.integers(0, 399))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_damage(tmp_path: Path, cut: int, flip: int) -> None:
    """Whatever is cut off or flipped: what is taken over was written, in order from the start."""
    path = tmp_path / "j"
    raw = bytearray(written(path, 8))[:cut]
    if flip < len(raw):
        raw[flip] ^= 4
    path.write_bytes(raw)
    with Journal(path, HERE) as journal:
        taken = journal.taken_over
        assert taken == {f"key {n}": {"value": n} for n in range(len(taken))}
        journal.add("next", 1)
    with Journal(path, HERE) as journal:
        assert journal.taken_over == {**taken, "next": 1}


def test_rows_survive() -> None:
    version = {"sha256": b"\1" * 32, "algorithm_version": "v"}
    rows = ContentRows(
        {**version, "state": "hashed", "reason": None, "exif": {"make": "pdq"}, "md5": None, "size": 3},
        [{**version, "variant": "mirrored", "pdq": b"\2" * 32, "quality": 5}],
        [{**version, "frame": 25, "seconds": 1.04, "pdq": b"\3" * 32, "quality": 6}],
    )
    assert ContentRows.from_json(orjson.loads(orjson.dumps(rows.as_json()))) == rows
