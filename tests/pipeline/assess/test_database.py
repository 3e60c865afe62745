"""The DuckDB of assessing and linking: how values are brought to a form that can be compared."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pipeline import unseen
from pipeline.assess import database
from pipeline.settings import Settings


def test_names_lose_the_characters_that_nobody_sees(settings: Settings) -> None:
    """Those of the one table, whichever: in linking and in lists as where values are read."""
    marks = [
        chr(code) for code in range(0x20, 0xE0200) if not 0xD800 <= code < 0xE000 and not unseen.without(chr(code))
    ]
    names = pa.table({"name": [f"O{mark}Brien{mark} Sample" for mark in marks]})
    with database.connection(settings, {"names": names}) as con:
        con.execute(database.macros())
        found = database.query(con, "SELECT DISTINCT folded(name) AS folded FROM names")["folded"].to_pylist()
    assert len(marks) > 300
    assert found == ["obrien sample"]


def test_what_is_beyond_the_memory_is_put_aside_in_home_and_is_gone_afterwards(settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    small = replace(settings, memory_mb=60, threads=1)
    with database.connection(small, {}) as con:
        rows = database.query(con, "SELECT count(*) AS n FROM (SELECT DISTINCT range, hash(range) FROM range(6000000))")
        assert rows["n"].to_pylist() == [6_000_000]
        assert list(settings.spill_dir.iterdir())
    assert not settings.spill_dir.exists()
