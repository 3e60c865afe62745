"""Exports of a case read back by other readers, the reporting tables against plain Python, the commands and their log."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from deltalake import DeltaTable

from hashsets.release import releases
from pipeline import records, tablecsv
from pipeline.cli import triage
from pipeline.errors import IntegrityError
from pipeline.export import reporting, stage
from pipeline.export.exchange import caseuco, vics
from pipeline.export.exchange.content import CaseExport, ExportFile
from pipeline.lake import Lake
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from tests.hashsets import samples as hash_samples
from tests.pipeline.cases import samples

ME = pwd.getpwuid(os.getuid()).pw_name
ADMIN = Actor("first", "First", frozenset({"administrator"}))
SHA = bytes(range(32))


def match_row(**over: Any) -> dict[str, Any]:
    row = {
        "match_id": "M-1", "sha256": SHA, "media_key": 7, "kind": "near", "algorithm": "pdq", "distance": 12, "threshold": 31,
        "low_information": False, "total_hits": 1, "release": 3, "grade": "TRUSTED", "category": "B", "sources": ["demo"],
        "victim_identified": "unknown", "offender_identified": "unknown", "distributed": "yes", "series": [], "tags": [],
        "query_hash": "00" * 32, "known_hash": "0f" * 32, "algorithm_version": "1", "code_version": "1", "run_id": "night-0",
    }  # fmt: skip
    return row | over


def file_row(number: int, **over: Any) -> dict[str, Any]:
    row = {
        "file_id": f"F-{number}", "referral_id": samples.referral(1), "package_id": "P-1", "name": f"=file{number}.jpg", "state": "present",
        "sha256": SHA, "size": 10, "viewed_by_provider": "unknown", "publicly_available": "no", "annotations": [],
    }  # fmt: skip
    return row | over


def full(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row as the lake gives it back: with every column."""
    listed: list[dict[str, Any]] = records.build(table, [row]).to_pylist()
    return listed[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case with two copies of one file and a near match, published; an account for this machine's user. To be copied."""
    settings = Settings(home=tmp_path_factory.mktemp("filled") / "home", threads=2)
    store = open_store(settings)
    samples.publish_rows(
        store, referrals=[samples.referral_row(1)], assessments=[samples.assessment(1)], matches=[match_row()]
    )
    lake = Lake(settings.lake_dir)
    lake.commit(
        "ingest", "files", {"media_files": records.build("media_files", [file_row(1), file_row(2)])}, run_id="night-0"
    )
    with store.session() as session:
        users.first(session, "first", "First", None)
        users.add(session, ADMIN, ME, "Machine user", roles=["dmi"])
    store.close()
    return settings.home


@pytest.fixture
def filled(settings: Settings, home: Path) -> Settings:
    """Settings of a copy of that home."""
    shutil.copytree(home, settings.home)
    return settings


@pytest.fixture
def run(filled: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("TRIAGE_HOME", str(filled.home))
    return lambda *words: CliRunner().invoke(triage, list(words), catch_exceptions=True)


def a_case() -> CaseExport:
    fingerprint = {
        "md5": b"m" * 16,
        "sha1": b"s" * 20,
        "sha256": SHA,
        "media_type": "image/jpeg",
        "pdq": b"p" * 32,
        "phash256": b"h" * 32,
    }
    identifier = {
        "identifier_id": "I-1",
        "referral_id": "r",
        "kind": "ip",
        "value": "192.0.2.1",
        "original": "192.0.2.1",
        "port": 4711,
        "time_ambiguous": False,
        "seen_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return CaseExport(
        "C-1", "UCOL", "high", datetime(2026, 2, 1, tzinfo=UTC), "Demonstration force", [], [full("identifiers", identifier)],
        [ExportFile(full("media_files", file_row(n)), fingerprint, [full("matches", match_row())]) for n in (1, 2)],
    )  # fmt: skip


def test_vics_is_read_back_by_the_hash_set_reader(run: Callable[..., Any], tmp_path: Path) -> None:
    data = orjson.loads(vics.render(a_case()))
    assert data["@odata.context"].endswith("/2.0.xml/UK/$metadata#Cases")
    media = data["value"][0]["Media"]
    assert len(media) == 1
    assert [f["FileName"] for f in media[0]["MediaFiles"]] == ["=file1.jpg", "=file2.jpg"]
    assert "Category" not in media[0]
    path = tmp_path / "case.json"
    path.write_bytes(vics.render(a_case()))
    found = run("hashset", "detect", str(path), "--format", "json")
    assert json.loads(found.output)[0]["entity"] == "Cases"
    assert json.loads(found.output)[0]["country"] == "UK"


def test_case_uco_names_every_node_once_and_refers_only_to_nodes_that_are_there() -> None:
    data = orjson.loads(caseuco.render(a_case()))
    nodes = [n["@id"] for n in data["uco-core:object"]]
    assert len(nodes) == len(set(nodes))
    investigation = next(n for n in data["uco-core:object"] if n["@type"] == "case-investigation:Investigation")
    assert {o["@id"] for o in investigation["uco-core:object"]} <= set(nodes)
    file = next(n for n in data["uco-core:object"] if n["@type"] == "uco-observable:File")
    hashes = {
        h["uco-types:hashMethod"]: h["uco-types:hashValue"]["@value"]
        for h in file["uco-core:hasFacet"][1]["uco-observable:hash"]
    }
    assert hashes["SHA256"] == SHA.hex().upper()
    prefixes = {word.partition(":")[0] for n in data["uco-core:object"] for word in n if not word.startswith("@")}
    assert prefixes <= set(data["@context"])
    assert caseuco.render(a_case()) == caseuco.render(a_case())


def test_the_official_validator_takes_a_case_uco_export(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_bytes(caseuco.render(a_case()))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("case_validate")), str(path)], capture_output=True, text=True, check=False
    )
    assert "Conforms: True" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


