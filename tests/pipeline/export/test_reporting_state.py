"""Tables that are kept up to date say what computing everything says, whatever happened in between."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from pipeline import files, records, tablecsv
from pipeline.cases.work import bands, claims, decisions, requests, retention, safeguarding
from pipeline.export import reporting, reporting_state, stage
from pipeline.export.reporting_parts import Shelf
from pipeline.lake import Lake
from pipeline.lake.erasing import Wanted
from pipeline.settings import Settings
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Case
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, SUPERVISOR

REASON = {"reason_code": "intelligence", "note": "Synthetic note"}


class World:
    """A home in which nights go by: what arrives, what people do, and what the tables say then."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings, self.chance = settings, random.Random(seed)
        self.night, self.known, self.versions = 0, 0, dict[int, int]()
        self.moment = samples.START
        self.store: Store = open_store(settings, lambda: self.moment + timedelta(hours=3))
        self.lake = Lake(settings.lake_dir)

    def arrive(self, count: int = 3, **over: Any) -> None:
        """New referrals with files, packages and links to earlier ones, of which some are restricted."""
        first, self.known = self.known + 1, self.known + count
        new = range(first, self.known + 1)
        compartment = {n: "ucol" for n in new if self.chance.random() < 0.25} | dict.fromkeys(over.get("open", ()))
        self._commit("ingest", {
            "packages": [self._package(n, compartment.get(n)) for n in new],
            "media_files": [self._file(n, k) for n in new for k in range(2)],
        })  # fmt: skip
        rows = [
            samples.referral_row(n, source="UCOL" if compartment.get(n) else "NCA_NCMEC", compartment=compartment.get(n),
                                 incident_at=samples.START - timedelta(days=n))
            for n in new
        ]  # fmt: skip
        assessed = [
            samples.assessment(
                n, self.chance.choice(["low", "medium", "very_high"]), summary={"compartment": compartment.get(n)}
            )
            for n in new
        ]
        pairs = [(n, self.chance.randint(1, n - 1)) for n in new if n > 1]
        samples.publish_rows(
            self.store, self.run, referrals=rows, assessments=assessed,
            links=[samples.link(n, other, at=self.run) for n, other in pairs],
        )  # fmt: skip
        self.versions |= dict.fromkeys(new, 1)

    def match(self) -> None:
        """Fingerprints and matches of contents, of earlier nights too."""
        contents = sorted({self._sha(n, k) for n in range(1, self.known + 1) for k in range(2)})
        some = self.chance.sample(contents, min(4, len(contents)))
        prints = [self._print(sha) for sha in some]
        matches = [self._match(sha, number) for number, sha in enumerate(some)]
        self._commit("match", {"matches": matches, "fingerprints": prints})

    def change_model(self) -> None:
        """Everything is assessed anew."""
        rows = []
        for n in self._open():
            self.versions[n] += 1
            band = self.chance.choice(["low", "high", "very_high"])
            rows.append(samples.assessment(n, band, version=self.versions[n], at=self.run))
        samples.publish_rows(self.store, self.run, assessments=rows)

    def supplement(self) -> None:
        """A referral that extends an earlier case, and a link that holds no more."""
        base = self.chance.choice(self._open())
        self.known += 1
        n = self.known
        self.versions[n], self.versions[base] = 1, self.versions[base] + 1
        self._commit("ingest", {"media_files": [self._file(n, 0)], "packages": [self._package(n, None)]})
        both = [samples.referral(base), samples.referral(n)]
        samples.publish_rows(
            self.store, self.run, referrals=[samples.referral_row(n, supplements=samples.referral(base))],
            assessments=[samples.assessment(base, "very_high", version=self.versions[base], at=self.run, referrals=both)],
            links=[samples.link(2, 1, at=self.run, withdrawn=True, version=2), samples.link(n, base, at=self.run)],
        )  # fmt: skip

    def restrict(self) -> None:
        """A case that becomes restricted when more is known of it."""
        n = self.chance.choice(self._open())
        self.versions[n] += 1
        row = samples.assessment(n, version=self.versions[n], at=self.run, summary={"compartment": "ucol"})
        samples.publish_rows(self.store, self.run, assessments=[row])

    def work(self) -> None:
        """What people do: claim, ask, raise, enter, close, reopen."""
        for n in self.chance.sample(self._open(), 2):
            with self.store.session() as session:
                case = claims.claim(session, SUPERVISOR, samples.case_of(n))
                safeguarding.enter(session, SUPERVISOR, case.case_id, n, version=case.version)
                if self.chance.random() < 0.5:
                    given = {"asked_of": "Unit", "text": "Synthetic", "reason_code": "missing_files"}
                    requests.ask(session, SUPERVISOR, case.case_id, version=case.version, **given)
                elif case.band != "very_high":
                    bands.raise_band(session, SUPERVISOR, case.case_id, "very_high", version=case.version, **REASON)
        self.close(self.chance.choice(self._open()))

    def close(self, n: int) -> None:
        with self.store.session() as session:
            case = claims.claim(session, SUPERVISOR, samples.case_of(n))
            given = {"reason_code": "enquiry_complete", "outcome": "no_suspect"}
            decisions.decide(session, SUPERVISOR, case.case_id, "close", version=case.version, **given)

    def erase(self) -> None:
        """A closed case is erased: from the store at once, from lake and tables by the command."""
        n = self.chance.choice(self._open())
        self.close(n)
        with self.store.session() as session:
            case = session.get_one(Case, samples.case_of(n))
            retention.erase(session, SUPERVISOR, case.case_id, reason_code="unfounded", version=case.version)
        if self.chance.random() < 0.5:
            self.lake.erase(Wanted([samples.referral(n)], [samples.case_of(n)], [f"P-{n}"]), self.run.run_id)

    def on(self) -> None:
        """The next night."""
        self.night += 1
        self.moment = self.run.as_of

    @property
    def run(self) -> Any:
        return samples.night(self.night)

    def _open(self) -> list[int]:
        with self.store.reader() as session:
            found = {case.referral_id for case in session.query(Case).filter(Case.is_open.is_(True))}
        return [n for n in range(1, self.known + 1) if samples.referral(n) in found]

    def _commit(self, name: str, tables: dict[str, list[dict[str, Any]]]) -> None:
        built = {table: records.build(table, rows) for table, rows in tables.items()}
        self.lake.commit(name, f"{name}-{self.night}-{self.known}", built, run_id=self.run.run_id)

    def _sha(self, n: int, k: int) -> bytes:
        return bytes([(n * 7 + k) % 5 if k else n]) * 32  # the second file of a referral is that of others too

    def _file(self, n: int, k: int) -> dict[str, Any]:
        return {
            "file_id": f"F-{n}-{k}", "referral_id": samples.referral(n), "package_id": f"P-{n}", "name": f"{n}.jpg",
            "state": "present", "sha256": self._sha(n, k), "size": 10, "viewed_by_provider": "unknown",
            "publicly_available": "no", "annotations": [],
        }  # fmt: skip

    def _package(self, n: int, compartment: str | None) -> dict[str, Any]:
        return {
            "package_id": f"P-{n}", "landing_folder": "ucol" if compartment else "nca", "container": f"nca/{n}", "state": "accepted",
            "reasons": [], "first_seen": self.moment, "files": 2, "defects": 0, "referral_id": samples.referral(n),
            "run_id": self.run.run_id,
        }  # fmt: skip

    def _print(self, sha: bytes) -> dict[str, Any]:
        return {
            "sha256": sha, "md5": b"m" * 16, "sha1": b"s" * 20, "size": 7, "state": "hashed", "low_information": False,
            "algorithm_version": "1", "decoder_version": "1", "sandbox": "none", "run_id": self.run.run_id,
        }  # fmt: skip

    def _match(self, sha: bytes, number: int) -> dict[str, Any]:
        return {
            "match_id": f"M-{self.night}-{number}", "sha256": sha, "media_key": number, "kind": self.chance.choice(["exact", "near"]),
            "algorithm": "pdq", "distance": number, "threshold": 31, "low_information": False, "total_hits": 1, "release": 3 + self.night % 2,
            "grade": "TRUSTED", "category": "B", "sources": ["demo"], "victim_identified": "unknown", "offender_identified": "unknown",
            "distributed": "yes", "series": [], "tags": [], "query_hash": "00" * 32, "known_hash": "0f" * 32, "algorithm_version": "1",
            "code_version": "1", "run_id": self.run.run_id,
        }  # fmt: skip


