"""Erasure reaches everything: after it no file below the home holds a mark of the person, and what was counted stays counted.

Two people send through the same providers. One case is erased; every file of the home is then read for that person's marks, as bytes
and, where it is Parquet, row by row through DuckDB; the other person's marks must still be there.
"""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa

from pipeline import contract, records
from pipeline.cases.work import claims, requests, retention
from pipeline.console.casepage.evidence import Evidence
from pipeline.lake import Lake
from pipeline.lake.settling import Settler
from pipeline.night import erasing, stages
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM, Actor
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case
from tests import factory

AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)


def report(mark: str) -> dict[str, bytes]:
    """A report in which every field that takes free words holds the person's mark, and a picture."""
    body: dict[str, Any] = {
        "form": "referral/1",
        "reference": f"{mark}-reference",
        "report_type": f"{mark}-type",
        "provider": "Provider 7",
        "platform": "plat7",
        "urgency": f"{mark} urgency",
        "handling": f"{mark} handling",
        "priority": f"{mark} priority",
        "prior_references": [f"{mark}-prior"],
        "times": {"incident_at": f"{mark} o'clock", "force_received_at": "2026-11-20T08:00:00Z"},
        "unheard_of": {"deep": f"{mark} unknown key"},
        "taken": {"by": f"{mark} taker"},
        "subjects": [
            {
                "role": "suspect", "name": f"{mark} Surname", "date_of_birth": "1980-02-03", "gender": f"{mark} gender",
                "occupation": f"teacher {mark}", "country": f"{mark} country",
                "addresses": [{"text": f"1 {mark} Street", "postcode": "ZZ1 1ZZ"}],
                "workplaces": [{"name": f"{mark} School", "text": f"2 {mark} Road"}],
                "emails": [{"value": f"{mark}@mail.example"}, {"value": "shared@mail.example"}],
                "phones": [{"value": f"{mark} is no number"}],
                "accounts": [{"service": f"{mark}.example", "username": f"{mark}_user", "user_id": f"{mark}-id", "profile_url": f"https://plat7.example/{mark}"}],
                "devices": [{"value": f"{mark}-device"}], "vehicles": [{"value": f"{mark}-plate"}], "urls": [{"value": f"https://{mark}.example/"}],
            }
        ],
        "connections": [{"ip": f"{mark}.300.1.1", "event": f"{mark} event"}, {"ip": "203.0.113.7", "at": f"{mark} time"}],
        "files": [{"name": f"{mark}.jpg", "annotations": [f"{mark} annotation"], "uploaded_at": f"{mark} uploaded"}],
        "narrative": [f"[synthetic narrative of {mark}]"],
        "chat": [{"participant": f"{mark}_user", "text": f"[synthetic message of {mark}]", "sent_at": f"{mark} sent"}],
    }  # fmt: skip
    return {"referral.json": json.dumps(body).encode(), f"{mark}.jpg": factory.picture(sum(mark.encode()))}


def prints(lake: Lake) -> pa.Table:
    """A row per picture as the fingerprint stage writes it, with the person's mark in what EXIF said."""
    marks = {row["sha256"]: row["name"].removesuffix(".jpg") for row in lake.read("media_files").to_pylist()}
    rows = [
        {
            "sha256": content, "md5": bytes(16), "sha1": bytes(20), "size": 1, "media_type": "image/jpeg", "state": "hashed",
            "low_information": False, "algorithm_version": "1", "decoder_version": "1", "sandbox": "none", "run_id": "night-1",
            "exif": {"make": f"{mark}-make"},
        }
        for content, mark in marks.items()
    ]  # fmt: skip
    return records.build("fingerprints", rows)


GONE, STAYS = "zqgone", "zqstays"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a night over both people's reports, and a second package of each that could not be read."""
    settings = Settings(home=tmp_path_factory.mktemp("erasing") / "home", threads=2)
    for mark in (GONE, STAYS):
        factory.land(settings, report(mark), f"{mark}-package")
        factory.land(settings, {"referral.json": f"{mark} no JSON".encode()}, f"{mark}-package-corrected")
    run = contract.start(settings, "night-1", AS_OF)
    stages.run_stage(settings, stages.find("ingest"), run, None)
    Lake.of(settings).commit("fingerprint", "f", {"fingerprints": prints(Lake.of(settings))}, run_id="night-1")
    for name in ("flood", "assess", "publish", "reporting"):
        stages.run_stage(settings, stages.find(name), run, None)
    ask_about(settings, GONE, STAYS)
    Lake.of(settings).merge("merged")
    Evidence(settings).refresh()
    return settings.home


@pytest.fixture
def home(night: Path, tmp_path: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(night, tmp_path / "home")), threads=2)


def referral_of(settings: Settings, mark: str) -> str:
    [referral] = {row["referral_id"] for row in Lake.of(settings).read("narratives").to_pylist() if mark in row["text"]}
    return str(referral)


