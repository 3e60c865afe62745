"""Shadow models: who moves and why, and that nothing else does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import yaml

from pipeline.assess import stage
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.models.model import Model
from pipeline.assess.models.shadow import Watcher
from pipeline.settings import Settings
from tests.pipeline.assess.builders import case, commit, fact, referral, said, start
from tests.pipeline.assess.models.test_model import MODEL
from tests.pipeline.assess.test_stage import with_model


def other(settings: Settings, **weights: float) -> Settings:
    """Settings with a second model, `candidate`, in which these weights differ, and which the live one names."""
    changed = with_model(settings, lambda d: d.update(shadow="candidate"))
    data = yaml.safe_load((changed.policy / "risk-model.yaml").read_text())
    data |= {"name": "candidate", "version": "9", "shadow": None}
    for name, weight in weights.items():
        data["features"][name]["weight"] = weight
    (changed.policy / "candidate.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return changed


def test_a_model_beside_itself_moves_nobody() -> None:
    watcher = Watcher(MODEL, MODEL)
    for name in ("grooming", "live_offending", "distribution"):
        watcher.see(dataclasses.replace(case(facts=said(name)), case_id=name))
    report = watcher.report()
    assert (report["raised"], report["lowered"], report["largest_move"], report["moves"]) == (0, 0, 0, [])
    assert sum(report["movements"].values()) == report["cases"] == 3


def test_who_moves_and_why(settings: Settings) -> None:
    changed = other(settings, grooming=80, distribution=0)
    watcher = Watcher(Model.load(changed), Model.load(changed, "candidate"))
    facts = {"a": ("previous_contact_conviction",), "b": ("grooming",), "c": ("distribution", "grooming"), "d": ()}
    for name, names in facts.items():
        watcher.see(dataclasses.replace(case(facts=said(*names)), case_id=name))
    report = watcher.report()
    assert (report["cases"], report["raised"], report["lowered"]) == (4, 2, 0)
    moves = {m["case_id"]: m for m in report["moves"]}
    assert moves["b"]["band_live"] == "high" and moves["b"]["band_shadow"] == "very_high"
    assert moves["b"]["why"] == "Grooming +45"
    assert moves["c"]["why"] == "Grooming +45; Distribution -8"
    assert {n: (m["place_live"], m["place_shadow"], m["places"]) for n, m in moves.items()} == {
        "a": (2, 3, -1),
        "b": (3, 1, 2),
        "c": (1, 2, -1),
    }
    assert report["movements"] == {"high -> high": 1, "high -> very_high": 2, "low -> low": 1}


def test_the_list_of_moves_is_limited_and_says_so(settings: Settings) -> None:
    changed = other(settings, grooming=80)
    watcher = Watcher(Model.load(changed), Model.load(changed, "candidate"))
    for number in range(5):
        watcher.see(dataclasses.replace(case(facts=said("grooming")), case_id=str(number)))
    report = watcher.report(limit=2)
    assert (len(report["moves"]), report["moves_not_listed"]) == (2, 3)


def test_the_nights_run_writes_the_comparison_beside_unchanged_assessments(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], facts=[fact("R1", "grooming")])
    changed = other(settings, grooming=80)
    report = stage.run(changed, start(changed))
    assert "shadow.json" in report.outputs
    written = json.loads(Path(changed.runs_dir / "night-1" / "shadow.json").read_text())
    assert written["shadow"]["model"] == "candidate 9" and written["cases"] == 2
    assert [m["case_id"] for m in written["moves"]] == [case_id("R1")]
    assert report.counts["model"] == "polit-triage 2"