def said(settings: Settings) -> list[dict[str, list[str]]]:
    """Rows of every table, of both sets, in an order of their own."""
    both = []
    for compartments in ((), ("ucol",)):
        loaded = reporting.load(settings, compartments)
        assert loaded is not None
        both.append({name: sorted(map(repr, table.to_pylist())) for name, table in loaded.tables.items()})
    return both


def anew(settings: Settings, as_of: datetime, place: Path) -> list[dict[str, list[str]]]:
    """What computing everything says, in a copy of the home."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(settings.home, place)
    copy = replace(settings, home=place)
    stage.bring_up(copy, as_of, "whole", whole=True)
    return said(copy)


@pytest.fixture
def world(settings: Settings) -> World:
    return World(settings, 1)


def test_after_any_sequence_of_nights_the_tables_are_those_computed_anew(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    world.arrive(6)
    stage.bring_up(settings, world.run.as_of, "night-0")
    happenings: list[Callable[[], None]] = [
        world.match,
        world.change_model,
        world.supplement,
        world.restrict,
        world.work,
        world.erase,
    ]
    world.chance.shuffle(happenings)
    for happening in [*happenings, world.match]:
        world.on()
        happening()
        world.arrive(1)
        before = reporting_state.load(Shelf(settings), world.store.rules.data["urgency"])
        assert before is not None
        rows = stage.bring_up(settings, world.run.as_of, world.run.run_id)
        assert rows == {name: len(listed) for name, listed in said(settings)[0].items()}
        expected = anew(settings, world.run.as_of, tmp_path / "copy")
        for kept, whole in zip(said(settings), expected, strict=True):
            for table in reporting.tables():
                assert kept[table] == whole[table], (happening.__name__, table)
    with world.store.reader() as session:
        assert reporting_state.touched(session) == {}
    world.store.close()


def test_what_is_kept_can_be_thrown_away(world: World, settings: Settings) -> None:
    world.arrive(5)
    stage.bring_up(settings, world.run.as_of, "night-0")
    world.on()
    world.arrive(2)
    stage.bring_up(settings, world.run.as_of, "night-1")
    before = said(settings)
    shutil.rmtree(settings.home / "cache" / "reporting")
    stage.bring_up(settings, world.run.as_of, "night-1")
    assert said(settings) == before
    shutil.rmtree(reporting.reporting_dir(settings))
    stage.bring_up(settings, world.run.as_of, "night-1")
    assert said(settings) == before
    world.store.close()


def test_a_night_writes_only_the_files_that_it_touches(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.export.reporting_parts.PART", 4)
    world.arrive(12, open=range(1, 13))
    stage.bring_up(settings, world.run.as_of, "night-0")
    folder = reporting.reporting_dir(settings) / "report_files"
    before = {p.name for p in folder.glob("*.parquet")}
    world.on()
    world.arrive(1, open=[13])
    stage.bring_up(settings, world.run.as_of, "night-1")
    named = {Path(uri).name for uri in DeltaTable(str(folder)).file_uris()}
    assert len(before) == 6
    assert before <= named
    assert len(named) == 7
    world.store.close()


@pytest.mark.parametrize("after", [3, 25, 60])
def test_killed_anywhere_the_tables_stay_as_they_were_and_the_next_night_makes_up_for_it(
    world: World, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    world.arrive(4)
    stage.bring_up(settings, world.run.as_of, "night-0")
    before = said(settings)
    world.on()
    world.arrive(2)
    world.work()
    whole, written = files.write_bytes, 0

    def dying(path: Path, data: Any) -> None:
        nonlocal written
        written += 1
        if written > after:
            raise KeyboardInterrupt
        whole(path, data)

    monkeypatch.setattr(files, "write_bytes", dying)
    try:
        stage.bring_up(settings, world.run.as_of, "night-1")
    except KeyboardInterrupt:
        assert said(settings)[0] == before[0]
    monkeypatch.setattr(files, "write_bytes", whole)
    stage.bring_up(settings, world.run.as_of, "night-1")
    assert said(settings) == anew(settings, world.run.as_of, tmp_path / "copy")
    world.store.close()


@pytest.mark.parametrize("which", ["*/*.owners.*.parquet", "*/*.csv", "*/*.csv.places"])
def test_a_damaged_kept_file_is_not_built_upon(world: World, settings: Settings, tmp_path: Path, which: str) -> None:
    world.arrive(4)
    stage.bring_up(settings, world.run.as_of, "night-0")
    for path in (settings.home / "cache" / "reporting").glob(which):
        path.write_bytes(path.read_bytes()[:-1] + (b"!" if path.suffix != ".csv" else b""))
    world.on()
    world.arrive(1)
    stage.bring_up(settings, world.run.as_of, "night-1")
    assert said(settings) == anew(settings, world.run.as_of, tmp_path / "copy")
    assert ANALYST.user_id not in repr(said(settings))
    world.store.close()


def test_a_limit_that_passes_changes_the_case_and_the_clock_alone_changes_nothing(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """Moments at, just before and after every limit: due soon, overdue, long overdue."""
    world.arrive(6, open=range(1, 7))
    hours = world.store.rules.data["urgency"]
    shifts = (-hours["due_soon_hours"], 0, hours["critically_overdue_hours"])
    with world.store.reader() as session:
        targets = sorted({case.due_at for case in session.query(Case)})
    step = timedelta(seconds=1)
    limits = sorted({t + timedelta(hours=h) for t in targets for h in shifts})
    stage.bring_up(settings, limits[0] - timedelta(hours=2), "night-0")
    folder = reporting.reporting_dir(settings) / "report_cases"
    for n, limit in enumerate(limits):
        for moment in (limit - step, limit, limit + step):
            stage.bring_up(settings, moment, f"night-{n}")
            assert said(settings) == anew(settings, moment, tmp_path / "copy"), (n, moment)
    named = set(DeltaTable(str(folder)).file_uris())
    stage.bring_up(settings, limits[-1] + timedelta(days=1), "later")
    assert set(DeltaTable(str(folder)).file_uris()) == named
    assert {row["urgency"] for row in DeltaTable(str(folder)).to_pyarrow_table().to_pylist()} == {"critically_overdue"}
    world.store.close()


def test_a_large_table_gets_its_csv_on_demand_only(world: World, settings: Settings, tmp_path: Path) -> None:
    """After a night no CSV of another moment lies there; the tables themselves are there either way, under the same names."""
    settings = replace(settings, policy=shutil.copytree(settings.policy, tmp_path / "policy"))
    path = settings.policy / "lake.yaml"
    path.write_text(path.read_text().replace("reporting_csv_rows: 100000", "reporting_csv_rows: 6"))
    world.arrive(6, open=range(1, 7))
    folder = reporting.reporting_dir(settings)

    def csv_of(table: str) -> list[Any]:
        listed = json.loads((folder / reporting.MANIFEST).read_text())["tables"][table]
        lies = (folder / f"{table}.csv").read_bytes() if (folder / f"{table}.csv").exists() else None
        return [listed["csv"], lies]

    def lines(table: str) -> bytes:
        loaded = reporting.load(settings)
        assert loaded is not None
        return tablecsv.table_csv(loaded.tables[table])

    stage.bring_up(settings, world.run.as_of, "night-0")
    assert csv_of("report_cases") == ["report_cases.csv", lines("report_cases")]
    assert csv_of("report_files") == [None, None]
    world.on()
    world.arrive(1, open=[7])
    for _ in range(2):
        stage.write(settings, None)
        for table in reporting.tables():
            assert csv_of(table) == [f"{table}.csv", lines(table)]
        stage.bring_up(settings, datetime.now(UTC) + timedelta(days=1), "night-1")
        assert csv_of("report_cases") == csv_of("report_files") == [None, None]
        assert csv_of("report_packages") == [None, None] and csv_of("report_moment")[0] == "report_moment.csv"
        assert len(DeltaTable(str(folder / "report_cases")).to_pyarrow_table()) == 7
    world.store.close()