def ask_about(settings: Settings, *marks: str) -> None:
    """Somebody asks about the cases and names the person: the case store holds what people write, and no words of a sender."""
    store = open_store(settings)
    actor = Actor("ann", "Ann", frozenset({"analyst"}), frozenset())
    try:
        with store.session() as session:
            users._add(session, SYSTEM, "ann", "Ann", roles=["analyst"], password=None)
        for mark in marks:
            with store.session() as session:
                referral = referral_of(settings, mark)
                number = session.scalars(sa.select(Case.case_id).where(Case.referral_id == referral)).one()
                version = claims.claim(session, actor, number).version
                words = {
                    "asked_of": "Unit 7",
                    "text": f"[synthetic question about {mark}]",
                    "reason_code": "missing_files",
                }
                requests.ask(session, actor, number, version=version, **words)
    finally:
        store.close()


def erase_case(settings: Settings, mark: str) -> str:
    """Erase the case of that mark in the case store; returns its number."""
    referral = referral_of(settings, mark)
    store = open_store(settings)
    try:
        with store.session() as session:
            case = session.scalars(sa.select(Case).where(Case.referral_id == referral)).one()
            case.state, case.is_open = "closed", False
            number = case.case_id
        with store.session() as session:
            actor = Actor("sue", "Sue", frozenset({"supervisor"}), frozenset())
            users._add(session, SYSTEM, "sue", "Sue", roles=["supervisor"], password=None)
            retention.erase(
                session, actor, number, reason_code="court_order", version=session.get_one(Case, number).version
            )
        return number
    finally:
        store.close()


def holding(home: Path, mark: str) -> list[str]:
    """Files below the home that hold the mark: as bytes in any of the usual encodings, in their names, and in Parquet."""
    wanted = [re.compile(re.escape(mark).encode(code), re.IGNORECASE) for code in ("utf-8", "utf-16-le")]
    wanted.append(re.compile(mark.encode().hex().encode(), re.IGNORECASE))
    found = []
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        shown = str(path.relative_to(home))
        if shown.startswith("landing/"):
            continue
        data = path.read_bytes()
        if path.suffix == ".parquet":
            rows = duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            data += repr(rows).encode()
        if mark in shown or any(w.search(data) for w in wanted):
            found.append(shown)
    return found


def figures(settings: Settings) -> dict[str, int]:
    """Rows of every table of the lake."""
    lake = Lake.of(settings)
    return {name: lake.read(name).num_rows for name in records.tables()}


def remove_packages(settings: Settings, mark: str) -> None:
    for path in settings.landing_dir.glob(f"*/{mark}*"):
        shutil.rmtree(path)


def test_no_file_of_the_home_holds_the_person_after_an_erase_and_counts_stay(home: Settings) -> None:
    before = figures(home)
    kept = holding(home.home, STAYS)
    leftover = home.runs_dir / "night-1" / "failures" / "ingest-0.txt"
    leftover.parent.mkdir()
    leftover.write_text(f"ValueError: {GONE}")
    assert {Path(name).parts[0] for name in holding(home.home, GONE)} >= {
        "cache", "cases.sqlite", "console", "ingest", "lake", "quarantine", "runs",
    }  # fmt: skip
    number = erase_case(home, GONE)
    told = erasing.erase(home, "erasure-1")
    assert len(told.in_landing) == 2, "packages that the next night would read again are named, to be removed"
    remove_packages(home, GONE)
    again = erasing.erase(home, "erasure-2")
    assert again.in_landing == [] and again.tables == {"packages": 1}
    assert holding(home.home, GONE) == []
    assert figures(home) == before
    made_anew = {("cache", "linking"), ("cache", "quarantine")}  # removed as a whole, until the next night
    assert {Path(name).parts[:2] for name in holding(home.home, STAYS)} == {
        Path(name).parts[:2] for name in kept
    } - made_anew
    assert erasing.erase(home, "erasure-3") == erasing.Erasure()
    store = open_store(home)
    with store.reader() as session:
        entries = session.scalars(sa.select(AuditEntry).where(AuditEntry.category == "erasure")).all()
        assert [(e.case_id, e.user_id) for e in entries] == [(number, "sue")]
    store.close()


def test_an_erasure_that_was_killed_before_old_files_were_removed_is_made_up_for(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_case(home, GONE)
    remove_packages(home, GONE)

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Settler, "vacuum", killed)
        with pytest.raises(KeyboardInterrupt):
            erasing.erase(home, "erasure-1")
    assert holding(home.home, GONE) != []
    assert erasing.erase(home, "erasure-2").tables == {}
    assert holding(home.home, GONE) == []


def test_the_next_night_counts_and_brings_nothing_back(home: Settings) -> None:
    erase_case(home, GONE)
    remove_packages(home, GONE)
    erasing.erase(home, "erasure-1")
    run = contract.start(home, "night-2", AS_OF + timedelta(days=1))
    for name in ("ingest", "assess", "publish", "reporting"):
        stages.run_stage(home, stages.find(name), run, None)
    assert holding(home.home, GONE) == []
    assert Lake.of(home).verify() > 0
