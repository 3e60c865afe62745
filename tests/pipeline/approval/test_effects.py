"""The cases that a release would move are those that it does move, and finding them writes nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from hashsets.release import approving, building
from pipeline.approval import effects, judging
from pipeline.approval import stage as releasing
from pipeline.assess import stage as assessing
from pipeline.assess.latest import latest
from pipeline.lake import Lake
from pipeline.matching import flood, retro
from pipeline.settings import Settings
from tests.pipeline.approval.conftest import deliver
from tests.pipeline.matching.synthetic_night import known, start


def bands(settings: Settings) -> dict[str, str]:
    return {case: row.band for case, row in latest(Lake.of(settings)).items()}


def test_what_is_foretold_is_what_comes(assessed: Settings) -> None:
    deliver(assessed, "second", [known(104), known(105), known(0, category=4)], "later")
    tonight = start(assessed, "later")
    before, commits = bands(assessed), Lake.of(assessed).last()
    judging.run(assessed, tonight)
    judged = judging.judge(assessed, tonight)
    assert judged is not None and judged.difference.moved is not None
    assert Lake.of(assessed).last() == commits
    assert judged.difference.cases_looked_at == 3
    assert judged.state == approving.WAITS and len(judged.reasons) == 1 and "another band" in judged.reasons[0]

    release = approving.built(assessed)
    assert release is not None
    approving.keep(assessed, release, judged.decided(approving.APPROVED, "p", "P", "seen", tonight.as_of))
    assert releasing.run(assessed, tonight).counts["published"] == 2
    for stage in (retro, flood, assessing):
        stage.run(assessed, tonight)
    after = bands(assessed)
    came = Counter(f"{before[case]} to {band}" for case, band in after.items() if before[case] != band)
    assert dict(came) == judged.difference.moved and sum(came.values()) >= 2


def test_a_supposed_lake_knows_floods_too_and_is_only_read(assessed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(assessed, "second", [known(104)], "later")
    tonight = start(assessed, "later")
    building.build_release(assessed, tonight)
    release = approving.built(assessed)
    assert release is not None
    told: list[tuple[int, int]] = []
    assert effects.moved(assessed, tonight, release, lambda done, of: told.append((done, of))) == (
        {"low to medium": 1},
        1,
    )
    assert told[-1][0] == told[-1][1] > 0, "told how far it is, up to the end"
    monkeypatch.setattr(flood, "SURE", ("claimed",))  # the match by digest counts as a near one
    low, real = {"min_files": 1, "share": 0.1}, flood.flooding
    monkeypatch.setattr(flood, "flooding", lambda counts, total, rules, night: real(counts, total, low, night))
    found = effects.supposed(assessed, tonight, release)
    assert found.supposed_rows("matches").num_rows == 1 and found.read("matches").num_rows == 4
    assert found.read("matches", ["kind"], parts=[]).num_rows == 0
    assert flood.flooded_media(found) == set(found.supposed_rows("matches")["media_key"].to_pylist())
    assert flood.flooded_media(Lake.of(assessed)) == set()
    with pytest.raises(TypeError):
        found.commit("match", "x", {}, run_id="r")


def test_nothing_touched_is_nothing_moved(strict: Settings) -> None:
    deliver(strict, "second", [known(50)], "later")
    judging.run(strict, start(strict, "later"))
    judged = judging.judge(strict, start(strict, "later"))
    assert judged is not None and (judged.difference.moved, judged.state) == ({}, approving.PASSES)
