"""Files as their senders really write them: each is read, or refused for the true reason."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashsets.algorithms import BY_NAME
from hashsets.importing import clean
from hashsets.importing.rows import Cleaned, clean_batch
from hashsets.readers import nsrl, registry, vics
from hashsets.readers.base import Source
from hashsets.release import releases
from pipeline.errors import InputError, TriageError
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.hashsets.samples import digest, media, standing

DATA = Path(__file__).parents[1] / "data"


def zipped_sql() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("RDS_2026.06.1_modern_delta/RDS_2026.06.1_modern_delta.sql", "BEGIN TRANSACTION;")
    return made.getvalue()


def rows(path: Path, reader: str | None = None, **columns: Any) -> list[dict[str, Any]]:
    """Every raw row of a file, as dicts."""
    source = Source(path, columns)
    detection = registry.detect(source, reader)
    found = []
    for batch in registry.READERS[detection.reader].read(source, detection):
        names = list(batch.columns)
        found += [dict(zip(names, values, strict=True)) for values in zip(*batch.columns.values(), strict=True)]
    return found


def test_icse_with_an_empty_field_at_the_end_of_every_line() -> None:
    found = rows(DATA / "icse_extra_empty_field.csv")
    assert [row["entry_id"] for row in found] == ["501", "502"]
    assert {row["category"] for row in found} == {"Yes"}


def test_icse_knows_no_quotes() -> None:
    found = rows(DATA / "icse_series_in_quotes.csv")
    assert [row["entry_id"] for row in found] == ["505", "506"]
    assert found[1]["series"] == ['"Sample" series']


def test_a_full_field_too_many_is_still_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text((DATA / "icse_extra_empty_field.csv").read_text().replace("Yes;", "Yes;more"))
    with pytest.raises(InputError, match="line 2: 17 fields under 16 columns"):
        rows(path)


def test_icse_in_windows_1252(tmp_path: Path) -> None:
    text = (DATA / "icse_series_in_quotes.csv").read_text().replace('"Sample" series', "Série")
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("cp1252"))
    assert rows(path)[1]["series"] == ["Série"]
    with pytest.raises(InputError, match="line 3: it is not utf-8 text"):
        rows(path, encoding="utf-8")
    assert rows(path, encoding="cp1252")[1]["series"] == ["Série"]


def test_the_full_edition_of_nsrl_is_read_through_its_view() -> None:
    found = rows(DATA / "nsrl_rds3_full_view.db")
    assert found[0]["md5"] == "703CC47BD5DD4F88EAFFA23A2A3B046D"
    assert found[0]["sha1"] == "3703CC47BD5DD4F88EAFFA23A2A3B0497BCDEECF"


def test_nsrl_in_the_zip_that_is_shipped(tmp_path: Path) -> None:
    path = tmp_path / "RDS_2026.06.1_modern.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(DATA / "nsrl_rds3_full_view.db", "RDS_2026.06.1_modern/RDS_2026.06.1_modern.db")
    assert rows(path) == rows(DATA / "nsrl_rds3_full_view.db")


def test_the_date_of_an_nsrl_release_orders_it(tmp_path: Path) -> None:
    path = tmp_path / "RDS.db"
    path.write_bytes((DATA / "nsrl_rds3_full_view.db").read_bytes())
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE VERSION (version TEXT, build_set TEXT, build_date TEXT, release_date TEXT)")
        con.execute("INSERT INTO VERSION VALUES ('2026.06.1', 'modern', '2026-05-20', '2026-06-01')")
    con.close()
    source = Source(path)
    detection = registry.detect(source)
    list(registry.READERS[detection.reader].read(source, detection))
    assert source.notes["released"] == "2026-06-01"


def test_a_view_may_call_nothing_that_reaches_out(tmp_path: Path) -> None:
    path = tmp_path / "evil.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE T (md5 TEXT)")
        con.execute("INSERT INTO T VALUES ('a')")
        con.execute("CREATE VIEW FILE AS SELECT md5, load_extension('x') AS sha1 FROM T")
    con.close()
    with pytest.raises(InputError, match=r"not authorized|unsafe use"):
        rows(path)


@pytest.mark.parametrize("condition", ["", " WHERE a.md5 || b.md5 || c.md5 || d.md5 = 'x'"])
def test_a_view_that_multiplies_a_small_table_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    for name, value in {"_STEPS": 1 << 20, "_STEPS_A_BYTE": 1, "_STEPS_AT_ONCE": 1 << 16}.items():
        monkeypatch.setattr(nsrl, name, value)
    path = tmp_path / "endless.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE T (md5 TEXT)")
        con.executemany("INSERT INTO T VALUES (?)", [(digest("md5", n),) for n in range(1000)])
        con.execute("CREATE VIEW FILE AS SELECT a.md5 AS md5 FROM T a, T b, T c, T d" + condition)
    con.close()
    with pytest.raises(InputError, match="far more steps"):
        rows(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"BEGIN TRANSACTION;\nINSERT INTO METADATA VALUES (1);", "SQL statements, as the deltas of NSRL"),
        (b"-- a delta\n\nPRAGMA foreign_keys=OFF;\nBEGIN;", "SQL statements, as the deltas of NSRL"),
        (b"\xef\xbb\xbf/* a\ndelta */ create table FILE(a);", "SQL statements, as the deltas of NSRL"),
        (zipped_sql(), "SQL statements, as the deltas of NSRL"),
        ('{"odata.metadata":"a form of two bytes a letter"}'.encode("utf-16-le"), "UTF-16"),
        ('{"odata.metadata":"a form of two bytes a letter"}'.encode("utf-16-be"), "UTF-16"),
        ('{"odata.metadata":"a form of four bytes a letter"}'.encode("utf-32"), "UTF-32"),
        ((DATA / "icse_extra_empty_field.csv").read_text().encode("utf-16"), "UTF-16"),
        ('{"odata.metadata":"http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Media"}'.encode("utf-16"), "UTF-16"),
        (b'{"odata.metadata":"http://github.com/ICMEC/ProjectVic/DataModels/1.1.xml#Media","value":[]}', "data model"),
        (
            b'{"@odata.context":"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.1.xml/US/$metadata#Media"}',
            "not VICS 1.2, 1.3 or 2.0",
        ),
    ],
)
def test_what_is_not_read_is_refused_for_the_true_reason(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        registry.detect(Source(path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_list_in_utf_16_says_so_itself(tmp_path: Path, settings: Settings, encoding: str) -> None:
    path = tmp_path / "list.csv"
    text = f"MD5,SHA-1,SHA-256,PhotoDNA,Category,Tags\n{digest('md5', 1)},,,,a,x\n"
    path.write_bytes(text.encode(encoding))
    samples.take(settings, path, "iwf")
    found = standing(releases.current(settings), 1, "md5")
    assert (found["category"], found["raw_categories"]) == ("A", ["iwf:a"]), "a letter in lower case is that letter"


@pytest.mark.parametrize(
    ("given", "meant"), [("1.0", "1"), ("1", "1"), (1.0, "1"), ("A1", "A1"), ("1.5", "1.5"), ("1.", "1."), (".0", ".0")]
)
def test_a_category_in_decimals(given: object, meant: str) -> None:
    assert clean.one_category(given) == meant


def test_a_category_in_decimals_is_mapped(tmp_path: Path, settings: Settings) -> None:
    path = samples.vics(tmp_path / "a.json", [media(1, Category="1.0"), media(2, Category="1")], country="UK")
    samples.take(settings, path, "demo")
    release = releases.current(settings)
    assert standing(release, 1)["raw_categories"] == standing(release, 2)["raw_categories"] == ["demo:1"]


def test_perceptual_hashes_in_hex_and_in_base64() -> None:
    import base64

    raw = bytes(range(32))
    assert clean.one_hash(BY_NAME["pdq"], raw.hex()) == raw
    assert clean.one_hash(BY_NAME["pdq"], base64.b64encode(raw).decode()) == raw
    with pytest.raises(clean.ValueRefusedError, match="wrong_length"):
        clean.one_hash(BY_NAME["pdq"], "ab" * 16)


def test_base64_in_alternative_hashes_enters_a_release(tmp_path: Path, settings: Settings) -> None:
    import base64

    raw = bytes.fromhex(digest("pdq", 1))
    both = [
        media(n, AlternativeHashes=[{"HashName": "PDQ", "HashValue": value}])
        for n, value in enumerate((raw.hex(), base64.b64encode(raw).decode()))
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**samples.context("2.0", "US"), "value": both}))
    record = samples.take(settings, path, "project_vic")
    assert record.defects == {}


def test_one_alternative_hash_is_read_quickly_as_by_the_general_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = digest("pdq", 1)
    shapes: list[Any] = [
        [{"HashName": "PDQ", "HashValue": value}],
        [{"HashName": "pdq", "HashValue": value, "MD5": digest("md5", 1)}],
        [{"HashName": "SHA1", "HashValue": digest("sha1", 9)}],
        [{"HashName": "Other", "HashValue": "x"}],
        [{"HashName": "PDQ", "HashValue": None}],
        [{"HashName": "PDQ", "HashValue": value}, {"HashName": "PHASH256", "HashValue": value}],
        [],
        ["text"],
        {"HashName": "PDQ"},
    ]
    items = [media(n, AlternativeHashes=shape) for n, shape in enumerate(shapes)]
    items += [media(n, AlternativeHashes=shapes[0], Unknown="kept") for n in (20, 21)]
    path = samples.vics(tmp_path / "a.json", items)

    def read() -> list[dict[str, Any]]:
        source = Source(path)
        detection = registry.detect(source)
        found = []
        for batch in registry.READERS[detection.reader].read(source, detection):
            cleaned = batch if isinstance(batch, Cleaned) else clean_batch(batch)
            found += cleaned.table.to_pylist()
        return found

    quick = read()
    assert sum(row["pdq_0"] is not None for row in quick) >= 4
    monkeypatch.setattr(vics, "_one_alternative", lambda *_: False)
    assert read() == quick


def test_a_member_named_twice_beside_an_alternative_hash_is_damage(tmp_path: Path) -> None:
    item = '{"MD5":"%s","Category":1,"Category":2,"AlternativeHashes":[{"HashName":"PDQ","HashValue":"%s"}]}'
    root = json.dumps(samples.context("2.0", "US"))[:-1]
    path = tmp_path / "a.json"
    path.write_text(f'{root},"value":[{item % (digest("md5", 1), digest("pdq", 1))}]}}')
    with pytest.raises(InputError, match="named twice"):
        rows(path)


def test_a_list_as_parquet_is_read_by_its_mapping_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    table = pa.table({"MD5": [bytes(range(16)), None], "set": ["a", "b"], "tags": [["x", "y"], []], "n": [1, None]})
    pq.write_table(table, path)
    mapping: dict[str, Any] = {"columns": {"md5": "md5", "series": "set"}}
    found = rows(path, "list", **mapping)
    assert [(row.get("md5"), row["series"]) for row in found] == [(bytes(range(16)).hex(), "a"), (None, "b")]
    assert json.loads(found[0]["extra"]) == {"tags": "x,y", "n": "1"}
    with pytest.raises(TriageError, match="no column 'sha1'"):
        rows(path, "list", columns={"sha1": "sha1"})
    data = path.read_bytes()
    for cut in (data[:-20], data[: len(data) // 2], data[:8] + bytes(40) + data[48:]):
        path.write_bytes(cut)
        with pytest.raises(InputError, match="is damaged at row 1: it is no sound Parquet file"):
            rows(path, "list", **mapping)
    with pytest.raises(InputError, match="it begins with b'PAR1"):
        rows(path)


ICSE = "MD5;SHA1;ZZ40;PhotoDNA;Lace;Image ID;Is Distributed;Victim Identified;Offender Identified;Series Name;Baseline"


def test_icse_saved_anew_by_a_spreadsheet_has_every_field_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "icse.csv"
    line = [digest("md5", 1), "", "", "", "", "501", "No", "No", "No", 'Sample; "series"', "Yes"]
    quoted = ['"' + field.replace('"', '""') + '"' for field in line]
    path.write_text("\r\n".join([";".join(f'"{name}"' for name in ICSE.split(";")), ";".join(quoted)]) + "\r\n")
    (found,) = rows(path)
    assert (found["entry_id"], found["series"], found["category"]) == ("501", ['Sample; "series"'], "Yes")


@pytest.mark.parametrize("hint", ["", "sep={d}\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_as_spreadsheets_write_it(tmp_path: Path, hint: str, delimiter: str, encoding: str) -> None:
    """Another delimiter, a line that names it, and empty fields at the end of lines."""
    if hint and encoding == "utf-16":
        pytest.skip("no spreadsheet writes both")
    path = tmp_path / "list.csv"
    lines = ["MD5,Category", f"{digest('md5', 1)},A,", f"{digest('md5', 2)},B,,"]
    text = hint.format(d=delimiter) + "".join(f"{line}\r\n" for line in lines).replace(",", delimiter)
    path.write_bytes(text.encode(encoding))
    found = rows(path, "list", columns={"md5": "MD5", "category": "Category"})
    assert [row["category"] for row in found] == ["A", "B"]
    with pytest.raises(InputError, match="declared"):
        rows(path, "list", columns={"md5": "MD5", "category": "Grade"})


def test_vics_that_says_what_it_is_behind_its_media(tmp_path: Path) -> None:
    path = tmp_path / "vic.json"
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"
    items = [{"MediaID": n, "MD5": digest("md5", n), "Category": 1} for n in range(3000)]
    path.write_text(json.dumps({"value": items, "@odata.context": context}))
    assert path.stat().st_size > 2 * len(Source(path, {}).tail())
    source = Source(path, {})
    detection = registry.detect(source)
    assert (detection.reader, detection.country) == ("vics", "US")
    made = list(registry.READERS["vics"].read(source, detection))
    assert sum(one.table.num_rows for one in made if isinstance(one, Cleaned)) == 3000
    path.write_text(json.dumps({"@odata.context": context, "value": items, "@odata.nextLink": "?$skip=3000"}))
    with pytest.raises(InputError, match="further pages"):
        list(registry.READERS["vics"].read(source, registry.detect(source)))


def test_alternative_hashes_that_are_not_matched_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "vic.json"
    one, two = {"HashName": "PDQ", "HashValue": "ab" * 32}, {"HashName": "PDQ", "HashValue": "cd" * 32}
    given: list[Any] = [
        [one],
        [one, one],
        [one, two],
        one,
        [None],
        [],
        None,
        [{"HashName": "SHA256", "HashValue": "00"}],
    ]
    items = [
        {"MediaID": n, "MD5": digest("md5", n), "Category": 1, "AlternativeHashes": alternative}
        for n, alternative in enumerate(given)
    ]
    items[-1]["SHA256"] = digest("sha256", 9)
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"
    path.write_text(json.dumps({"@odata.context": context, "value": items}))
    source = Source(path, {})
    defects = []
    for batch in registry.READERS["vics"].read(source, registry.detect(source)):
        defects += (batch if isinstance(batch, Cleaned) else clean_batch(batch)).defects
    assert [(d.position - 1, d.reason) for d in defects] == [
        (2, "second_alternative_hash"),
        (3, "alternative_hashes_of_another_form"),
        (4, "alternative_hashes_of_another_form"),
        (7, "second_alternative_hash"),
    ]


def test_nsrl_with_columns_in_capitals_and_a_packed_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rds.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE FILE (SHA256 TEXT, SHA1 TEXT, MD5 TEXT, FILE_SIZE INTEGER)")
        con.execute("INSERT INTO FILE VALUES (?, ?, ?, 5)", [digest(a, 1) for a in ("sha256", "sha1", "md5")])
    con.close()
    (found,) = rows(path)
    assert (found["md5"], found["size"]) == (digest("md5", 1), 5)
    packed = tmp_path / "vic.json.gz"
    packed.write_bytes(b"\x1f\x8b\x08\0" + bytes(20))
    with pytest.raises(InputError, match="is packed"):
        rows(packed)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("20261101T000000Z", "2026-11-01T00:00:00+00:00"),
        ("Sun, 01 Nov 2026 01:00:00 +0100", "2026-11-01T00:00:00+00:00"),
        ("2026-06-01T01:00:00[Europe/London]", "2026-06-01T00:00:00+00:00"),
        ("2026-06-01T01:00:00.5+01:00[Europe/London]", "2026-06-01T00:00:00.500000+00:00"),
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("2026-10-25T01:30:00[Europe/London]", None),
        ("2026-06-01T01:00:00[Nowhere/Land]", None),
        ("01/02/2026 10:00:00", None),
        ("1780000000", None),
    ],
)
def test_times_of_entries_are_read_or_counted(tmp_path: Path, text: str, wanted: str | None) -> None:
    """In whichever path a row takes: flat rows are read by kernels, others one by one."""
    path = tmp_path / "vic.json"
    plain = {"MD5": digest("md5", 1), "Category": 1, "DateUpdated": text}
    items = [
        {"MediaID": 1, **plain},
        {"MediaID": 2, **plain, "Nested": {}},
        {"MediaID": 3, "MD5": digest("md5", 3)},
    ]
    context = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"
    path.write_text(json.dumps({"@odata.context": context, "value": items}))
    source = Source(path, {})
    times, reasons = [], []
    for batch in registry.READERS["vics"].read(source, registry.detect(source)):
        done = batch if isinstance(batch, Cleaned) else clean_batch(batch)
        times += done.table["updated_at"].to_pylist()
        reasons += [d.reason for d in done.defects]
    assert sorted(t.isoformat() for t in times if t) == [wanted] * (2 if wanted else 0)
    assert reasons == ([] if wanted else ["not_a_time"] * 2)
