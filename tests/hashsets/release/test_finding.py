"""A few values and media asked without Arrow: the answers are those of Arrow tables, and canaries are asked along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hashsets import words
from hashsets.algorithms import ALL
from hashsets.release import canaries, finding, releases
from hashsets.release.tables import connect_build
from pipeline.errors import CanaryError, UsageError
from pipeline.settings import Settings
from tests.hashsets import samples


@pytest.fixture
def release(tmp_path: Path, settings: Settings) -> releases.Release:
    return samples.give(settings, tmp_path, "project_vic", [samples.media(i) for i in range(5)])


def held(release: releases.Release) -> list[tuple[int, str, bytes]]:
    """Every value of the release that is not opaque as a query, and of each algorithm one that it does not hold."""
    keys = list(range(1, 6))
    values = [
        (a.name, value)
        for a in ALL
        if not a.opaque
        for value in [*release.hashes(a.name, keys)["value"].to_pylist(), bytes(a.width)]
    ]
    return [(number, name, value) for number, (name, value) in enumerate(values)]


def test_a_few_values_find_what_a_table_of_them_finds(release: releases.Release) -> None:
    queries = held(release)
    numbers, names, values = zip(*queries, strict=True)
    table = pa.table({"query_id": pa.array(numbers), "algorithm": names, "value": pa.array(values, pa.binary())})
    wanted = release.exact(table).select(["query_id", "algorithm", "media_key"]).to_pylist()
    found = release.exact_few(queries)
    assert [dict(zip(("query_id", "algorithm", "media_key"), row, strict=True)) for row in found] == wanted
    assert {name for _, name, _ in found} >= {"md5", "sha1"} and release.exact_few([]) == []


def test_a_few_media_are_described_as_a_table_of_them_is(release: releases.Release) -> None:
    for keys in ([], [3], [5, 1, 3, 3, 99]):
        assert release.describe_few(keys) == release.describe(keys).to_pylist()


def test_the_hashes_of_a_few_media_are_those_of_a_table_of_them(release: releases.Release) -> None:
    for algorithm in ALL:
        for keys in ([], [2, 99], [5, 1, 3]):
            rows = release.hashes(algorithm.name, keys).to_pylist()
            found = release.hashes_few(algorithm.name, keys)
            assert [(key, value) for key, values in found.items() for value in values] == [
                (row["media_key"], row["value"]) for row in rows
            ]


@pytest.mark.parametrize("algorithm", [a for a in ALL if not a.opaque], ids=lambda a: a.name)
def test_the_words_of_one_value_are_those_of_many(algorithm: finding.StoredHash) -> None:
    value = bytes(range(200, 200 + algorithm.width)) if algorithm.width < 50 else bytes(algorithm.width)
    many = words.to_words(algorithm, np.frombuffer(value, np.uint8)[None])
    assert finding._words(value) == [int(word[0]) for word in many]
    assert finding._value(algorithm, finding._words(value)) == value


@pytest.mark.parametrize(
    ("query", "fault"),
    [((-1, "md5", bytes(16)), "zero or more"), ((0, "md5", bytes(3)), "16 bytes"), ((0, "sha3", b""), "no hash")],
)
def test_what_cannot_be_asked_is_refused(release: releases.Release, query: tuple[int, str, bytes], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        release.exact_few([query])


def test_a_store_that_misses_a_canary_answers_nothing(
    release: releases.Release, tmp_path: Path, settings: Settings
) -> None:
    database = tmp_path / "damaged.duckdb"
    database.write_bytes((release.folder / releases.DATABASE).read_bytes())
    con = connect_build(database, settings, tmp_path / "spill")
    con.execute("DELETE FROM hash_md5 WHERE media_key = ?", [canaries.KEYS[2]])
    with pytest.raises(CanaryError, match="7 of 8 canaries"):
        finding.exact_few(con, [(0, "md5", bytes(16))])
    assert finding.exact_few(con, [(0, "sha1", bytes(20))]) == []
    con.close()
