"""Looking up a few keys gives what reading everything and filtering gives, whatever has become of the files that say where they are."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import records
from pipeline.lake import Lake
from pipeline.lake import parts as lake_parts
from pipeline.lake.erasing import Wanted
from pipeline.lake.kept import keys as keyfiles
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, media


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfiles, "LEAST", 1)
    monkeypatch.setattr(lake_parts, "GROUP", 7)


def filled(settings: Settings, nights: int = 5) -> Lake:
    """Media files of some nights in groups of seven rows; referrals come again, some contents are not there."""
    chance = random.Random(3)
    for night in range(nights):
        rows = [media(f"R{chance.randrange(30)}", f"{night}-{n}", file_id=f"M{night}-{n}") for n in range(40)]
        rows = [row | {"sha256": None} if chance.random() < 0.2 else row for row in rows]
        commit(settings, f"in{night}", media_files=rows)
    return Lake.of(settings)


def looked_up(lake: Lake, column: str, values: list[Any]) -> pa.Table:
    kind = records.arrow_schema("media_files").field(column).type
    return lake.read("media_files", ["file_id", "sha256"], where=(column, pa.array(values, kind)))


def filtered(lake: Lake, column: str, values: list[Any]) -> pa.Table:
    rows = lake.read("media_files")
    mask = pc.is_in(rows[column], value_set=pa.array(values, rows.schema.field(column).type))
    return rows.filter(mask).select(["file_id", "sha256"])


def files_of(settings: Settings) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((settings.home / "cache" / "lake").glob("*.keys"))}


@pytest.mark.parametrize("merged", [False, True])
def test_rows_of_keys_are_those_of_everything_filtered(settings: Settings, *, merged: bool) -> None:
    lake, chance = filled(settings), random.Random(1)
    if merged:
        lake.merge("weekly")
    contents = lake.read("media_files", ["sha256"])["sha256"].drop_null().to_pylist()
    for _ in range(20):
        for column, among in (("referral_id", [f"R{n}" for n in range(60)]), ("sha256", [*contents, bytes(32)])):
            values = chance.sample(among, chance.randrange(4))
            assert looked_up(lake, column, values).equals(filtered(lake, column, values))


def test_a_lookup_reads_the_groups_that_hold_the_key(settings: Settings) -> None:
    lake = filled(settings)
    lake.merge("weekly")
    [part] = lake.parts("media_files")
    file = lake_parts.pq.ParquetFile(part.path)
    one = pa.array(["M3-2"])
    [group] = keyfiles.KeyFiles(None).groups(part.sha256, file, "file_id", one)
    assert file.num_row_groups > 20
    assert "M3-2" in file.read_row_group(group)["file_id"].to_pylist()
    assert keyfiles.KeyFiles(None).groups(part.sha256, file, "file_id", pa.array(["nowhere"])) == []


@pytest.mark.parametrize("harm", ["gone", "cut short", "one bit", "not to be written"])
def test_a_file_that_is_gone_or_harmed_is_made_again_and_the_same(settings: Settings, harm: str) -> None:
    lake = filled(settings)
    lake.merge("weekly")
    before = looked_up(lake, "referral_id", ["R3", "R8"])
    lake.vacuum(timedelta(days=90))  # of the parts that were merged nobody asks
    made = files_of(settings)
    assert len(made) == 3
    for name, content in made.items():
        path = settings.home / "cache" / "lake" / name
        if harm == "gone":
            path.unlink()
        elif harm == "cut short":
            path.write_bytes(content[:-8])
        elif harm == "one bit":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        else:
            path.unlink()
            path.mkdir()  # whoever runs this: what is a folder cannot be replaced by a file
    again = Lake.of(settings)
    assert looked_up(again, "referral_id", ["R3", "R8"]).equals(before)
    looked_up(again, "file_id", ["M0-1"]), looked_up(again, "sha256", [bytes(32)])
    if harm != "not to be written":
        assert files_of(settings) == made


def test_who_writes_a_part_makes_the_files_of_the_columns_that_nights_ask_by(settings: Settings) -> None:
    lake = filled(settings)
    lake.merge("weekly")
    [part] = lake.parts("media_files")
    for column in keyfiles.LOOKED_UP["media_files"]:
        path = settings.home / "cache" / "lake" / f"{part.sha256}.{column}.keys"
        written = path.read_bytes()
        path.unlink()
        looked_up(Lake.of(settings), column, [bytes(32) if column == "sha256" else "nowhere"])
        assert path.read_bytes() == written


def test_every_column_that_nights_ask_by_is_a_column_with_keys() -> None:
    for table, columns in keyfiles.LOOKED_UP.items():
        assert {records.arrow_schema(table).field(c).type for c in columns} <= {pa.string(), pa.binary(32)}


def test_files_of_parts_that_are_gone_go_with_upkeep_and_all_with_an_erasure(settings: Settings) -> None:
    lake = filled(settings)
    looked_up(lake, "referral_id", ["R3"])
    assert len(files_of(settings)) == 5
    lake.merge("weekly")
    looked_up(lake, "referral_id", ["R3"])
    lake.vacuum(timedelta(days=90))
    assert {name.partition(".")[0] for name in files_of(settings)} == {p.sha256 for p in lake.parts("media_files")}
    lake.erase(Wanted(["R3"]), "erasing")
    assert files_of(settings) == {}
    assert looked_up(lake, "referral_id", ["R3"]).equals(filtered(lake, "referral_id", ["R3"]))


def test_digests_of_keys_follow_from_their_bytes_alone() -> None:
    texts = ["", "a", "b", "ab", "ba", "a" * 300, "ä", "R-0001", "R-0010"]
    several = keyfiles.hashed(pa.array([None, *texts, "a"]))
    assert len(set(several[1:-1].tolist())) == len(texts)
    assert several[2] == several[-1]
    assert several.tolist()[1:-1] == [int(keyfiles.hashed(pa.array([text]))[0]) for text in texts]
    assert np.array_equal(keyfiles.hashed(pa.array([None, *texts, "a"]).slice(3, 4)), several[3:7])
    wide = pa.array([bytes(range(32)), bytes(32)], pa.binary(32))
    assert np.array_equal(keyfiles.hashed(wide), keyfiles.hashed(wide.cast(pa.binary())))
    assert not len(keyfiles.hashed(pa.array([], pa.string())))


def test_without_a_folder_it_stays_in_memory(settings: Settings, tmp_path: Path) -> None:
    filled(settings)
    lake = Lake(settings.home / "lake")
    assert looked_up(lake, "referral_id", ["R3"]).equals(filtered(lake, "referral_id", ["R3"]))
    assert files_of(settings) == {}
    assert not list(tmp_path.rglob("*.keys"))


def test_values_of_one_length_have_the_digests_that_they_have_among_others() -> None:
    """Ids and digests are worked out as a matrix, others one behind another."""
    ids = [f"{n:032x}" for n in range(50)]
    alone = keyfiles.hashed(pa.array(ids))
    among = keyfiles.hashed(pa.array([*ids, "", "longer than all of them that came before it", None]))
    assert alone.tolist() == among.tolist()[:50]
    assert keyfiles.hashed(pa.array(["", None, ""])).tolist() == [among.tolist()[50]] * 3
    assert keyfiles.hashed(pa.array(ids)[10:20]).tolist() == alone.tolist()[10:20]
