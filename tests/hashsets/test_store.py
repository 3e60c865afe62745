"""Opinions, grades, identity, withdrawal, deltas and conflicts, through whole imports and releases."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from hashsets import exporting, sources
from hashsets.importing import importer, landing, withdrawing
from hashsets.release import building, changes, grading, releases
from pipeline.errors import InputError, ReconciliationError, UsageError
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.hashsets.samples import give, keys, media, standing


def counts(release: releases.Release) -> dict[str, int]:
    return release.manifest["imports"][-1]


def test_every_row_ends_in_one_counted_state(tmp_path: Path, settings: Settings) -> None:
    bad = [
        media("bad hex", MD5="x" * 32, SHA1=None),
        media("short", MD5="abc", SHA1=None),
        media("empty", MD5="D41D8CD98F00B204E9800998ECF8427E"),
        media("none", MD5=None, SHA1=None),
        media("pdna", MD5=None, SHA1=None, PhotoDNA="@" * 192),
    ]
    give(
        settings, tmp_path, "project_vic", [media("a"), media("b"), media("b", MediaID=9), media("c", Category=2), *bad]
    )
    release = give(settings, tmp_path, "project_vic", [media("a"), media("c", Category=3), media("d")])
    first = json.loads((settings.releases_dir / "1" / "manifest.json").read_text())["imports"][0]
    assert (first["read"], first["kept"], first["duplicate"]) == (9, 3, 1)
    assert first["rejected_by_reason"] == {
        "bad_base64": 1,
        "bad_hex": 1,
        "empty_file": 1,
        "no_hash": 1,
        "wrong_length": 1,
    }
    second = counts(release)
    assert {k: second[k] for k in ("kept", "duplicate", "updated", "withdrawn")} == {
        "kept": 1,
        "duplicate": 1,
        "updated": 1,
        "withdrawn": 0,
    }


def test_rejects_are_written_for_the_sender_with_place_and_reason(tmp_path: Path, settings: Settings) -> None:
    items = [media(1), media(2, MD5="zz"), media(3, MD5="=cmd", SHA1=None)]
    record = samples.take(settings, samples.vics(tmp_path / "a.json", items), "project_vic")
    lines = importer.rejects_file(settings, record).read_text().splitlines()
    assert lines[0] == "position,refused,field,reason,value"
    assert sorted(lines[1:]) == ["2,value,md5,wrong_length,zz", "3,row,md5,wrong_length,'=cmd"]


def test_the_same_file_is_imported_once_whatever_its_name(tmp_path: Path, settings: Settings) -> None:
    first = samples.take(settings, samples.vics(tmp_path / "a.json", [media(1)]), "project_vic")
    again = samples.take(settings, samples.vics(tmp_path / "b.json", [media(1)]), "project_vic")
    assert first.key == again.key
    assert releases.current(settings).number == 1


def test_a_damaged_file_leaves_the_store_as_it_was(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1)])
    items = [json.dumps(media(i)) for i in range(2, 500)]
    items[248] = items[248].replace('"Category": 1', '"Category": "1""')
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(samples.context())[:-1] + ', "value": [' + ",".join(items) + "]}")
    before = sorted(p.name for p in importer.imports_dir(settings).iterdir())
    with pytest.raises(InputError, match="near record 249"):
        samples.take(settings, path, "project_vic")
    assert sorted(p.name for p in importer.imports_dir(settings).iterdir()) == before
    assert releases.current(settings).number == 1


def test_an_import_sweeps_what_killed_ones_left_and_nothing_that_lives(tmp_path: Path, settings: Settings) -> None:
    folder = importer.imports_dir(settings)
    dead, alive, young = (folder / f".tmp-{n}-x" for n in (1, 2, 3))
    for path in (dead, alive, young):
        path.mkdir(parents=True)
        (path / "rows.parquet").write_bytes(b"half")
    for path in (dead, alive):
        os.utime(path, (0, 0))
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    samples.take(settings, samples.vics(tmp_path / "a.json", [media(1)]), "project_vic", release=False)
    os.close(held)
    assert (dead.exists(), alive.exists(), young.exists()) == (False, True, True)


def test_grades_count_independent_undisputed_votes(tmp_path: Path, settings: Settings) -> None:
    for source, country in (("project_vic", "US"), ("force", "UK")):
        release = give(settings, tmp_path, source, [media("x", Category="B" if country == "UK" else 1)], country)
        assert standing(release, "x")["grade"] == "INDICATIVE"
    release = give(settings, tmp_path, "caid", [media("x", Category="B")], "UK")
    row = standing(release, "x")
    assert (row["grade"], row["category"], row["votes"]) == ("TRUSTED", "B", 3)
    assert row["sources"] == ["caid", "force", "project_vic"]
    assert row["raw_categories"] == ["caid:B", "force:B", "project_vic:1"]
    release = give(settings, tmp_path, "force", [media("x", Category="C")], "UK")
    assert standing(release, "x")["grade"] == "DISPUTED"
    assert {c["kind"] for c in changes.conflicts(release)} == {"category"}


def test_a_number_is_never_taken_for_a_category(tmp_path: Path, settings: Settings) -> None:
    release = give(settings, tmp_path, "caid", [media("x", Category=1), media("y", Category="A")], "UK")
    assert standing(release, "x")["category"] == "UNMAPPED"
    assert standing(release, "x")["raw_categories"] == ["caid:1"]
    assert standing(release, "y")["category"] == "A"
    release = give(settings, tmp_path, "caid", [media("z", Category="A")], "US")
    assert standing(release, "z")["category"] == "UNMAPPED", "the map holds for UK files only"


def test_a_category_map_that_is_filled_in_maps_what_is_there(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "caid", [media("x", Category=1)], "UK")
    policy = tmp_path / "policy"
    shutil.copytree(settings.policy, policy)
    path = policy / "category-maps" / "caid-uk.yaml"
    path.write_text(path.read_text() + '  "1": {category: A, label: One, basis: a test}\n')
    changed = replace(settings, policy=policy)
    building.run(changed, samples.night(changed))
    release = releases.current(changed)
    assert standing(release, "x")["category"] == "A"
    assert release.delta(1).column("change").to_pylist() == ["regraded"]


def test_benign_sets_never_suppress(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1)])
    samples.take(settings, samples.nsrl_text(tmp_path / "NSRLFile.txt"), "nsrl")
    release = releases.current(settings)
    row = standing(release, 1)
    assert (row["grade"], row["alert"], row["benign"]) == ("INDICATIVE", True, True)
    assert standing(release, 2)["grade"] == "BENIGN"
    assert [c["kind"] for c in changes.conflicts(release)] == ["benign_and_alert"]


def test_flags_series_and_tags_are_united_and_disagreement_shows(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1, VictimIdentified="true", Series="S1", Tags="a,b")])
    release = give(settings, tmp_path, "caid", [media(1, VictimIdentified=False, Series="S2", Category="A")], "UK")
    row = standing(release, 1)
    assert (row["victim_identified"], row["offender_identified"]) == ("disputed", "unknown")
    assert (row["series"], row["tags"]) == (["S1", "S2"], ["a", "b"])


def test_media_meet_by_any_shared_digest(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1, SHA1=None)])
    release = give(settings, tmp_path, "caid", [media(1, Category="A")], "UK")
    assert keys(release, 1, "md5") == keys(release, 1, "sha1") == [1]
    assert release.delta(1).to_pylist()[0]["change"] == "new", "it can now be found by SHA-1"


def test_contradicting_digests_are_two_media_and_a_conflict(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1)])
    twin = media(1, SHA1=samples.digest("sha1", "other"))
    release = give(settings, tmp_path, "caid", [twin, media("n", MD5=None), media("n", SHA1=None)], "UK")
    assert len(keys(release, 1, "md5")) == 2
    assert keys(release, 1) != keys(release, "other")
    assert {c["kind"] for c in changes.conflicts(release, ("identity",))} == {"identity"}


def test_conflicts_are_the_same_in_slices(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    give(settings, tmp_path, "project_vic", [media(i) for i in range(9)])
    shared = media("other", MD5=samples.digest("md5", 2), Category="A")
    items = [*(media(i, Category="B") for i in range(4)), shared]
    give(settings, tmp_path, "force", [media(0, Category="C"), media(3, Category="A")], "UK")
    release = give(settings, tmp_path, "caid", items, "UK")
    whole = changes.conflicts(release)
    assert {c["kind"] for c in whole} == {"category", "identity"}
    monkeypatch.setattr(changes, "SLICE", 2)
    assert changes.conflicts(release) == whole
    assert changes.conflicts(release, limit=1) == whole[:1]


def test_one_file_naming_a_media_many_times_keeps_every_occurrence(tmp_path: Path, settings: Settings) -> None:
    items = [media(1, MediaID=i, MediaFiles=[{"FileName": f"f{i}"}], Tags=f"t{i}") for i in (1, 2, 3)]
    release = give(settings, tmp_path, "project_vic", [*items, items[0]])
    assert {k: counts(release)[k] for k in ("kept", "duplicate", "updated")} == {
        "kept": 1,
        "duplicate": 1,
        "updated": 2,
    }
    con = release.connect()
    [(extra, tags)] = con.execute("SELECT extra, tags FROM opinion").fetchall()
    con.close()
    assert json.loads(extra) == {"MediaFiles": [{"FileName": "f1"}, {"FileName": "f2"}, {"FileName": "f3"}]}
    assert tags == ["t1", "t2", "t3"]


def test_a_source_contradicting_itself_is_disputed(tmp_path: Path, settings: Settings) -> None:
    release = give(settings, tmp_path, "project_vic", [media(1, Category=1), media(1, Category=0)])
    assert standing(release, 1)["grade"] == "DISPUTED"
    assert {c["kind"] for c in changes.conflicts(release)} >= {"self_contradiction", "disputed"}


def test_withdrawal_is_a_tombstone_and_old_releases_replay(tmp_path: Path, settings: Settings) -> None:
    old = give(settings, tmp_path, "project_vic", [media(1), media(2)])
    before = old.describe([1, 2]).to_pylist()
    source = sources.load(settings).source("project_vic")
    withdrawing.withdraw(
        settings,
        source,
        [("sha1", samples.digest("sha1", 1))],
        reason="wrong picture",
        person="p",
        as_of=samples.night(settings).as_of,
    )
    building.run(settings, samples.night(settings))
    release = releases.current(settings)
    assert keys(release, 1) == []
    assert standing(release, 1)["grade"] == "WITHDRAWN"
    assert release.delta(1).select(["media_key", "change"]).to_pylist() == [{"media_key": 1, "change": "withdrawn"}]
    replayed = releases.open_release(settings, 1)
    assert keys(replayed, 1) == [1]
    assert replayed.describe([1, 2]).to_pylist() == before
    again = give(settings, tmp_path, "project_vic", [media(1), media(3)])
    assert keys(again, 1) == [], "the same entry in the next delivery does not undo a person's withdrawal"
    con = again.connect()
    assert con.execute("SELECT count(*) FROM opinion WHERE media_key = 1").fetchall() == [(1,)]
    con.close()


def test_a_full_delivery_withdraws_what_is_absent_but_never_most_of_a_set(tmp_path: Path, settings: Settings) -> None:
    def deliver(name: str, numbers: range) -> None:
        path = tmp_path / name
        path.write_text(
            "MD5,SHA-1,SHA-256,PhotoDNA,Category,Tags\n"
            + "".join(f"{samples.digest('md5', i)},,,,A,\n" for i in numbers)
        )
        samples.take(settings, path, "iwf")

    deliver("one.csv", range(10))
    deliver("two.csv", range(1, 11))
    release = releases.current(settings)
    assert counts(release)["absent_withdrawn"] == 1
    assert keys(release, 0, "md5") == []
    with pytest.raises(ReconciliationError, match="would withdraw 9 of"):
        deliver("three.csv", range(10, 12))
    assert releases.current(settings).number == release.number


def test_ncmec_pages_in_any_order_enter_together(tmp_path: Path, settings: Settings) -> None:
    old, new = "2026-04-01T00:00:00Z", "2026-04-05T00:00:00Z"
    last = samples.ncmec(tmp_path / "p2.xml", samples.ncmec_deleted(1, stamp=new) + samples.ncmec_entry(3, stamp=old))
    samples.take(settings, last, "ncmec")
    assert releases.current(settings).number == 1, "one page alone is a whole delivery"
    path = tmp_path / "p1.xml"
    samples.ncmec(
        path,
        samples.ncmec_entry(1, stamp=old) + samples.ncmec_entry(2, stamp=old),
        next_="/v2/entries?start=2&amp;size=2",
    )
    samples.take(settings, path, "ncmec")
    assert releases.current(settings).number == 1, "its last page is missing: nothing moves"
    late = samples.ncmec(tmp_path / "p3.xml", samples.ncmec_entry(2, stamp=new, class_="B1"))
    samples.take(settings, late, "ncmec")
    release = releases.current(settings)
    assert keys(release, 1, "md5") == [], "deleted later than it was added, though read earlier"
    assert standing(release, 2, "md5")["raw_categories"] == ["ncmec:B1"]
    assert standing(release, 2, "md5")["category"] == "UNMAPPED"


def test_negative_feedback_disputes(tmp_path: Path, settings: Settings) -> None:
    feedback = '<feedback lastUpdateTimestamp="x"><negativeFeedback type="md5">reason</negativeFeedback></feedback>'
    page = samples.ncmec(tmp_path / "p.xml", samples.ncmec_entry(1, stamp="2026-04-01T00:00:00Z", feedback=feedback))
    samples.take(settings, page, "ncmec")
    assert standing(releases.current(settings), 1, "md5")["grade"] == "DISPUTED"


def test_entities_are_refused(tmp_path: Path, settings: Settings) -> None:
    page = samples.ncmec(tmp_path / "p.xml", "<image>&a;</image>")
    page.write_text(page.read_text().replace("<queryResult", '<!DOCTYPE q [<!ENTITY a "b">]><queryResult', 1))
    with pytest.raises(InputError, match="entities and DTDs"):
        samples.take(settings, page, "ncmec")


def test_hashes_among_and_delta(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1)])
    pdq = [{"HashName": "PDQ", "HashValue": samples.digest("pdq", "p")}]
    release = give(settings, tmp_path, "project_vic", [media(1), media(2, AlternativeHashes=pdq)])
    assert release.hashes("pdq", [1, 2]).to_pylist() == [
        {"media_key": 2, "value": bytes.fromhex(samples.digest("pdq", "p"))}
    ]
    asked = pa.table(
        {
            "query_id": pa.array([5], pa.int64()),
            "algorithm": ["md5"],
            "value": [bytes.fromhex(samples.digest("md5", 1))],
        }
    )
    assert release.exact(asked).to_pylist() == [{"query_id": 5, "media_key": 1, "algorithm": "md5"}]
    assert release.exact(asked, among=[2]).num_rows == 0
    assert release.delta(1).column("media_key").to_pylist() == [2]
    assert release.delta(0).num_rows == 2
    assert release.indexes == ["pdq"]
    assert release.index_dir("pdq").is_dir()
    with pytest.raises(UsageError, match="no index"):
        release.index_dir("phash64")


def test_describe_agrees_with_the_stored_grade_and_the_fast_path_with_the_general(
    tmp_path: Path, settings: Settings
) -> None:
    items = [
        media(i, Category=i % 4, VictimIdentified=i % 2 == 0, Series="s" if i % 3 else None, Tags="b,a")
        for i in range(40)
    ]
    release = give(settings, tmp_path, "project_vic", items)
    con = release.connect()
    con.execute("CREATE TEMP TABLE keys AS SELECT media_key FROM media WHERE media_key >= 0")
    general = con.sql(f"SELECT * FROM ({grading.standing_sql('keys', 3)}) ORDER BY media_key").to_arrow_table()
    fast = con.sql(f"SELECT * FROM ({grading.single_sql('keys', 3)}) ORDER BY media_key").to_arrow_table()
    stored = con.execute("SELECT grade, category, alert FROM media ORDER BY media_key").fetchall()
    con.close()
    assert fast.to_pylist() == general.to_pylist()
    assert stored == [(r["grade"], r["category"], r["alert"]) for r in general.to_pylist()]


@pytest.mark.parametrize("form", ["vics", "csv"])
def test_export_and_import_again_lose_nothing(form: str, tmp_path: Path, settings: Settings) -> None:
    items: list[dict[str, Any]] = [
        media(
            1,
            VictimIdentified="true",
            IsDistributed=False,
            Series="A,B",
            Tags="x",
            MediaSize="123",
            Comments="synthetic",
        ),
        media(
            2,
            Category=None,
            DateUpdated="2026-06-07T02:31:49+02:00Z",
            Exifs=[{"MD5": "", "PropertyName": "Make", "PropertyValue": "X"}],
        ),
        media(
            3,
            AlternativeHashes=[
                {"HashName": "PDQ", "HashValue": samples.digest("pdq", 3)},
                {"HashName": "other", "HashValue": "q"},
            ],
        ),
        media(
            4, SHA1=None, MediaFiles=[{"FileName": "a"}, {"FileName": "b"}], MediaID=None, Tags=["with, comma", "two"]
        ),
        media(
            5,
            MediaID="-5",
            Series="'quoted",
            Tags=["[1]", "a"],
            MimeType="=cmd|'!A1",
            DateUpdated="x\u2028y",
            Category="'A",
        ),
    ]
    release = give(settings, tmp_path, "project_vic", items)
    target = tmp_path / f"out.{'json' if form == 'vics' else 'csv'}"
    write = exporting.export_csv if form == "csv" else exporting.export_vics
    assert write(release, target, "project_vic") == 5
    other = Settings(home=tmp_path / "other", threads=1)
    samples.take(other, target, "project_vic")
    assert _content(releases.current(other)) == _content(release)
    samples.take(settings, target, "project_vic")
    assert counts(releases.current(settings))["duplicate"] == 5


@pytest.mark.parametrize("form", ["vics", "csv"])
def test_members_and_disputes_survive_an_export(form: str, tmp_path: Path, settings: Settings) -> None:
    feedback = "<feedback><negativeFeedback>reason</negativeFeedback></feedback>"
    stamp = "2026-04-01T00:00:00Z"
    entries = samples.ncmec_entry(1, stamp=stamp, feedback=feedback) + samples.ncmec_entry(1, stamp=stamp, member=43)
    plain = settings.policy / "hashsets.yaml"
    policy = tmp_path / "policy"
    shutil.copytree(settings.policy, policy)
    (policy / "hashsets.yaml").write_text(plain.read_text().replace("    reader: ncmec\n", ""))
    settings = replace(settings, policy=policy)
    samples.take(settings, samples.ncmec(tmp_path / "p.xml", entries), "ncmec")
    release = releases.current(settings)
    target = tmp_path / f"out.{form}"
    write = exporting.export_csv if form == "csv" else exporting.export_vics
    assert write(release, target, "ncmec") == 2
    other = replace(settings, home=tmp_path / "other")
    samples.take(other, target, "ncmec")
    said = "SELECT member, disputed, entry_id, raw_category, extra FROM opinion ORDER BY member"
    rows = []
    for one in (release, releases.current(other)):
        con = one.connect()
        rows.append(con.execute(said).fetchall())
        con.close()
    assert rows[0] == rows[1]
    assert [r[:2] for r in rows[0]] == [("42", True), ("43", False)]


def test_an_exported_csv_of_two_countries_is_refused(tmp_path: Path, settings: Settings) -> None:
    path = samples.exported(tmp_path / "force.csv")
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:2], text[2].replace(",UK,", ",US,")]) + "\n")
    with pytest.raises(InputError, match="line 3: its rows are of several country segments"):
        samples.take(settings, path, "force")


def _content(release: releases.Release) -> list[Any]:
    con = release.connect()
    rows = con.execute(
        "SELECT * EXCLUDE (set_id, valid_from, votes, position), votes FROM opinion ORDER BY media_key"
    ).fetchall()
    rows += con.execute(
        "SELECT * FROM hash_pdq WHERE media_key >= 0 UNION ALL BY NAME SELECT * EXCLUDE media_key, media_key FROM hash_md5 WHERE media_key >= 0 ORDER BY ALL"
    ).fetchall()
    con.close()
    return rows


def test_landing_imports_what_is_complete_and_goes_on_after_a_bad_file(tmp_path: Path, settings: Settings) -> None:
    folder = settings.landing_dir / "hashsets" / "project_vic"
    folder.mkdir(parents=True)
    samples.vics(folder / "good.json", [media(1)])
    samples.vics(folder / "half.json.part", [media(2)])
    (folder / "bad.json").write_text("{")
    (settings.landing_dir / "hashsets" / "nobody").mkdir()
    samples.vics(settings.landing_dir / "hashsets" / "nobody" / "x.json", [media(3)])
    with (folder / "open.json").open("w") as writing:
        writing.write("{")
        report = landing.run(settings, samples.night(settings))
    (folder / "open.json").unlink()
    assert (report.read, report.kept, report.rejected) == (3, 1, {"unreadable": 2})
    assert report.balanced
    again = landing.run(settings, samples.night(settings))
    assert (again.kept, again.counts["new_files"]) == (1, 0)


def test_the_reading_connection_is_locked(tmp_path: Path, settings: Settings) -> None:
    con = give(settings, tmp_path, "project_vic", [media(1)]).connect()
    for statement in (
        "ATTACH '/tmp/x.db'",
        "COPY media TO '/tmp/x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET memory_limit = '1GB'",
        "INSTALL httpfs",
        "CREATE TABLE t (a INT)",
        "DELETE FROM media",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(statement).fetchall()
    con.close()


def test_a_disabled_source_does_not_count(tmp_path: Path, settings: Settings) -> None:
    give(settings, tmp_path, "project_vic", [media(1)])
    policy = tmp_path / "policy"
    shutil.copytree(settings.policy, policy)
    path = policy / "hashsets.yaml"
    path.write_text(
        path.read_text().replace("    category_map: vics-us\n", "    category_map: vics-us\n    enabled: false\n", 1)
    )
    changed = replace(settings, policy=policy)
    building.run(changed, samples.night(changed))
    release = releases.current(changed)
    assert keys(release, 1) == []
    assert release.delta(1).column("change").to_pylist() == ["withdrawn"]
