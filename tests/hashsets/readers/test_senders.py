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
from hashsets.readers import registry, vics
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
