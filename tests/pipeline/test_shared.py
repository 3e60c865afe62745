"""Settings, policy files, records, runs, locators, output: the mechanisms that every room uses."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import contract as night
from pipeline import csvtext, files, jsontext, output, policy, records
from pipeline.contract import StageReport
from pipeline.errors import InputError, IntegrityError, SettingsError, TriageError, UsageError
from pipeline.locator import Locator
from pipeline.night import stages as nightly
from pipeline.settings import ROOT, Settings

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: st.lists(below) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), below),
)


class TestSettings:
    def test_defaults_are_loopback_and_embedded(self) -> None:
        settings = Settings.load({})
        assert settings.console_host == "127.0.0.1"
        assert settings.case_store_url.startswith("sqlite:///")
        assert settings.landing_dir == settings.home / "landing"

    def test_values_are_read_and_typed(self, tmp_path: Path) -> None:
        settings = Settings.load(
            {"TRIAGE_HOME": str(tmp_path), "TRIAGE_THREADS": "3", "TRIAGE_SANDBOX": "strict", "OTHER": "x"}
        )
        assert (settings.home, settings.threads, settings.thread_count, settings.sandbox) == (tmp_path, 3, 3, "strict")

    @pytest.mark.parametrize(
        ("variable", "value", "says"),
        [
            ("TRIAGE_THREADS", "many", "not a whole number"),
            ("TRIAGE_THREADS", "-1", "negative"),
            ("TRIAGE_SANDBOX", "off", "not one of"),
            ("TRIAGE_HOEM", "x", "Unknown setting TRIAGE_HOEM"),
        ],
    )
    def test_a_wrong_value_is_named(self, variable: str, value: str, says: str) -> None:
        with pytest.raises(SettingsError, match=says):
            Settings.load({variable: value})

    def test_the_store_url_can_come_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("postgresql+psycopg://h/db\n")
        assert Settings(cases_url_file=tmp_path / "url").case_store_url == "postgresql+psycopg://h/db"
        with pytest.raises(SettingsError, match="cannot be read"):
            _ = Settings(cases_url_file=tmp_path / "none").case_store_url


class TestPolicy:
    @pytest.mark.parametrize("name", nightly.POLICIES)
    def test_every_shipped_policy_is_valid(self, settings: Settings, name: str) -> None:
        loaded = policy.load(settings, name)
        assert loaded.version and len(loaded.digest) == 64

    def test_all_defects_are_named_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "facts.yaml").write_text("version: 1\nfacts: {BAD: short}\n")
        with pytest.raises(SettingsError) as caught:
            policy.load(Settings(policy=tmp_path), "facts")
        for word in ("version", "BAD", "short"):
            assert word in str(caught.value)

    def test_a_missing_or_unreadable_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"facts\.yaml cannot be read"):
            policy.load(Settings(policy=tmp_path), "facts")
        (tmp_path / "facts.yaml").write_text("{")
        with pytest.raises(SettingsError, match="not YAML"):
            policy.load(Settings(policy=tmp_path), "facts")


class TestRecords:
    @pytest.mark.parametrize("table", records.tables())
    def test_every_field_is_described_and_typed(self, table: str) -> None:
        schema = records.describe(table)
        assert schema["title"] and schema["description"]
        for name, spec in schema["properties"].items():
            assert spec["title"] and len(spec["description"]) > 2, name
        assert set(schema["required"]) <= set(schema["properties"])
        assert records.empty(table).schema == records.arrow_schema(table)

    def test_unknown_and_missing_columns_are_refused(self) -> None:
        with pytest.raises(TriageError, match="no column colour"):
            records.build("variants", [{"colour": 1}])
        with pytest.raises(TriageError, match="needs a value"):
            records.build("variants", [{"sha256": b"x" * 32}])
        with pytest.raises(TriageError, match="no record type"):
            records.describe("nothing")

    def test_json_columns_are_canonical(self) -> None:
        row = {"defect": {"b": 1, "a": ["é"]}}
        assert jsontext.canonical_json(row) == '{"defect":{"a":["é"],"b":1}}'

    @given(_JSON)
    def test_the_fast_text_of_a_column_is_the_canonical_one(self, value: object) -> None:
        assert jsontext.json_text(value) == jsontext.canonical_json(value)

    def test_the_fast_text_hides_nothing_that_json_cannot_write(self) -> None:
        assert jsontext.json_text({"n": 2**70, "f": 0.25}) == '{"f":0.25,"n":1180591620717411303424}'
        with pytest.raises(ValueError, match="JSON compliant"):
            jsontext.json_text([float("nan")])
        with pytest.raises(TypeError):
            jsontext.json_text({"at": datetime(2026, 11, 21, tzinfo=UTC)})

    def test_rows_may_lack_what_is_not_required(self) -> None:
        table = records.build("defects", [{"package_id": "p", "field": "/a", "problem": "bad"}])
        (row,) = table.to_pylist()
        assert row == {name: row[name] for name in records.arrow_schema("defects").names}
        assert row["problem"] == "bad" and row["original"] is None
        assert records.build("defects", []).equals(records.empty("defects"))

    def test_personal_columns_are_marked(self) -> None:
        assert {"name", "date_of_birth"} <= records.personal_columns("subjects")
        assert "text" in records.personal_columns("narratives")


class TestNight:
    def test_a_second_start_is_the_same_run_with_the_same_clock(self, settings: Settings) -> None:
        first = night.start(settings, as_of=datetime(2026, 11, 21, 1, tzinfo=UTC))
        again = night.start(settings, "night-2026-11-21", datetime(2026, 11, 21, 9, tzinfo=UTC))
        assert first == again
        assert first.run_id == "night-2026-11-21"

    def test_the_clock_is_kept_in_utc(self, settings: Settings) -> None:
        run = night.start(settings, "x", datetime(2026, 6, 1, 1, tzinfo=timezone(timedelta(hours=1))))
        assert run.as_of.isoformat() == "2026-06-01T00:00:00+00:00"

    @pytest.mark.parametrize("name", ["../x", "", "a b", "-x", "x" * 100])
    def test_unsafe_names_are_refused(self, settings: Settings, name: str) -> None:
        with pytest.raises(UsageError):
            night.load(settings, night.start(settings, name or " ").run_id)

    def test_a_damaged_or_missing_run_is_named(self, settings: Settings) -> None:
        with pytest.raises(UsageError, match="no run"):
            night.load(settings, "none")
        run = night.start(settings, "x")
        (night.run_dir(settings, run.run_id) / "run.json").write_text("{")
        with pytest.raises(IntegrityError, match="damaged"):
            night.load(settings, "x")

    def test_reports_come_back_as_they_were_recorded(self, settings: Settings) -> None:
        night.start(settings, "x")
        night.record(settings, StageReport("ingest", "x", read=3, kept=2, rejected={"bad": 1}))
        found = nightly.reports(settings, "x")
        assert len(found) == 1 and found[0].balanced


class TestLocator:
    @given(st.text(alphabet="ab/.é ", min_size=1).filter(lambda s: "!/" not in s), st.none() | st.text(min_size=1))
    def test_text_and_back(self, container: str, member: str | None) -> None:
        locator = Locator(container, member)
        assert Locator.parse(str(locator)) == locator

    @pytest.mark.parametrize("text", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
    def test_outside_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InputError):
            Locator.parse(text).path(tmp_path)

    def test_a_link_that_leads_out_is_refused(self, tmp_path: Path) -> None:
        landing = tmp_path / "landing"
        landing.mkdir()
        (landing / "link").symlink_to(tmp_path)
        with pytest.raises(InputError, match="link"):
            Locator("link/x").path(landing)
        assert Locator("nca/p/1.jpg").path(landing) == landing / "nca/p/1.jpg"


BST = timezone(timedelta(hours=1))
ROWS = [
    {
        "id": "C-1",
        "score": -4.5,
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "hash": b"\x01\xff",
        "tags": ["a", "b"],
        "open": True,
        "none": None,
    },
    {"id": "=1+2", "score": 7, "when": None, "hash": None, "tags": [], "open": False, "none": None},
]


class TestOutput:
    def test_json_and_json_lines_agree(self) -> None:
        listed = orjson.loads(output.render(ROWS, "json"))
        assert [orjson.loads(line) for line in output.render(ROWS, "jsonl").splitlines()] == listed
        assert listed[0]["hash"] == "01ff" and listed[0]["when"] == "2026-01-02T00:00:00+00:00"

    def test_parquet_reads_back(self) -> None:
        assert pq.read_table(io.BytesIO(output.render(pa.table({"a": [1, 2]}), "parquet")))["a"].to_pylist() == [1, 2]

    def test_a_table_shows_control_characters(self) -> None:
        shown = output.render([{"x": "a\x1b[31mb"}], "table").decode()
        assert "\x1b" not in shown and "\\x1b" in shown

    @given(st.lists(st.tuples(st.text(), st.one_of(st.integers(), st.floats(allow_nan=False), st.text())), min_size=1))
    def test_no_csv_cell_is_a_formula_and_text_survives(self, cells: list[tuple[str, object]]) -> None:
        rows = [{"a": a, "b": b} for a, b in cells]
        back = list(csv.reader(io.StringIO(csvtext.as_csv(["a", "b"], rows).decode(), newline="")))
        assert len(back) == len(rows) + 1
        for row, (a, b) in zip(back[1:], cells, strict=True):
            for cell, value in zip(row, (a, b), strict=True):
                if isinstance(value, str):
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\0"))
                    assert cell.removeprefix("'") == value.removeprefix("'")
                else:
                    assert float(cell) == float(value)  # type: ignore[arg-type]

    def test_a_moment_in_csv_is_a_time_to_a_spreadsheet(self) -> None:
        moments = [datetime(2026, 6, 1, 0, 30, tzinfo=BST), datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)]
        text = csvtext.as_csv(["at"], [{"at": moment} for moment in moments]).decode()
        assert text.split("\r\n")[1:3] == ["2026-05-31 23:30:00", "2026-01-02 03:04:05.678"]


class TestFiles:
    def test_a_failed_write_leaves_the_old_content(self, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        files.write_json(path, {"a": 1})
        with pytest.raises(RuntimeError), files.atomic_writer(path) as file:
            file.write(b"half")
            raise RuntimeError
        assert json.loads(path.read_text()) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]


def test_the_root_holds_schemas_and_policy() -> None:
    assert (ROOT / "schemas" / "records").is_dir() and (ROOT / "policy" / "facts.yaml").is_file()