def test_vics_comes_back_through_import_and_release_with_every_hash(
    run: Callable[..., Any], filled: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "case.json"
    path.write_bytes(vics.render(a_case()))
    done = run("hashset", "import", "--source", "force", str(path), "--format", "json")
    [record] = json.loads(done.stdout)
    assert (record["read"], record["rejected"], record["values_dropped"]) == (1, 0, {})
    counts = releases.current(filled).manifest["counts"]
    for algorithm in ("md5", "sha1", "sha256", "pdq", "phash256"):
        assert counts[f"hash_{algorithm}"] == 1, algorithm


def test_case_uco_comes_back_through_import_and_release_with_every_digest(
    run: Callable[..., Any], filled: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "case.json"
    path.write_bytes(caseuco.render(a_case()))
    done = run("hashset", "import", "--source", "force", str(path), "--format", "json")
    [record] = json.loads(done.stdout)
    assert (record["read"], record["rejected"], record["values_dropped"]) == (2, 0, {})
    counts = releases.current(filled).manifest["counts"]
    for algorithm in ("md5", "sha1", "sha256"):
        assert counts[f"hash_{algorithm}"] == 1, algorithm


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_comes_back_as_a_list_with_every_hash(
    run: Callable[..., Any], filled: Settings, tmp_path: Path, form: str
) -> None:
    """By a declared mapping, as any list: each content once with the digests and the PDQ that the lake has."""
    prints = [
        {"sha256": SHA, "md5": b"m" * 16, "sha1": b"s" * 20, "pdq": b"p" * 32, "size": 7, "state": "hashed", "low_information": False,
         "algorithm_version": "1", "decoder_version": "1", "sandbox": "none", "run_id": "night-0"}
    ]  # fmt: skip
    Lake(filled.lake_dir).commit(
        "fingerprint", "f", {"fingerprints": records.build("fingerprints", prints)}, run_id="night-0"
    )
    path = tmp_path / f"fingerprints.{form}"
    done = run("export", form, "fingerprints", "--to", "Unit", "--reason", "test", "--output", str(path))
    assert done.exit_code == 0, done.exception
    policy = tmp_path / "policy"
    shutil.copytree(filled.policy, policy)
    with (policy / "hashsets.yaml").open("a") as file:
        file.write(OWN_TABLE)
    settings = replace(filled, policy=policy)
    record = hash_samples.take(settings, path, "own_table")
    assert (record.read, record.accepted, sum(record.rejected.values())) == (1, 1, 0)
    release = releases.current(settings)
    for name in ("md5", "sha1", "sha256", "pdq"):
        assert release.hashes(name, [1]).to_pylist()[0]["value"] == prints[0][name], name


OWN_TABLE = """
  own_table:
    name: A table of the lake
    owner: this force
    kind: alert
    jurisdiction: UK
    category_map: uk-letters
    reader: list
    columns: {md5: md5, sha1: sha1, sha256: sha256, pdq: pdq}
"""


def test_the_commands_list_query_and_export_and_are_logged(
    run: Callable[..., Any], filled: Settings, tmp_path: Path
) -> None:
    number = samples.case_of(1)
    rows = json.loads(run("matches", "--case", number, "--format", "json").output)
    assert [(r["case_id"], r["media_file"], r["distance"]) for r in rows] == [(number, "F-1", 12), (number, "F-2", 12)]
    assert json.loads(run("matches", "--grade", "BENIGN", "--format", "json").output) == []
    answer = run("query", "SELECT case_id, band FROM cases", "--reason", "test", "--format", "json")
    assert json.loads(answer.output) == [{"case_id": number, "band": "medium"}]
    refused = run("query", "SELECT * FROM read_text('/etc/passwd')", "--reason", "test")
    assert refused.exception is not None and "not available" in str(refused.exception)
    target = tmp_path / "files.csv"
    done = run("export", "csv", "media_files", "--to", "Unit", "--reason", "test", "--output", str(target))
    assert done.exit_code == 0, done.exception
    cells = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [c["name"] for c in cells] == ["'=file1.jpg", "'=file2.jpg"]
    for kind in ("vics", "case-uco"):
        path = tmp_path / kind
        done = run("export", kind, number, "--to", "Unit", "--reason", "test", "--output", str(path))
        assert done.exit_code == 0, done.exception
        assert orjson.loads(path.read_bytes())
    assert (
        run("export", "vics", "C-NONE", "--to", "Unit", "--reason", "t", "--output", str(tmp_path / "x")).exit_code != 0
    )
    store = open_store(filled)
    with store.reader() as session:
        entries = session.scalars(sa.select(AuditEntry).where(AuditEntry.user_id == ME).order_by(AuditEntry.seq)).all()
    store.close()
    assert [e.action for e in entries] == [
        "matches.listed",
        "matches.listed",
        "query.run",
        "query.answered",
        "query.run",
        "exported.csv",
        "exported.vics",
        "exported.case-uco",
    ]
    assert all(e.recipient == "Unit" for e in entries if e.category == "disclosure")
    assert not any("SELECT" in e.detail for e in entries)


def given_roles(settings: Settings, *roles: str) -> None:
    """Whoever runs the commands has these roles from now on, and no others."""
    store = open_store(settings)
    with store.session() as session:
        users.change(session, ADMIN, ME, version=1, roles=list(roles))
    store.close()


def entries_of(settings: Settings, user: str = ME) -> list[AuditEntry]:
    store = open_store(settings)
    with store.reader() as session:
        query = sa.select(AuditEntry).where(AuditEntry.user_id == user).order_by(AuditEntry.seq)
        found = list(session.scalars(query).all())
    store.close()
    return found


def with_texts(settings: Settings) -> None:
    """A narrative and an original value of the case's referral."""
    referral = samples.referral(1)
    told = {
        "narrative_id": "N-1", "referral_id": referral, "kind": "narrative", "position": 0, "text": "[synthetic message 21]",
        "time_ambiguous": False,
    }  # fmt: skip
    rows = {"narratives": records.build("narratives", [told])}
    Lake(settings.lake_dir).commit("ingest", "texts", rows, run_id="night-0")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT error(string_agg(text, ' | ')) FROM narratives",
        "SELECT CAST(text AS INT) FROM narratives",
        'SELECT count(*) FROM "Narratives"',
    ],
)
def test_who_may_not_open_texts_cannot_ask_for_them(run: Callable[..., Any], filled: Settings, sql: str) -> None:
    """No way round the log: neither rows nor an error message that holds them, and the attempt is logged."""
    with_texts(filled)
    done = run("query", sql, "--reason", "test")
    assert done.exception is not None
    assert "synthetic message" not in f"{done.exception} {done.output}"
    assert [e.action for e in entries_of(filled)] == ["query.run", "refused"]


