"""What the verification of a built release notices."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hashsets.release import assembly, grading, releases
from hashsets.release.tables import connect_build
from pipeline.errors import ReconciliationError, TriageError
from pipeline.settings import Settings
from tests.hashsets import samples


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("INSERT INTO media SELECT * FROM media WHERE media_key = 5", "1 media keys are repeated"),
        ("UPDATE media SET grade = NULL WHERE media_key = 7", "1 media have no grade"),
        ("UPDATE opinion SET media_key = 99 WHERE media_key = 2", "1 rows are about no media"),
        ("UPDATE opinion SET source_id = 'x' WHERE media_key = 2", "1 opinions have no source"),
        ("INSERT INTO opinion SELECT * FROM opinion WHERE media_key = 3", "1 opinions of one source stand twice"),
        ("UPDATE hash_md5 SET media_key = 77 WHERE media_key = 1", "1 rows are about no media"),
        ("DELETE FROM media WHERE media_key = 4", "1 opinions have no media"),
        ("DELETE FROM hash_md5 WHERE media_key < 0", "0 of 8 canaries"),
    ],
)
def test_a_fault_in_a_built_database_is_found(
    fault: str, message: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "SLICE", 3)
    release = samples.give(settings, tmp_path, "project_vic", [samples.media(i) for i in range(10)])
    database = tmp_path / "copy.duckdb"
    shutil.copy(release.folder / releases.DATABASE, database)
    con = connect_build(database, settings, tmp_path / "spill")
    con.execute(fault)
    counts = assembly._counts(con)
    con.close()
    with pytest.raises(TriageError, match=message):
        assembly._verify(settings, database, counts)


def test_counts_that_differ_are_found(tmp_path: Path, settings: Settings) -> None:
    release = samples.give(settings, tmp_path, "project_vic", [samples.media(1)])
    with pytest.raises(ReconciliationError, match="does not hold the rows"):
        assembly._verify(settings, release.folder / releases.DATABASE, {"media": 2})
