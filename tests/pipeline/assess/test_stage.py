"""The night's stage: only what changed, every version kept, the same rows whatever happens."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pyarrow as pa
import pytest
import yaml

from pipeline.assess import rows as rows_module
from pipeline.assess import stage
from pipeline.assess.evidence.case_file import case_id
from pipeline.contract import StageReport
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0, commit, fact, fingerprint, identifier, match, media, referral, start
from tests.pipeline.assess.links.test_lists import supply

JSON = ("reasons", "unknowns", "flags", "notifications", "summary", "changes")


def assessed(settings: Settings, night: int = 1) -> StageReport:
    return stage.run(settings, start(settings, night))


def stored(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Case id to all its versions, oldest first, with JSON columns parsed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in Lake(settings.lake_dir).read("assessments").to_pylist():
        row |= {c: orjson.loads(row[c]) for c in JSON if row[c] is not None}
        found.setdefault(row["case_id"], []).append(row)
    return {case: sorted(listed, key=lambda r: r["version"]) for case, listed in found.items()}


def test_one_case_a_referral_with_everything_that_a_person_needs(settings: Settings) -> None:
    commit(
        settings,
        "a",
        referrals=[referral("R1", narrative_count=2, provider="P", incident_at=T0.replace(year=2025))],
        facts=[fact("R1", "grooming"), fact("R1", "profession_teacher")],
        media_files=[media("R1", "f"), media("R1", "g")],
        fingerprints=[fingerprint("f"), fingerprint("g")],
        matches=[match("f", victim_identified="no")],
    )
    report = assessed(settings)
    assert report.balanced and (report.read, report.kept, report.counts["new"]) == (1, 1, 1)
    [row] = stored(settings)[case_id("R1")]
    assert (row["referral_id"], row["version"], row["previous_band"]) == ("R1", 1, None)
    reasons = {r["feature"]: r for r in row["reasons"]}
    assert reasons["grooming"]["evidence"] == [{"table": "facts", "id": "f-R1-grooming-yes-", "note": ""}]
    assert reasons["victim_not_identified"]["evidence"][0]["table"] == "matches"
    assert reasons["unknown_files"]["evidence"][0]["id"] == "m-R1-g"
    assert sum(r["contribution"] for r in row["reasons"]) == pytest.approx(row["score"])
    assert {f["rule"] for f in row["flags"]} == {"teacher", "live_contact"}
    assert [n["kind"] for n in row["notifications"]] == ["lado", "childrens_services", "victim_identification"]
    assert {u["feature"] for u in row["unknowns"]} > {"access_to_children", "previous_contact_conviction"}
    assert row["due_at"] > row["clock_start"] == T0
    summary = row["summary"]
    assert summary["top_reasons"][:1] == ["Grooming"] and len(summary["top_reasons"]) == 3
    assert (summary["files"], summary["matched_exact"], summary["unknown_files"]) == (2, 1, 1)
    assert (summary["by_grade"], summary["by_category"]) == ({"TRUSTED": 1}, {"A": 1})
    assert (summary["oldest_at"], summary["oldest_stage"]) == ("2025-11-01T00:00:00+00:00", "incident_at")
    assert not summary["text_only"]


def test_a_text_only_referral_is_a_case_like_any_other(settings: Settings) -> None:
    commit(
        settings, "a", referrals=[referral("R1", source="UCOL", narrative_count=9)], facts=[fact("R1", "contact_offer")]
    )
    assessed(settings)
    [row] = stored(settings)[case_id("R1")]
    assert row["summary"]["text_only"] and row["summary"]["files"] == 0 and row["band"] == "high"


def test_a_second_run_and_a_second_night_write_nothing(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], facts=[fact("R1", "grooming")])
    assessed(settings)
    before = Lake(settings.lake_dir).read("assessments")
    for night in (1, 2):
        report = assessed(settings, night)
        assert (report.counts["unchanged"], report.counts["new"]) == (2, 0)
    assert Lake(settings.lake_dir).read("assessments").equals(before)


def test_only_what_changed_has_a_new_version_which_says_what_changed(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], facts=[fact("R1", "access_to_children")])
    assessed(settings)
    commit(settings, "b", facts=[fact("R1", "live_offending"), fact("R1", "grooming", "no")])
    report = assessed(settings, 2)
    assert (report.counts["raised"], report.counts["unchanged"]) == (1, 1)
    first, second = stored(settings)[case_id("R1")]
    assert len(stored(settings)[case_id("R2")]) == 1
    assert (first["version"], second["version"]) == (1, 2)
    assert (second["previous_band"], second["band"]) == ("medium", "very_high")
    changes = second["changes"]
    assert (changes["direction"], changes["band_from"], changes["band_to"]) == ("raised", "medium", "very_high")
    assert changes["reasons_new"] == ["Abuse happening now"] and changes["reasons_gone"] == []
    assert set(changes["flags_new"]) == {"Child at immediate risk", "Live contact with a child"}


def test_a_lower_band_is_stated_and_left_to_a_person(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], media_files=[media("R1", "f")], fingerprints=[fingerprint("f")])
    commit(settings, "b", facts=[fact("R1", "distribution")])
    assessed(settings)
    commit(settings, "n", "match", matches=[match("f", category="C")])
    report = assessed(settings, 2)
    [first, second] = stored(settings)[case_id("R1")]
    assert (first["band"], second["band"], second["previous_band"]) == ("medium", "low", "medium")
    assert report.counts["lowered"] == 1
    assert second["changes"]["direction"] == "lowered"
    assert "Possibly new material" in second["changes"]["reasons_gone"]


def test_a_link_changes_the_earlier_case_too(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    assessed(settings)
    commit(settings, "b", referrals=[referral("R2")], identifiers=[identifier("R2", "email", "a@b.example")])
    assessed(settings, 2)
    versions = stored(settings)[case_id("R1")]
    assert [v["summary"]["links_strong"] for v in versions] == [0, 1]
    assert versions[1]["reasons"][0]["evidence"][0]["table"] == "links"


def test_a_hit_on_a_list_is_a_fact_with_the_link_as_evidence(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    supply(settings, "registered_sex_offenders", "2026-11-01", "1,,,a@b.example,,,,,,")
    assessed(settings)
    [row] = stored(settings)[case_id("R1")]
    reason = next(r for r in row["reasons"] if r["feature"] == "registered_sex_offender")
    [evidence] = reason["evidence"]
    assert evidence["table"] == "links" and "Registered sex offenders" in evidence["note"]
    assert row["summary"]["lists"] == ["registered_sex_offenders"]
    assert [n["kind"] for n in row["notifications"]] == ["offender_management"]


def test_cases_of_other_forces_are_marked_for_transfer(settings: Settings) -> None:
    settings = dataclasses.replace(settings, force="42")
    forces = {"R1": "42", "R2": "01", "R3": None}
    commit(settings, "a", referrals=[referral(r, force_code=f) for r, f in forces.items()])
    report = assessed(settings)
    assert report.counts["for_transfer"] == 1
    marks = {r: stored(settings)[case_id(r)][0] for r in forces}
    assert {r: m["summary"]["transfer_to"] for r, m in marks.items()} == {"R1": None, "R2": "01", "R3": None}
    [moved] = marks["R2"]["notifications"]
    assert (moved["kind"], moved["force_code"]) == ("transfer", "01")
    assert moved["label"] == "Transfer to Metropolitan Police (01)"


def test_without_a_force_setting_transfer_is_not_guessed(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1", force_code="43")])
    report = assessed(settings)
    assert "not checked" in str(report.counts["transfer"])
    assert stored(settings)[case_id("R1")][0]["summary"]["transfer_to"] is None


def test_a_case_whose_report_names_an_earlier_one_is_joined_to_it(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R2", supplements="R1")])
    assessed(settings)
    commit(settings, "b", referrals=[referral("R1", supplements="R0")])
    assessed(settings, 2)
    [row] = stored(settings)[case_id("R0")]
    assert row["referrals"] == ["R1", "R2"]
    assert row["summary"]["joined_cases"] == [case_id("R1")]


def test_a_new_model_assesses_everything_anew(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], facts=[fact("R1", "grooming")])
    assessed(settings)
    changed = with_model(settings, lambda d: d.update(version="3"))
    report = assessed(changed, 2)
    assert report.counts["changed"] == 2
    assert [v["model"] for v in stored(settings)[case_id("R1")]] == ["polit-triage 2", "polit-triage 3"]


def with_model(settings: Settings, edit: Any) -> Settings:
    """Settings with a copy of the policy folder whose risk model is edited."""
    folder = settings.home / "policy"
    folder.mkdir(parents=True)
    for path in settings.policy.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    data = yaml.safe_load((folder / "risk-model.yaml").read_text())
    edit(data)
    (folder / "risk-model.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return dataclasses.replace(settings, policy=folder)


def content_of(settings: Settings) -> list[dict[str, Any]]:
    table: pa.Table = Lake(settings.lake_dir).read("assessments").sort_by([("case_id", "ascending")])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_a_run_stopped_at_any_commit_and_started_again_writes_the_same_rows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    names = [f"R{i}" for i in range(7)]
    tables = {
        "referrals": [referral(n) for n in names],
        "facts": [fact(n, "grooming") for n in names[::2]],
        "identifiers": [identifier(n, "email", "a@b.example") for n in names[:3]],
    }
    whole = dataclasses.replace(settings, home=settings.home / "whole")
    commit(whole, "a", **tables)
    commit(settings, "a", **tables)
    monkeypatch.setattr(rows_module, "COMMIT_ROWS", 3)
    assessed(whole)
    left = [stop_at]
    genuine = Lake.commit

    def stopping(self: Lake, *args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return genuine(self, *args, **kwargs)

    monkeypatch.setattr(Lake, "commit", stopping)
    with pytest.raises(KeyboardInterrupt):
        assessed(settings)
    monkeypatch.setattr(Lake, "commit", genuine)
    assessed(settings)
    assert content_of(settings) == content_of(whole)
    assert assessed(settings).counts["unchanged"] == 7


def test_order_and_division_of_arrival_do_not_change_the_last_assessment(settings: Settings) -> None:
    tables: dict[str, list[dict[str, Any]]] = {
        "referrals": [referral("R1"), referral("R2"), referral("R3", supplements="R1")],
        "facts": [fact("R3", "grooming"), fact("R2", "access_to_children")],
        "identifiers": [identifier(n, "email", "a@b.example") for n in ("R1", "R2")],
    }
    other = dataclasses.replace(settings, home=settings.home / "other")
    commit(settings, "all", **tables)
    assessed(settings)
    for night, name in enumerate(("R3", "R2", "R1"), 1):
        part = {t: [r for r in rows if r["referral_id"] == name] for t, rows in tables.items()}
        commit(other, name, **part)
        assessed(other, night)
    columns = ("band", "score", "reasons", "unknowns", "flags", "summary", "due_at", "inputs_sha256")
    last = [{c: versions[-1][c] for c in columns} for case, versions in sorted(stored(other).items())]
    assert last == [{c: versions[-1][c] for c in columns} for case, versions in sorted(stored(settings).items())]


def test_an_empty_lake_is_an_empty_night(settings: Settings) -> None:
    report = assessed(settings)
    assert report.read == report.kept == 0 and report.outputs == []


def test_names_and_values_of_referrals_stay_out_of_the_report(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "canary@b.example")])
    supply(settings, "registered_sex_offenders", "2026-11-01", "1,Canary Name,,canary@b.example,,,,,,")
    assert "canary" not in str(assessed(settings).as_dict()).lower()