def test_texts_that_a_statement_reads_are_logged_as_opened(run: Callable[..., Any], filled: Settings) -> None:
    with_texts(filled)
    given_roles(filled, "dmi", "analyst")
    done = run("query", "SELECT CAST(text AS INT) FROM narratives", "--reason", "test")
    assert done.exception is not None and "ConversionException" in str(done.exception)
    assert "synthetic message" not in f"{done.exception} {done.output}", "only the kind of an error is told"
    answer = run("query", "SELECT text FROM narratives", "--reason", "test", "--format", "json")
    assert json.loads(answer.output) == [{"text": "[synthetic message 21]"}]
    found = [(e.action, e.case_id) for e in entries_of(filled)]
    number = samples.case_of(1)
    opened = [("query.run", None), ("text.opened", number)]
    assert found == [*opened, *opened, ("query.answered", None)]


VERBATIM = "SELECT unknown_keys FROM referrals WHERE unknown_keys IS NOT NULL"
ORIGINAL = "SELECT original FROM defects WHERE original IS NOT NULL"


ELSEWHERE = {
    "unknown_keys": '{"narrativ":"[synthetic message 22]"}',
    "escalation_text": "[synthetic message 24]",
    "extension": '{"ocag":{"confronted":{"where":"[synthetic message 25]"}}}',
}


