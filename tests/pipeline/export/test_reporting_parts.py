"""Files of the reporting tables grow together by and by: what a night writes anew is in proportion to what it brings."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipeline import tablecsv
from pipeline.export import reporting
from pipeline.export.reporting_parts import KeptPart, Shelf, _unlined
from pipeline.settings import Settings

TABLE = "report_moment"


def rows_of(first: int, count: int) -> pa.Table:
    schema = pa.schema([("owner", pa.string()), ("hidden", pa.bool_()), *reporting.arrow_schema(TABLE)])
    owners = [f"{n:05}" for n in range(first, first + count)]
    made = {"owner": owners, "hidden": [False] * count, "as_of": [datetime(2026, 3, 1, tzinfo=UTC)] * count}
    return pa.table(made, schema=schema)


def test_few_new_rows_are_written_with_few_old_ones(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, written, parts = Shelf(settings), [0], list[KeptPart]()
    write = Shelf._write

    def counting(self: Shelf, table: str, stem: str, rows: pa.Table, *, hidden: bool, lined: bool) -> KeptPart:
        written[0] += rows.num_rows
        return write(self, table, stem, rows, hidden=hidden, lined=lined)

    monkeypatch.setattr(Shelf, "_write", counting)
    most = 0
    for night in range(150):
        before = written[0]
        parts = shelf.replaced(TABLE, parts, rows_of(night * 4, 4), pa.array([], pa.string()))
        most = max(most, written[0] - before)
        assert sum(p.rows for p in parts) == (night + 1) * 4
    assert sorted(shelf.read(TABLE, parts)["owner"].to_pylist()) == [f"{n:05}" for n in range(600)]
    assert len(parts) < 12
    assert written[0] < 600 * 12
    assert most > 100  # now and then many small files become one


def test_a_row_that_changes_takes_its_file_along_and_no_other(settings: Settings) -> None:
    shelf = Shelf(settings)
    parts = shelf.replaced(TABLE, [], rows_of(0, 400), None)
    for night in range(3):
        parts = shelf.replaced(TABLE, parts, rows_of(400 + night, 1), pa.array([], pa.string()))
    again = shelf.replaced(TABLE, parts, rows_of(401, 1), pa.array(["00401"]))
    assert parts[0].name in {p.name for p in again}
    assert sorted(shelf.read(TABLE, again)["owner"].to_pylist()) == [f"{n:05}" for n in range(403)]


def test_rows_that_stay_keep_their_lines(settings: Settings) -> None:
    """What is copied from the lines of before is what would be made of the rows: commas, quotation marks, breaks and formulas too."""
    table, shelf = "report_matches", Shelf(settings)
    schema = pa.schema([("owner", pa.string()), ("hidden", pa.bool_()), *reporting.arrow_schema(table)])
    words = ["plain", 'with "marks", and commas', "two\r\nlines", "=1+1", "", "caf\u00e9"]

    def rows(first: int, count: int, hidden: bool) -> pa.Table:
        made = [
            {
                "owner": f"{n:03}",
                "hidden": hidden,
                "source": words[n % len(words)],
                "grade": words[-1 - n % 3],
                "files": n,
            }
            for n in range(first, first + count)
        ]
        return pa.Table.from_pylist(made, schema=schema)

    parts = shelf.replaced(table, [], pa.concat_tables([rows(0, 120, False), rows(120, 30, True)]), None)
    for night in range(6):
        gone = pa.array([f"{n:03}" for n in range(night * 7, night * 7 + 3)])
        fresh = pa.concat_tables([rows(200 + 10 * night, night, False), rows(night * 7, 2, bool(night % 2))])
        parts = shelf.replaced(table, parts, fresh, gone)
        for part in parts:
            shown = shelf.read(table, [part]).drop_columns(["owner", "hidden", "line"])
            whole = tablecsv.table_csv(shown)
            assert (shelf.cache / table / f"{part.name}.csv").read_bytes() == whole[whole.index(b"\r\n") + 2 :]
    assert shelf.replaced(table, parts, rows(0, 0, False), pa.array([f"{n:03}" for n in range(300)])) == []


@pytest.mark.parametrize("how", ["there", "gone", "harmed", "cut short", "empty"])
def test_owners_are_read_of_files_that_may_hold_them_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    shelf, asked = Shelf(settings), list[str]()
    parts = shelf.replaced(TABLE, [], rows_of(0, 4000), None)
    parts = shelf.replaced(TABLE, parts, rows_of(4000, 900), pa.array([], pa.string()))
    assert len(parts) == 2
    before = {p.name: p.read_bytes() for p in sorted((shelf.cache / TABLE).glob("*.digests"))}
    for path in (shelf.cache / TABLE).glob("*.digests"):
        data = path.read_bytes()
        if how == "gone":
            path.unlink()
        elif how != "there":
            path.write_bytes({"harmed": data[:-8] + bytes(8), "cut short": data[:-3], "empty": b""}[how])
    owners = Shelf.owners

    def watched(self: Shelf, table: str, part: KeptPart) -> pa.ChunkedArray:
        asked.append(part.name)
        return owners(self, table, part)

    monkeypatch.setattr(Shelf, "owners", watched)
    none = _unlined(TABLE, rows_of(0, 0))
    laid, pool = shelf._parted(TABLE, parts, none, pa.array(["nobody", "someone"]))
    assert laid == parts and pool == [none] and len(asked) == (0 if how == "there" else 2)
    assert {p.name: p.read_bytes() for p in sorted((shelf.cache / TABLE).glob("*.digests"))} == before
    asked.clear()
    kept, [held, _] = shelf._parted(TABLE, parts, none, pa.array(["04001", "zzz"]))
    assert kept == parts[:1] and held.num_rows == 899 and "04001" not in held["owner"].to_pylist()
    assert asked == [parts[1].name] * 2, "what was lost or harmed was made again"


def test_rows_that_are_replaced_stay_in_their_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that arrived together fall due together: after years one file is written anew for them, not all."""
    monkeypatch.setattr("pipeline.export.reporting_parts.PART", 100)
    shelf = Shelf(settings)
    parts = shelf.replaced(TABLE, [], rows_of(0, 1000), None)
    assert [p.rows for p in parts] == [100] * 10
    first = [p.name for p in parts]
    for night in range(8):
        due = rows_of(310 + 7 * night, 7)
        new = rows_of(1000 + 5 * night, 5)
        fresh = pa.concat_tables([due, new])
        parts = shelf.replaced(TABLE, parts, fresh, fresh["owner"])
        assert {p.name for p in parts[:10]} - set(first) == {parts[3].name}
        assert set(due["owner"].to_pylist()) <= set(shelf.owners(TABLE, parts[3]).to_pylist())
    held = shelf.read(TABLE, parts)["owner"].to_pylist()
    assert sorted(held) == [f"{n:05}" for n in range(1040)]
    parts = shelf.replaced(TABLE, parts, rows_of(0, 0), pa.array([f"{n:05}" for n in range(510, 590)]))
    assert len(parts) == 10, "what is left of a file lies with the last ones"
    more = pa.concat_tables([rows_of(620, 1)] * 3)
    parts = shelf.replaced(TABLE, parts, more, pa.array(["00620"]))
    held = shelf.read(TABLE, parts)["owner"].to_pylist()
    assert max(p.rows for p in parts) == 100 and len(held) == 962 and held.count("00620") == 3


