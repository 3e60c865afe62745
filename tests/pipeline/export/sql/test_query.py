"""`triage query`: what a statement can read, and everything that it cannot do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import records
from pipeline.errors import TriageError, UsageError
from pipeline.export.sql import query, query_child
from pipeline.export.sql.query import Limits, ViewSource

CASES = pa.table(
    {
        "case_id": ["C-1", "C-2", "C-3"],
        "seen": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", tz="UTC")),
    }
)
SMALL = Limits(rows=10, memory_mb=512, seconds=10)


@pytest.fixture
def source(tmp_path: Path) -> ViewSource:
    """A case table, a lake part and a release."""
    part = tmp_path / "defects.parquet"
    pq.write_table(
        records.build("defects", [{"package_id": "p", "field": "/a", "problem": "bad", "original": "x"}]), part
    )
    release = tmp_path / "release.duckdb"
    with duckdb.connect(str(release)) as connection:
        connection.execute("CREATE TABLE media AS SELECT range AS media_key FROM range(5)")
    return ViewSource({"defects": [str(part)]}, {"cases": CASES}, release)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT count(*) AS n FROM cases", [{"n": 3}]),
        ("SELECT problem FROM defects", [{"problem": "bad"}]),
        ("SELECT max(media_key) AS n FROM release.media", [{"n": 4}]),
        ("WITH x AS (SELECT 1 AS a) FROM x", [{"a": 1}]),
        ("SELECT date_trunc('month', seen)::TIMESTAMP = TIMESTAMP '2026-01-01' AS ok FROM cases LIMIT 1", [{"ok": True}]),
        ("SELECT unnest([1, 2]) AS a", [{"a": 1}, {"a": 2}]),
        ("SELECT a.range AS a FROM range(2) a", [{"a": 0}, {"a": 1}]),
    ],
)  # fmt: skip
def test_statements_that_are_answered(source: ViewSource, sql: str, rows: list[dict[str, object]]) -> None:
    assert query.run(sql, source, SMALL).table.to_pylist() == rows


def test_rows_over_the_limit_are_left_off_and_said_to_be(source: ViewSource) -> None:
    answer = query.run("SELECT * FROM range(11)", source, SMALL)
    assert answer.truncated
    assert answer.table.num_rows == 10
    assert not query.run("SELECT * FROM range(10)", source, SMALL).truncated


def probes(folder: Path) -> list[str]:
    """Statements that reach for files, the network, the configuration, extensions or writing."""
    path = folder / "secret.txt"
    path.write_text("secret")
    readers = [
        "read_text",
        "read_blob",
        "read_csv",
        "read_csv_auto",
        "read_json",
        "read_json_auto",
        "read_ndjson",
        "read_parquet",
        "parquet_scan",
        "parquet_metadata",
        "parquet_schema",
        "sniff_csv",
        "glob",
        "read_json_objects",
        "parquet_file_metadata",
        "parquet_kv_metadata",
        "parquet_bloom_probe",
    ]
    return [
        *(f"SELECT * FROM {name}('{path}')" for name in readers),
        *(f"SELECT * FROM (SELECT 1) x, LATERAL (SELECT * FROM {name}('/etc/passwd')) y" for name in readers[:4]),
        f"SELECT * FROM '{path}'", f"FROM '{folder}/*.csv'", "SELECT * FROM 'https://example.invalid/x.parquet'",
        f"SELECT * FROM read_text('{folder}/release.duckdb')", f"EXPLAIN ANALYZE SELECT * FROM read_text('{path}')",
        f"EXPLAIN SELECT * FROM read_blob('{path}')",
        f"COPY cases TO '{folder}/out.csv'", f"COPY (SELECT 1) TO '{folder}/out.parquet'", f"COPY cases FROM '{path}'",
        f"EXPORT DATABASE '{folder}/out'", f"IMPORT DATABASE '{folder}'", f"ATTACH '{folder}/other.db'", "ATTACH ':memory:' AS m", "DETACH release",
        "USE release", "INSTALL httpfs", "LOAD httpfs", "FORCE INSTALL sqlite", "UPDATE EXTENSIONS",
        "SET enable_external_access = true", "SET memory_limit = '64GB'", "SET threads = 64", "RESET memory_limit", "SET VARIABLE a = 1",
        "SET schema = 'release'", "PRAGMA database_list", "PRAGMA enable_profiling", f"PRAGMA profiling_output='{folder}/p'",
        "CALL duckdb_settings()", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_databases()", "SELECT * FROM pragma_database_list()",
        "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('cases')", "SELECT * FROM duckdb_logs()", "SELECT * FROM which_secret('s3://x', 's3')",
        "CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t AS SELECT 1", "CREATE VIEW v AS SELECT 1", "CREATE MACRO m() AS 1",
        "CREATE SECRET (TYPE s3)", "CREATE SEQUENCE s", "INSERT INTO release.media VALUES (9)", "DELETE FROM release.media", "UPDATE release.media SET media_key = 1",
        "DROP TABLE release.media", "ALTER TABLE release.media ADD COLUMN x INT", "BEGIN", "COMMIT", "CHECKPOINT", "VACUUM", "ANALYZE",
        "PREPARE p AS SELECT 1", "EXECUTE p", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE cases", "", ";", "--", "nonsense", "SELECT", "\x00", "SELECT '\x00",
        "SELECT getenv('HOME')", "SELECT * FROM test_all_types()", "PIVOT cases ON case_id USING count(*)", "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    ]  # fmt: skip


def test_every_probe_is_refused_and_leaves_nothing(source: ViewSource, tmp_path: Path) -> None:
    """In one locked connection: the child's own check and lock, without a process for each of a hundred probes."""
    parts = {name: list(paths) for name, paths in source.parts.items()}
    header = {"memory_mb": 512, "release": str(source.release), "parts": parts, "blank": {"defects": ["original"]}}
    tables = {name: query._ipc(table) for name, table in source.tables.items()}
    connection = query_child.locked(header, tables)
    statements = probes(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    passed = []
    for sql in statements:
        try:
            query_child.answer(connection, sql, 10)
        except (query_child.RefusedError, duckdb.Error):
            continue
        passed.append(sql[:80])
    connection.close()
    assert passed == []
    assert len(statements) > 80
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_blank_column_is_nowhere_in_the_connection(source: ViewSource) -> None:
    """Not under the view's own name, and not under any that DuckDB gives to what the view is made of."""
    parts = {name: list(paths) for name, paths in source.parts.items()}
    header = {"memory_mb": 512, "release": None, "parts": parts, "blank": {"defects": ["original"]}}
    connection = query_child.locked(header, {})
    rows = connection.sql("SELECT package_id, original FROM defects").fetchall()
    assert rows and all(package and original is None for package, original in rows)
    for (name,) in connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
        columns = [row[0] for row in connection.sql(f'DESCRIBE "{name}"').fetchall()]
        assert name == "defects" or "original" not in columns
    connection.close()


def test_without_the_check_the_lock_alone_still_keeps_files_and_settings_shut(
    source: ViewSource, tmp_path: Path
) -> None:
    header = {"memory_mb": 512, "release": None, "parts": {}, "blank": {}}
    connection = query_child.locked(header, {})
    for sql in probes(tmp_path):
        if (
            not sql.startswith("EXPLAIN")
            and ":memory:" not in sql
            and any(
                word in sql
                for word in (
                    "secret.txt",
                    "http",
                    "COPY",
                    "ATTACH '",
                    "INSTALL",
                    "SET memory",
                    "SET enable",
                    "SET threads",
                    "EXPORT",
                )
            )
        ):
            with pytest.raises((duckdb.Error, UnicodeError)):
                connection.execute(sql).fetchall()
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(a.range * b.range) FROM range(1000000) a, range(10000000) b",
        "SELECT length(repeat('x', 2000000000))",
    ],
)
def test_a_statement_that_takes_too_much_is_ended_in_time(source: ViewSource, sql: str) -> None:
    limits = Limits(rows=10, memory_mb=256, seconds=1)
    start = time.monotonic()
    with pytest.raises(TriageError, match="stopped at its limit"):
        query.run(sql, source, limits)
    assert time.monotonic() - start < query._START_SECONDS


