"""The newest row of each link, found in columns, against a dict of rows."""

from __future__ import annotations

import random

import pyarrow as pa

from pipeline.assess.links.linking import newest


def test_newest_rows_are_those_of_a_dict() -> None:
    chance = random.Random(3)
    for count in (0, 1, 2, 50):
        rows = [
            {"link_id": f"L{chance.randrange(8)}", "version": chance.choice([None, 1, 2, 3]), "n": n}
            for n in range(count)
        ]
        table = pa.Table.from_pylist(
            rows, pa.schema([("link_id", pa.string()), ("version", pa.int32()), ("n", pa.int64())])
        )
        best: dict[str, dict[str, object]] = {}
        for row in sorted(rows, key=lambda r: r["version"] or 1):  # type: ignore[arg-type,return-value]
            best[str(row["link_id"])] = row
        parts = pa.concat_tables([table.slice(0, count // 2), table.slice(count // 2)])
        assert newest(parts).to_pylist() == [best[name] for name in sorted(best)]