def test_a_table_that_outgrows_the_limit_has_lines_no_more_and_gets_them_back(settings: Settings) -> None:
    """The rows are the same with or without kept lines, and the file of CSV too where one is written."""
    table, limited, every = "report_matches", Shelf(settings, 30), Shelf(settings)
    schema = pa.schema([("owner", pa.string()), ("hidden", pa.bool_()), *reporting.arrow_schema(table)])

    def rows(first: int, count: int) -> pa.Table:
        made = [
            {"owner": f"{n:03}", "hidden": False, "source": "=1+1", "files": n} for n in range(first, first + count)
        ]
        return pa.Table.from_pylist(made, schema=schema)

    def written(shelf: Shelf, parts: list[KeptPart]) -> bytes | None:
        every_part = {t: parts if t == table else [] for t in reporting.tables()}
        shelf.put(every_part, restricted=False)
        path = shelf.open / f"{table}.csv"
        return path.read_bytes() if path.exists() else None

    parts = limited.replaced(table, [], rows(0, 30), None)
    assert written(limited, parts) == tablecsv.table_csv(rows(0, 30).drop_columns(["owner", "hidden"]))
    parts = limited.replaced(table, parts, rows(30, 3), pa.array(["000"]))
    assert (written(limited, parts), limited.csv_of(table, parts)) == (None, None), (
        "the one of the night before is gone"
    )
    shown = every.read(table, parts).drop_columns(["owner", "hidden", "line"])
    assert written(every, parts) == tablecsv.table_csv(shown)
    parts = limited.replaced(table, parts, rows(50, 1), pa.array([f"{n:03}" for n in range(1, 10)]))
    shown = limited.read(table, parts).drop_columns(["owner", "hidden", "line"])
    assert (shown.num_rows, limited.csv_of(table, parts)) == (24, f"{table}.csv")
    assert written(limited, parts) == tablecsv.table_csv(shown)