def test_a_refusal_reaches_the_user_with_its_reason(source: ViewSource) -> None:
    with pytest.raises(UsageError, match="Only SELECT"):
        query.run("DROP TABLE cases", source, SMALL)
    with pytest.raises(UsageError, match="nope"):
        query.run("SELECT * FROM nope", source, SMALL)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT error(string_agg(case_id, ' | ')) FROM cases",
        "SELECT CAST(case_id AS INT) FROM cases",
        "SELECT strptime(case_id, '%Y') FROM cases",
        "SELECT json_extract('{' || case_id, '$.a')::INT FROM cases",
        "SELECT CAST(problem AS DATE) FROM defects",
    ],
)
def test_an_error_tells_no_stored_value(source: ViewSource, sql: str) -> None:
    with pytest.raises(UsageError) as caught:
        query.run(sql, source, SMALL)
    assert "C-1" not in str(caught.value) and "bad" not in str(caught.value)
    assert "Exception" in str(caught.value) or "Error" in str(caught.value), "its kind is told"


def test_an_error_of_the_statement_itself_keeps_its_words(source: ViewSource) -> None:
    with pytest.raises(UsageError, match="grade"):
        query.run("SELECT grade FROM cases", source, SMALL)
    with pytest.raises(UsageError, match="syntax error"):
        query.run("SELEC case_id FROM cases", source, SMALL)


def test_every_named_statement_says_what_it_answers() -> None:
    for name, path in query.names().items():
        assert path.read_text().startswith("-- "), name
        assert query.describe(path).endswith("."), name
    with pytest.raises(UsageError, match="no named query"):
        query.named("nope")