def with_words_in_other_places(settings: Settings) -> None:
    """A report's narrative under a key that nobody knows, and one that became a defect; why it is urgent, a form's own block, and
    what is known of a fact."""
    referral = samples.referral(1)
    kept = records.build("referrals", Lake(settings.lake_dir).read("referrals").to_pylist()[:1])
    for column, text in ELSEWHERE.items():
        place, field = kept.column_names.index(column), kept.schema.field(column)
        kept = kept.set_column(place, field, pa.array([text], field.type))
    fact = {"fact_id": "f", "referral_id": referral, "name": "access_to_children", "value": "yes", "source_path": "/"}
    fact["detail"] = "[synthetic message 26]"
    wrong = {"package_id": "p", "referral_id": referral, "field": "/narrative", "problem": "Text was expected here."}
    rows = {"referrals": kept, "defects": records.build("defects", [{**wrong, "original": "[synthetic message 23]"}])}
    rows["facts"] = records.build("facts", [fact])
    Lake(settings.lake_dir).commit("ingest", "words", rows, run_id="night-0")


@pytest.mark.parametrize(
    "sql",
    [
        VERBATIM,
        ORIGINAL,
        "SELECT * FROM defects WHERE starts_with(original, '[')",
        "SELECT escalation_text FROM referrals WHERE escalation_text IS NOT NULL",
        "SELECT extension->>'$.ocag' AS words FROM referrals WHERE contains(extension, 'synthetic')",
        "SELECT detail FROM facts WHERE detail IS NOT NULL",
    ],
)
def test_words_of_a_report_in_other_columns_are_texts_too(run: Callable[..., Any], filled: Settings, sql: str) -> None:
    with_words_in_other_places(filled)
    done = run("query", sql, "--reason", "test", "--format", "json")
    assert json.loads(done.output) == []
    assert "text.opened" not in [e.action for e in entries_of(filled)]
    given_roles(filled, "dmi", "analyst")
    assert "synthetic message 2" in run("query", sql, "--reason", "test", "--format", "json").output
    assert [e.action for e in entries_of(filled)][-3:] == ["query.run", "text.opened", "query.answered"]


