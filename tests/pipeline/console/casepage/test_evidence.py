"""The index behind the pages: it takes in what is new, at a cost of what is new, and can be thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import records
from pipeline.console.casepage.evidence import Evidence
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import fact, referral


def publish(settings: Settings, key: str) -> None:
    tables = {
        "referrals": records.build("referrals", [referral(key)]),
        "facts": records.build("facts", [fact(key, "grooming")]),
    }
    Lake.of(settings).commit("ingest", key, tables, run_id=key)


def shown(evidence: Evidence, *keys: str) -> list[str]:
    return [row["referral_id"] for kind in ("referrals", "facts") for row in evidence.rows(kind, keys)]


def test_only_what_is_new_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    for n in range(6):
        publish(settings, f"R{n}")
    evidence = Evidence(settings)
    assert evidence.refresh() == 12
    asked: list[int] = []
    original = Lake.commits

    def commits(self: Lake, stage: str | None = None, *, run_id: str | None = None, after: int = 0) -> object:
        asked.append(after)
        return original(self, stage, run_id=run_id, after=after)

    monkeypatch.setattr(Lake, "commits", commits)
    assert (evidence.refresh(), asked) == (0, [])
    publish(settings, "R6")
    again = Evidence(settings)  # a new process: the index lies on the disk
    assert (again.refresh(), asked) == (2, [6])
    assert shown(again, "R0", "R6") == ["R0", "R6", "R0", "R6"]


def test_merging_files_brings_nothing_new(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for n in range(6):
        publish(settings, f"R{n}")
    evidence = Evidence(settings)
    evidence.refresh()
    Lake.of(settings).merge("weekly")
    assert evidence.refresh() == 0
    publish(settings, "R6")
    assert evidence.refresh() == 2
    assert shown(evidence, "R3", "R6") == ["R3", "R6", "R3", "R6"]


def test_thrown_away_it_comes_back_the_same(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    for n in range(6):
        publish(settings, f"R{n}")
    before = Evidence(settings)
    before.refresh()
    Lake.of(settings).merge("weekly")
    rows = shown(before, *(f"R{n}" for n in range(6)))
    for path in (tmp_path / "console").iterdir():
        path.unlink()
    after = Evidence(settings)
    assert after.refresh() == 12
    assert sorted(shown(after, *(f"R{n}" for n in range(6)))) == sorted(rows)


def test_what_was_erased_leaves_it_and_does_not_come_back(tmp_path: Path) -> None:
    """At the next refresh, whether the lake has been emptied of it yet or not; and when the index is made anew."""
    settings = Settings(home=tmp_path)
    for n in range(3):
        publish(settings, f"R{n}")
    erased: set[str] = set()
    evidence = Evidence(settings, lambda: erased)
    evidence.refresh()
    assert shown(evidence, "R1") == ["R1", "R1"]
    erased.add("R1")
    evidence.refresh()
    assert shown(evidence, "R0", "R1") == ["R0", "R0"]
    for path in (tmp_path / "console").iterdir():
        path.unlink()
    anew = Evidence(settings, lambda: erased)
    anew.refresh()
    assert shown(anew, "R0", "R1", "R2") == ["R0", "R2", "R0", "R2"]
