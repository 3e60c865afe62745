"""A store of before is brought to the tables of this version, and read without what it lacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from hashsets.release import canaries, manifest, releases
from hashsets.release.tables import SCHEMA, connect_build, connect_read_only, scalar, upgrade
from pipeline.errors import DependencyError
from pipeline.settings import Settings
from tests.hashsets import samples


@pytest.fixture
def before(tmp_path: Path, settings: Settings) -> Path:
    """The database of a release as a version wrote it that knew neither MD5 nor `opinion.mime`, and had no number."""
    release = samples.give(settings, tmp_path, "project_vic", [samples.media(i) for i in range(3)])
    database = tmp_path / "before.duckdb"
    shutil.copy(release.folder / releases.DATABASE, database)
    con = connect_build(database, settings, tmp_path / "spill")
    con.execute("DROP TABLE hash_md5")
    con.execute("DROP TABLE store_schema")
    con.execute("ALTER TABLE opinion DROP COLUMN mime")
    con.close()
    return database


def planted(con: duckdb.DuckDBPyConnection) -> list[int]:
    return sorted(row[0] for row in con.execute("SELECT media_key FROM hash_md5").fetchall())


def test_an_older_store_gets_the_tables_columns_and_canaries_of_this_version(
    before: Path, tmp_path: Path, settings: Settings
) -> None:
    con = connect_build(before, settings, tmp_path / "spill")
    rows = scalar(con, "SELECT count(*) FROM opinion")
    assert upgrade(con) == ["hash_md5", "opinion.mime", "store_schema"]
    assert planted(con) == sorted(canaries.KEYS)
    assert scalar(con, "SELECT count(*) FROM opinion WHERE mime IS NULL") == rows > 0
    assert scalar(con, "SELECT number FROM store_schema") == SCHEMA
    assert upgrade(con) == []
    con.close()


def test_an_older_store_is_read_as_knowing_nothing_by_a_further_algorithm(before: Path, settings: Settings) -> None:
    con = connect_read_only(before, settings)
    assert planted(con) == sorted(canaries.KEYS)
    with pytest.raises(duckdb.Error, match="read-only"):
        con.execute("DELETE FROM hash_sha1")
    con.close()


def test_a_store_of_a_later_version_is_refused(before: Path, tmp_path: Path, settings: Settings) -> None:
    con = connect_build(before, settings, tmp_path / "spill")
    upgrade(con)
    con.execute("UPDATE store_schema SET number = ?", [SCHEMA + 1])
    with pytest.raises(DependencyError, match=f"has schema {SCHEMA + 1}, this version knows {SCHEMA}"):
        upgrade(con)
    con.close()


def test_the_next_release_is_built_on_an_older_store(
    before: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_: None)  # the changed database stands for one published as it is
    first = releases.current(settings)
    database = first.folder / releases.DATABASE
    database.chmod(0o600)
    shutil.copy(before, database)
    second = samples.give(settings, tmp_path, "project_vic", [samples.media(i) for i in range(3, 6)])
    con = second.connect()
    assert scalar(con, "SELECT count(DISTINCT media_key) FROM hash_md5 WHERE media_key >= 0") == 3
    assert scalar(con, "SELECT count(*) FROM media") == 6
    con.close()


def test_a_release_is_read_by_several_at_once_and_none_can_change_how(tmp_path: Path, settings: Settings) -> None:
    release = samples.give(settings, tmp_path, "project_vic", [samples.media(1)])
    first, second = release.connect(), release.connect()
    for con in (first, second):
        assert con.execute("SELECT '2026-07-01 00:00:00+00'::TIMESTAMPTZ::VARCHAR").fetchall() == [
            ("2026-07-01 00:00:00+00",)
        ]
        for statement in ("SET TimeZone = 'Europe/London'", "SET threads = 2", "COPY (SELECT 1) TO 'out.csv'"):
            with pytest.raises(duckdb.Error, match=r"locked|disabled"):
                con.execute(statement)
    first.close()
    assert scalar(second, "SELECT count(*) FROM media") == 1
    second.close()
