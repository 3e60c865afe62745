"""The stage end to end, with the real media worker: nothing lost, nothing twice, the same tables however it is run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import bagit
import pytest

from pipeline import contract as night
from pipeline import files, records
from pipeline.contract import Night
from pipeline.ingest import intake, quarantine, stage
from pipeline.ingest.held import HELD_BACK, held_back
from pipeline.ingest.landing import discovery, seen
from pipeline.ingest.writing import tables as ingest_tables
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests import factory
from tests.factory import NIGHT, form, ingest, land, picture, table


def tables(settings: Settings) -> dict[str, bytes]:
    """Every published part, by name: its bytes."""
    lake = Lake(settings.lake_dir)
    return {p.name: p.path.read_bytes() for c in lake.commits() for p in c.parts}


def states(settings: Settings) -> dict[str, str]:
    return {row["container"]: row["state"] for row in table(settings, "packages")}


def test_a_sample_ends_as_its_truth_says_and_reconciles(settings: Settings) -> None:
    factory.sample_landing(settings, seed=4, referrals=25)
    report = ingest(settings)
    truth = json.loads((settings.home / "ground_truth.json").read_text())["packages"]
    expected = {p["container"]: p["state"] for p in truth if p["state"] != "waiting"}
    assert states(settings) == expected
    assert report.balanced
    assert report.read == len(truth)
    assert report.rejected["waiting"] == sum(p["state"] == "waiting" for p in truth)
    packages, referrals = table(settings, "packages"), table(settings, "referrals")
    made = [p for p in packages if p["state"] in {"accepted", "supplement"}]
    assert sorted(p["referral_id"] for p in made) == sorted(r["referral_id"] for r in referrals)
    sent = {f["sha256"] for p in truth if p["state"] in {"accepted", "supplement"} for f in p["files"] if f["sent"]}
    present = [m for m in table(settings, "media_files") if m["state"] == "present"]
    assert {m["sha256"].hex() for m in present} == sent
    counts = report.counts
    assert sum(n for k, n in counts.items() if k.startswith("files_")) == counts["media_files"]  # type: ignore[misc]
    assert counts["identifiers"] == len(table(settings, "identifiers"))
    assert {r["report_sha256"] for r in referrals} == {o["report_sha256"] for o in table(settings, "originals")}


def test_a_second_run_changes_nothing_and_reports_the_same(settings: Settings) -> None:
    factory.sample_landing(settings, seed=5, referrals=12)
    first = ingest(settings)
    before = tables(settings)
    second = ingest(settings)
    assert tables(settings) == before
    assert second.read == first.read
    assert second.kept == first.kept
    assert second.outputs == first.outputs
    (settings.home / "ingest" / "seen.json").unlink()  # the shortcut is only a shortcut
    third = ingest(settings)
    assert tables(settings) == before
    assert third.read == first.read
    (settings.home / "ingest" / "seen.json").write_text('{"damaged": 1}')
    ingest(settings)
    assert tables(settings) == before


def test_two_homes_with_the_same_packages_have_the_same_bytes(tmp_path: Path) -> None:
    results = []
    for name in ("a", "b"):
        settings = Settings(home=tmp_path / name, threads=1 if name == "a" else 2)
        factory.sample_landing(settings, seed=6, referrals=10)
        ingest(settings)
        results.append(tables(settings))
    assert results[0] == results[1]


def test_the_same_package_again_in_another_container_is_a_duplicate(settings: Settings) -> None:
    content = {"referral.json": form(files=[{"name": "media/a.jpg"}]), "media/a.jpg": picture(1)}
    land(settings, content, "first")
    ingest(settings)
    before = {name: table(settings, name) for name in ingest_tables.NAMES if name != "packages"}
    for how, name in (("zip-list", "second"), ("bag", "third"), ("targz-list", "fourth"), ("folder-list", "fifth")):
        land(settings, content, name, how=how)
    ingest(settings)
    assert {name: table(settings, name) for name in before} == before
    rows = table(settings, "packages")
    assert sorted(r["state"] for r in rows) == ["accepted", *["duplicate"] * 4]
    assert len({r["package_id"] for r in rows}) == 1
    assert len({r["referral_id"] for r in rows}) == 1


def test_the_same_report_with_renamed_media_is_a_duplicate_with_new_media_a_supplement(settings: Settings) -> None:
    report = form(reference="R")
    land(settings, {"referral.json": report, "a.jpg": picture(1)}, "a")
    land(settings, {"referral.json": report, "renamed.jpg": picture(1)}, "b")
    land(settings, {"referral.json": report, "a.jpg": picture(1), "more.jpg": picture(2)}, "c")
    ingest(settings)
    assert states(settings) == {"other/a": "accepted", "other/b": "duplicate", "other/c": "supplement"}
    first, more = sorted(table(settings, "referrals"), key=lambda r: r["supplements"] or "")
    assert more["supplements"] == first["referral_id"]


def test_a_supplement_extends_its_referral_over_nights(settings: Settings) -> None:
    land(settings, {"report.json": factory.police_json(reportId=1)}, "a", "nca")
    ingest(settings)
    person = {"reportedPersons": [{"screenName": {"value": "x"}, "priorCTReports": [1, 77]}]}
    land(settings, {"report.json": factory.police_json(reportId=2, reportedPeople=person)}, "b", "nca")
    land(settings, {"report.json": factory.police_json(reportId=1, uploadedFiles=[])}, "c", "nca")
    ingest(settings, Night("night-2", factory.AS_OF + timedelta(days=1)))
    assert states(settings) == {"nca/a": "accepted", "nca/b": "supplement", "nca/c": "supplement"}
    rows = {r["package_id"]: r for r in table(settings, "referrals")}
    root = next(r["referral_id"] for r in rows.values() if not r["supplements"])
    assert [r["supplements"] for r in rows.values()].count(root) == 2
    assert sorted(r["prior_references"] for r in rows.values())[-1] == ["1", "77"]


def test_a_supplement_that_is_met_before_its_referral_in_one_night(settings: Settings) -> None:
    land(settings, {"referral.json": form(reference="2", supplements="1")}, "a")
    land(settings, {"referral.json": form(reference="1")}, "b")
    land(settings, {"referral.json": form(reference="3", supplements="2")}, "c")
    ingest(settings)
    assert states(settings) == {"other/a": "supplement", "other/b": "accepted", "other/c": "supplement"}
    roots = {r["supplements"] for r in table(settings, "referrals")}
    assert len(roots - {None}) == 1


def test_a_half_copied_package_waits_and_is_taken_when_it_is_whole(settings: Settings) -> None:
    path = land(settings, {"referral.json": form(), "a.jpg": picture(1)}, how="folder-list")
    picture_file = path / "a.jpg"
    data = picture_file.read_bytes()
    picture_file.unlink()
    report = ingest(settings, night.Night("n", factory.datetime.now(factory.UTC)))
    assert report.rejected == {"waiting": 1}
    assert table(settings, "packages") == []
    picture_file.write_bytes(data[:100])
    assert ingest(settings, night.Night("n", factory.datetime.now(factory.UTC))).rejected == {"waiting": 1}
    picture_file.write_bytes(data)
    assert ingest(settings, night.Night("n", factory.datetime.now(factory.UTC))).kept == 1


def test_waiting_too_long_is_returned_and_completing_it_later_still_counts(settings: Settings) -> None:
    path = land(settings, {"referral.json": form()}, how="folder-x")
    late = night.Night("late", factory.datetime.now(factory.UTC) + timedelta(hours=25))
    report = ingest(settings, late)
    assert report.rejected == {"quarantined": 1}
    assert report.counts["packages_waited_too_long"] == 1
    row = table(settings, "packages")[0]
    assert "not complete after 24 hours" in row["reasons"][0]
    assert row["first_seen"] == late.as_of
    (path / ".ready").touch()
    assert ingest(settings, replace(late, run_id="later")).kept == 1
    assert sorted(r["state"] for r in table(settings, "packages")) == ["accepted", "quarantined"]


@pytest.mark.parametrize("stated", [0, 4_000_000_000])
def test_times_that_a_sender_sets_neither_return_a_package_at_once_nor_let_it_wait_for_ever(
    settings: Settings, stated: int
) -> None:
    path = land(settings, {"referral.json": form()}, how="folder-x")
    for each in (path, *path.rglob("*")):
        os.utime(each, (stated, stated))
    now = factory.datetime.now(factory.UTC)
    assert ingest(settings, night.Night("soon", now)).rejected == {"waiting": 1}
    [row] = json.loads(stage.waiting_file(settings).read_text())["packages"]
    assert row["hours"] < 1
    assert ingest(settings, night.Night("late", now + timedelta(hours=25))).rejected == {"quarantined": 1}


@pytest.mark.parametrize(
    "ahead", [timedelta(0), timedelta(days=300)], ids=["as it is", "of a clock that was a year ahead"]
)
def test_a_package_whose_rights_are_set_anew_every_night_does_not_wait_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """By a command of the night that sets rights or owners of the whole folder: that is a change to the system, and none of it."""
    path = land(settings, {"referral.json": form()}, how="folder-x")
    now = factory.datetime.now(factory.UTC)
    times = {"changed": now}
    monkeypatch.setattr(discovery, "last_change", lambda _: int((times["changed"] + ahead).timestamp() * 1e9))
    ended = []
    for hours in (1, 20, 26):
        times["changed"] = now + timedelta(hours=hours - 1)
        ended.append(ingest(settings, night.Night(f"after-{hours}", now + timedelta(hours=hours), live=True)).rejected)
    assert ended == [{"waiting": 1}, {"waiting": 1}, {"quarantined": 1}]
    # what is really changed waits anew
    (path / "more.txt").write_bytes(b"[synthetic message 1]")
    assert ingest(settings, night.Night("changed", now + timedelta(hours=27), live=True)).rejected == {"waiting": 1}


@pytest.mark.parametrize("how", ["folder-x", "zip-x"])
def test_a_marker_that_comes_beside_a_returned_package_makes_it_whole(settings: Settings, how: str) -> None:
    path = land(settings, {"referral.json": form()}, how="folder-ready" if how == "folder-x" else "zip-ready")
    marker = path / ".ready" if path.is_dir() else path.with_name(f"{path.name}.ready")
    marker.unlink()
    late = night.Night("late", factory.datetime.now(factory.UTC) + timedelta(hours=25))
    assert ingest(settings, late).rejected == {"quarantined": 1}
    path.with_name(f"{path.name}.ready").touch()
    assert ingest(settings, replace(late, run_id="later")).kept == 1
    path.with_name(f"{path.name}.ready").unlink()
    assert ingest(settings, replace(late, run_id="last")).read == 0
    assert sorted(r["state"] for r in table(settings, "packages")) == ["accepted", "quarantined"]


def test_a_text_beside_the_report_is_a_file_and_a_new_one_a_supplement(settings: Settings) -> None:
    report, chat = form(reference="1"), b"[synthetic] sentence 1"
    land(settings, {"referral.json": report}, "a")
    land(settings, {"referral.json": report, "chat.txt": chat}, "b")
    land(settings, {"referral.json": report, "log.txt": chat}, "c")
    ingest(settings)
    assert states(settings) == {"other/a": "accepted", "other/b": "supplement", "other/c": "duplicate"}
    [file] = table(settings, "media_files")
    assert (file["name"], file["state"], file["sha256"]) == ("chat.txt", "present", factory.digests(chat).sha256)


def held(settings: Settings) -> dict[str, tuple[str, ...]]:
    return held_back(Lake(settings.lake_dir).read("packages", HELD_BACK))


@pytest.mark.parametrize("how", ["same name", "same report"])
def test_more_of_a_referral_that_cannot_be_read_is_known_to_it_until_it_is_put_right(
    settings: Settings, how: str
) -> None:
    land(settings, {"referral.json": form()}, "p")
    land(settings, {"referral.json": b"{"}, "another")
    ingest(settings)
    assert held(settings) == {}, "an unreadable package that shares nothing belongs to nobody"
    if how == "same name":
        land(settings, {"referral.json": b"{"}, "p-corrected")
    else:
        path = land(settings, {"referral.json": form()}, "never complete", how="folder-x")
    late = Night("late", factory.datetime.now(factory.UTC) + timedelta(hours=25))
    ingest(settings, late)
    [sent] = [r for r in table(settings, "packages") if r["first_seen"] == late.as_of]
    assert sent["state"] == "quarantined"
    of = next(r["referral_id"] for r in table(settings, "packages") if r["container"] == "other/p")
    assert held(settings) == {of: (sent["package_id"],)}
    if how == "same name":
        land(settings, {"referral.json": form(title="mended")}, "p-corrected-2")
    else:
        (path / ".ready").touch()
    ingest(settings, Night("later", late.as_of + timedelta(days=1)))
    assert held(settings) == {}


def later(days: int) -> Night:
    return Night(f"night-{days}", factory.AS_OF + timedelta(days=days))


@pytest.mark.parametrize("how", ["in place", "corrected", "corrected archive", "by reference", "still broken first"])
def test_a_returned_package_keeps_its_clock_until_it_is_put_right(settings: Settings, how: str) -> None:
    path = land(settings, {"referral.json": b"{"}, "p")
    land(settings, {"referral.json": b"["}, "never mended")
    report = ingest(settings)
    assert report.counts["returned_for_information"] == 2
    lake = Lake(settings.lake_dir)
    first = {o.container: o for o in quarantine.outstanding(lake)}["other/p"]
    assert (first.clock_from, first.hours(later(2).as_of)) == (factory.AS_OF, 48.0)
    wanted, mended = 1, form()
    if how == "in place":
        (path / "referral.json").write_bytes(mended)
    elif how == "by reference":
        land(settings, {"referral.json": form(prior_references=[first.package_id])}, "another name")
    elif how == "still broken first":
        land(settings, {"referral.json": b"{{"}, "p-corrected")
        ingest(settings, later(1))
        again = {o.container: o for o in quarantine.outstanding(lake)}["other/p-corrected"]
        assert (again.clock_from, again.returned) == (factory.AS_OF, 2)
        assert "Clock running: since 21 November" in (settings.quarantine_dir / f"{again.package_id}.txt").read_text()
        land(settings, {"referral.json": mended}, "p-corrected-2")
    else:
        land(
            settings, {"referral.json": mended}, "p-corrected", how="zip-ready" if "archive" in how else "folder-ready"
        )
    report = ingest(settings, later(2))
    assert report.counts["returned_for_information"] == wanted
    assert report.counts["returned_longest_hours"] == 48.0
    assert [o.container for o in quarantine.outstanding(lake)] == ["other/never mended"]
    assert [r["force_received_at"] for r in table(settings, "referrals")] == [factory.AS_OF]
    taken = [p for p in table(settings, "packages") if p["state"] == "accepted"]
    assert [(p["clock_from"], p["first_seen"]) for p in taken] == [(factory.AS_OF, later(2).as_of)]
    before = tables(settings)
    ingest(settings, later(3))
    assert tables(settings) == before


def test_quarantine_says_every_reason_and_leaves_the_evidence(settings: Settings) -> None:
    path = land(settings, {"a.json": b"{", "b.xml": b"<", "c.csv": b"x"}, how="folder-ready")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    ingest(settings)
    row = table(settings, "packages")[0]
    assert len(row["reasons"]) == 3
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    text = (settings.quarantine_dir / f"{row['package_id']}.txt").read_text()
    assert "RETURNED FOR INFORMATION" in text
    assert "these 3 reasons" in text
    assert "runs from the first arrival" in text
    notice = json.loads((settings.quarantine_dir / f"{row['package_id']}.json").read_text())
    assert notice["reasons"] == row["reasons"]
    (settings.quarantine_dir / f"{row['package_id']}.txt").unlink()  # as after a kill
    ingest(settings)
    assert (settings.quarantine_dir / f"{row['package_id']}.txt").read_text() == text


def test_killed_anywhere_and_started_again_leaves_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail at the n-th publishing write for every n; run again; compare with an undisturbed run."""
    landing = tmp_path / "landing"
    whole = Settings(home=tmp_path / "whole", landing=landing)
    factory.sample_landing(whole, seed=7, referrals=9)
    policy = tmp_path / "policy"
    shutil.copytree(whole.policy, policy)
    text = (policy / "ingest.yaml").read_text()
    (policy / "ingest.yaml").write_text(text.replace("batch_packages: 5000", "batch_packages: 7"))
    whole = replace(whole, policy=policy)
    ingest(whole)
    expected = tables(whole)
    assert len(Lake(whole.lake_dir).commits()) > 1
    original, step = files.sync_folder, 0

    class KilledError(BaseException):
        pass

    def killing(after: int) -> Callable[[Path], None]:
        count = 0

        def sync(folder: Path) -> None:
            nonlocal count
            count += 1
            if count == after:
                raise KilledError
            original(folder)

        return sync

    answers = intake.media.answers
    known: dict[Any, Any] = {}

    def once(settings: Settings, locators: Any, _sha512: object) -> Any:
        wanted = tuple(locators)
        if wanted not in known:
            known[wanted] = answers(settings, wanted)
        return known[wanted]

    monkeypatch.setattr(intake.media, "answers", once)
    while True:
        step += 4
        home = replace(whole, home=tmp_path / f"killed-{step}")
        monkeypatch.setattr(files, "sync_folder", killing(step))
        try:
            ingest(home)
            break
        except KilledError:
            monkeypatch.setattr(files, "sync_folder", original)
            ingest(home)
            assert tables(home) == expected, step
            names = sorted(p.name for p in home.quarantine_dir.iterdir() if not p.name.startswith("."))
            assert names == sorted(p.name for p in whole.quarantine_dir.iterdir())
    assert step > 30