def test_tables_with_words_in_other_places_show_none_of_them(
    run: Callable[..., Any], filled: Settings, tmp_path: Path
) -> None:
    with_words_in_other_places(filled)
    shown = run("query", "SELECT * FROM referrals", "--reason", "test", "--format", "json").output
    shown += run("query", "SELECT * FROM facts", "--reason", "test", "--format", "json").output
    assert "access_to_children" in shown and "synthetic message" not in shown
    for table in ("referrals", "defects", "facts"):
        target = tmp_path / f"{table}.csv"
        run("export", "csv", table, "--to", "U", "--reason", "test", "--output", str(target))
        assert target.stat().st_size and "synthetic message" not in target.read_text()
    assert "text.opened" not in [e.action for e in entries_of(filled)]


MOMENT = {"original": "about [synthetic message 31]", "zone": "", "ambiguous": True}
MARKS = {
    "referrals": {
        "priority": ("high", "[synthetic message 32]"),
        "handling": ("OFFICIAL-SENSITIVE", "[synthetic message 33]"),
        "times_original": ('{"incident_at":{"ambiguous":true,"original":"02/03/2026 10:15","zone":""}}', json.dumps({"incident_at": MOMENT})),
    },
    "identifiers": {
        "event": ("Login", "[synthetic message 34]"),
        "port_original": ("0", "[synthetic message 35]"),
        "seen_at_original": ("2026-02-03 10:15 Europe/London", "[synthetic message 36]"),
        "seen_at_zone": ("EST", "[synthetic message 37]"),
    },
    "media_files": {
        "uploaded_at_original": ("2026-02-03 10:15", "[synthetic message 38]"),
        "uploaded_at_zone": ("+01:00", "[synthetic message 39]"),
    },
}  # fmt: skip
"""By table and column: a mark or a time that everybody may read, and the sender's words in its place."""


def with_words_in_place_of_marks(settings: Settings) -> None:
    """Two rows of each table, of a referral that has a case: one with marks, one with words in their places."""
    lake, referral = Lake(settings.lake_dir), samples.referral(1)
    rows = {}
    for table, columns in MARKS.items():
        kept = lake.read(table, where=("referral_id", pa.array([referral])))
        kept = pa.concat_tables([kept.slice(0, 1), kept.slice(0, 1)]).cast(records.arrow_schema(table))
        for column, given in columns.items():
            kept = kept.set_column(kept.column_names.index(column), kept.schema.field(column), pa.array(given))
        rows[table] = kept
    lake.commit("ingest", "marks", rows, run_id="night-0")


def with_identifier(settings: Settings) -> None:
    row = {"identifier_id": "i", "referral_id": samples.referral(1), "kind": "ip", "value": "192.0.2.1"}
    row |= {"original": "192.0.2.1", "time_ambiguous": False}
    Lake(settings.lake_dir).commit("ingest", "ip", {"identifiers": records.build("identifiers", [row])}, run_id="n")


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, columns in MARKS.items() for c in columns])
def test_a_mark_is_for_everybody_and_words_in_its_place_are_a_text(
    run: Callable[..., Any], filled: Settings, table: str, column: str
) -> None:
    with_identifier(filled)
    with_words_in_place_of_marks(filled)
    sql = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
    mark = MARKS[table][column][0]
    answer = json.loads(run("query", sql, "--reason", "test", "--format", "json").output)
    assert mark in [row[column] for row in answer] and "synthetic message" not in json.dumps(answer)
    assert "text.opened" not in [e.action for e in entries_of(filled)]
    given_roles(filled, "dmi", "analyst")
    assert "synthetic message 3" in run("query", sql, "--reason", "test", "--format", "json").output
    assert [e.action for e in entries_of(filled)][-3:] == ["query.run", "text.opened", "query.answered"]


@pytest.mark.parametrize("table", MARKS)
def test_a_table_shows_its_marks_and_no_words_in_their_place(
    run: Callable[..., Any], filled: Settings, tmp_path: Path, table: str
) -> None:
    with_identifier(filled)
    with_words_in_place_of_marks(filled)
    everything = run("query", f"FROM {table}", "--reason", "test", "--format", "json").output
    assert samples.referral(1) in everything and "synthetic message" not in everything
    target = tmp_path / "out.csv"
    run("export", "csv", table, "--to", "U", "--reason", "test", "--output", str(target))
    assert "synthetic message" not in target.read_text()
    for column, (mark, _) in MARKS[table].items():
        assert column == "times_original" or mark in target.read_text()
    assert "text.opened" not in [e.action for e in entries_of(filled)]


