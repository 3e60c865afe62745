"""What every reader keeps, on one sample each and on hostile files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashsets import sources
from hashsets.importing import importer, rows
from hashsets.readers import registry as readers
from hashsets.readers.base import Source
from pipeline.errors import InputError, TriageError
from pipeline.settings import Settings
from tests.hashsets import samples

PERCEPTUAL_ONLY = {"threatexchange", "vpdq"}
EVERY = pytest.mark.parametrize("name", list(readers.READERS))


def sample(name: str, folder: Path, settings: Settings) -> tuple[Source, str]:
    source_id, file, write = samples.SOURCES[name]
    declared = sources.load(settings).source(source_id)
    return Source(write(folder / file), {**declared.list_form, "columns": dict(declared.columns)}), source_id


def test_every_reader_has_a_sample() -> None:
    assert set(samples.SOURCES) == set(readers.READERS)


@EVERY
class TestReader:
    """The contract."""

    def test_its_own_file_is_recognised_by_it_and_by_no_other(
        self, name: str, tmp_path: Path, settings: Settings
    ) -> None:
        source, _ = sample(name, tmp_path, settings)
        assert readers.detect(source).reader == name
        head = source.head()
        others = [r.name for r in readers.READERS.values() if r.detect(head, source) is not None]
        assert others == [name]

    def test_rows_come_with_positions_and_are_accepted(self, name: str, tmp_path: Path, settings: Settings) -> None:
        source, _ = sample(name, tmp_path, settings)
        batches = list(readers.READERS[name].read(source, readers.detect(source)))
        tables = [b.table if isinstance(b, rows.Cleaned) else rows.clean_batch(b).table for b in batches]
        positions = [p for t in tables for p in t.column("position").to_pylist()]
        assert len(positions) == 2
        assert positions == sorted(positions)
        assert positions[0] >= 1

    def test_a_row_keeps_its_hashes(self, name: str, tmp_path: Path, settings: Settings) -> None:
        source, source_id = sample(name, tmp_path, settings)
        record = samples.take(settings, source.path, source_id, release=False)
        table = pq.read_table(importer.staged_rows(settings, record))
        assert record.read == record.accepted == table.num_rows == 2
        first = int(samples.digest("pdq" if name in PERCEPTUAL_ONLY else "md5", 1)[:16], 16)
        column = "pdq_0" if name in PERCEPTUAL_ONLY else "md5_0"
        assert first in table.column(column).to_pylist()

    def test_a_truncated_file_changes_nothing(self, name: str, tmp_path: Path, settings: Settings) -> None:
        source, source_id = sample(name, tmp_path, settings)
        data = source.path.read_bytes()
        cut = tmp_path / f"cut-{source.path.name}"
        cut.write_bytes(data[: len(data) * 3 // 5])
        try:
            record = samples.take(settings, cut, source_id, release=False)
        except InputError as error:
            assert cut.name in str(error)
            assert not list(importer.imports_dir(settings).glob("*"))
        else:  # text cut inside a field is still text: then the cut row is refused by name
            assert record.read == record.accepted + sum(record.rejected.values())
            assert record.accepted < 2 or record.defects

    def test_hostile_files_are_refused_or_counted(
        self, name: str, tmp_path: Path, settings: Settings, corpora: Path
    ) -> None:
        source_id = samples.SOURCES[name][0]
        declared = sources.load(settings).source(source_id)
        files = sorted((corpora / "hostile" / "json_parsing").iterdir()) + sorted(
            (corpora / "hostile" / "zip_slip").iterdir()
        )
        refused = 0
        for path in files:
            source = Source(path, {**declared.list_form, "columns": dict(declared.columns)})
            before = sorted(p.name for p in tmp_path.rglob("*"))
            try:
                found = readers.READERS[name].detect(source.head(), source)
                if found is None:
                    raise InputError("not of this format")
                for batch in readers.READERS[name].read(source, found):
                    if not isinstance(batch, rows.Cleaned):
                        done = rows.clean_batch(batch)
                        assert done.table.num_rows + len(done.rejected) == len(batch.position)
            except TriageError as error:
                refused += 1
                assert error.message
            assert sorted(p.name for p in tmp_path.rglob("*")) == before
        assert refused >= len(files) - 3

    def test_every_truncation_of_the_sample_ends_in_a_clear_error_or_whole_rows(
        self, name: str, tmp_path: Path, settings: Settings
    ) -> None:
        source, _ = sample(name, tmp_path, settings)
        data = source.path.read_bytes()
        cut = Source(tmp_path / "cut", source.columns)
        step = max(1, len(data) // 60)
        for size in range(0, len(data), step):
            cut.path.write_bytes(data[:size])
            cut.notes.clear()
            try:
                found = readers.detect(cut)
                if found.reader != name:
                    continue
                total = 0
                for batch in readers.READERS[name].read(cut, found):
                    total += batch.table.num_rows if isinstance(batch, rows.Cleaned) else len(batch.position)
                assert total <= 2
            except TriageError as error:
                assert error.message


def test_an_unknown_format_is_refused_with_what_was_seen(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "letter.docx"
    path.write_bytes(b"\xd0\xcf\x11\xe0 something else")
    with pytest.raises(InputError, match=r"it begins with b'\\xd0\\xcf"):
        samples.take(settings, path, "project_vic")
    assert not importer.imports_dir(settings).exists() or not list(importer.imports_dir(settings).iterdir())


def test_an_empty_file_is_refused(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "empty.json"
    path.write_bytes(b"\xef\xbb\xbf\n")
    with pytest.raises(InputError, match="is empty"):
        samples.take(settings, path, "project_vic")


def test_a_source_accepts_only_its_declared_format(tmp_path: Path, settings: Settings) -> None:
    path = samples.vics(tmp_path / "a.json", [samples.media(1)])
    with pytest.raises(InputError, match="declared format icse"):
        samples.take(settings, path, "icse")