def test_personal_data_stays_out_of_reports_and_logs(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    canary = "CANARYNAME"
    person = {"role": "suspect", "name": canary, "emails": [f"{canary}@example.org"], "phones": [canary]}
    for name, content in {
        canary: {"referral.json": form(reference=canary, subjects=[person], narrative=canary, when=canary)},
        f"{canary}-broken": {"referral.json": canary.encode()},
        f"{canary}-bag": {"bagit.txt": canary.encode(), f"data/{canary}.json": form()},
    }.items():
        land(settings, content, name)
    report = ingest(settings)
    shown = capsys.readouterr()
    assert canary not in json.dumps(report.as_dict()) + shown.out + shown.err
    assert canary not in repr(Lake(settings.lake_dir).commits())
    assert canary in json.dumps(table(settings, "subjects"))


@pytest.mark.parametrize("checksums", [["sha512"], ["sha256", "sha512"], ["md5"]])
def test_bags_as_the_library_makes_them(settings: Settings, checksums: list[str]) -> None:
    """SHA-512 alone, which RFC 8493 lets a sender choose, is computed by the media worker for such a bag only."""
    folder = settings.landing_dir / "other" / "bag"
    folder.mkdir(parents=True)
    (folder / "referral.json").write_bytes(form())
    (folder / "a.jpg").write_bytes(picture(1))
    bagit.make_bag(str(folder), checksums=checksums)
    media = folder / "data" / "a.jpg"
    media.write_bytes(picture(1)[:-1] + b"x")
    assert ingest(settings).rejected == {"waiting": 1}
    media.write_bytes(picture(1))
    assert ingest(settings).kept == 1
    (row,) = table(settings, "media_files")
    assert (row["name"], row["state"]) == ("data/a.jpg", "present")
    assert row["sha256"] == hashlib.sha256(picture(1)).digest()


def test_a_change_while_reading_waits_for_the_next_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = land(settings, {"referral.json": form(), "a.jpg": picture(1)})
    answers = intake.media.answers

    def meanwhile(given: Settings, locators: Any, _sha512: object) -> Any:
        found = answers(given, locators)
        (path / "late.jpg").write_bytes(picture(2))
        return found

    monkeypatch.setattr(intake.media, "answers", meanwhile)
    assert ingest(settings).rejected == {"waiting": 1}
    monkeypatch.setattr(intake.media, "answers", answers)
    ingest(settings)
    assert len(table(settings, "media_files")) == 2


def test_an_untouched_landing_folder_is_not_read_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    land(settings, {"referral.json": form()})
    ingest(settings)

    def never(*_: object) -> None:
        raise AssertionError("looked into a package that was not touched")

    monkeypatch.setattr(intake, "look", never)
    assert ingest(settings).counts["packages_seen_before"] == 1
    assert seen.load(settings).keys() == {"other/package"}


def test_every_row_is_as_its_record_type_says(settings: Settings) -> None:
    factory.sample_landing(settings, seed=8, referrals=10)
    ingest(settings)
    facts = {row["name"] for row in table(settings, "facts")}
    import yaml

    assert facts <= set(yaml.safe_load((settings.policy / "facts.yaml").read_text())["facts"])
    for name in ingest_tables.NAMES:
        assert Lake(settings.lake_dir).read(name).column_names == records.arrow_schema(name).names
    assert stage.STAGE in {commit.stage for commit in Lake(settings.lake_dir).commits()}
    assert NIGHT.run_id in {row["run_id"] for row in table(settings, "packages")}