def test_a_statement_that_fails_or_is_stopped_was_logged(run: Callable[..., Any], filled: Settings) -> None:
    run("query", "SELECT length(repeat('x', 2000000000))", "--reason", "test", "--memory", "128", "--seconds", "1")
    run("query", "SELECT nope FROM cases", "--reason", "test")
    assert [e.action for e in entries_of(filled)] == ["query.run", "query.run"]


def test_a_question_leaves_the_case_store_to_others(filled: Settings) -> None:
    """While a statement runs, somebody else writes at once: no lock is held."""
    from pipeline.export import asking

    store = open_store(filled)
    with asking.ask(filled, None, "query.sql", "export", "test") as question:
        question.log("consultation", "query.run", "sql", {})
        with store.session() as session:
            renamed = users.change(session, ADMIN, "first", version=1, name="Renamed")
    store.close()
    assert renamed.name == "Renamed"


def test_a_reason_is_demanded_and_an_account(run: Callable[..., Any], filled: Settings, tmp_path: Path) -> None:
    assert "reason is needed" in str(
        run("export", "csv", "matches", "--to", "U", "--output", str(tmp_path / "x")).exception
    )
    given_roles(filled, "auditor")
    assert "may not" in str(run("matches").exception)


def test_reporting_tables_agree_with_the_store_and_their_dictionary(filled: Settings) -> None:
    moment = datetime(2026, 3, 20, tzinfo=UTC)
    assert stage.bring_up(filled, moment, "night-0")["report_files"] == 2
    built = reporting.load(filled)
    assert built is not None and (built.as_of, built.run_id) == (moment, "night-0")
    assert built.tables["report_moment"].to_pylist() == [{"as_of": moment}]
    row = built.tables["report_cases"].to_pylist()[0]
    assert row["case_id"] == samples.case_of(1)
    assert row["urgency"] == "critically_overdue"
    assert (row["age_days"], row["hours_to_due"]) == (None, None)  # both follow from the moment until it is closed
    assert row["met_target"] is False
    assert built.tables["report_matches"].to_pylist() == [
        {"source": "NCA_NCMEC", "release": 3, "kind": "near", "grade": "TRUSTED", "files": 2, "matches": 1}
    ]
    assert [r["match_kind"] for r in built.tables["report_files"].to_pylist()] == ["near", "near"]


def test_other_programs_read_the_reporting_tables_as_they_are(filled: Settings) -> None:
    """As Delta tables, and as one file of CSV each, with the columns of the dictionary."""
    stage.bring_up(filled, datetime(2026, 3, 20, tzinfo=UTC), "night-0")
    folder, built = reporting.reporting_dir(filled), reporting.load(filled)
    assert built is not None
    listed = list(csv.DictReader(io.StringIO((folder / "data-dictionary.csv").read_text())))
    for table in reporting.tables():
        seen = DeltaTable(str(folder / table)).to_pyarrow_table()
        columns = [r["column"] for r in listed if r["table"] == table]
        assert seen.column_names == columns
        assert seen.to_pylist() == built.tables[table].to_pylist()
        lines = (folder / f"{table}.csv").read_bytes()
        assert lines == tablecsv.table_csv(built.tables[table])


def test_a_damaged_reporting_table_is_refused(filled: Settings) -> None:
    stage.bring_up(filled, datetime(2026, 3, 20, tzinfo=UTC), "night-0")
    [path] = (reporting.reporting_dir(filled) / "report_cases").glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError):
        reporting.load(filled)


def test_no_reporting_table_names_a_person() -> None:
    for table in reporting.tables():
        columns = set(reporting.describe(table)["properties"])
        assert not columns & {"holder", "user_id", "user_name", "by", "name", "asked_by", "changed_by"}
