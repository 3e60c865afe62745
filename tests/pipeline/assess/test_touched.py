"""A night looks at the cases that something new concerns, and what it writes is what a look at all of them would write."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.assess import stage, touched
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import (
    commit,
    content,
    fact,
    fingerprint,
    identifier,
    match,
    media,
    referral,
    start,
    subject,
)


def rows_of(settings: Settings) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Lake(settings.lake_dir).read("assessments").to_pylist()
    return sorted(rows, key=lambda r: (r["case_id"], r["version"]))


def arrives(settings: Settings, chance: random.Random, night: int) -> None:
    """Some rows of every table: new referrals, some of them supplements of earlier or later ones, and what concerns old ones."""
    names = [f"R{night}{i}" for i in range(3)]
    known = [f"R{n}{i}" for n in range(night + 1) for i in range(3)]
    files = [media(n, f"file-{chance.randrange(8)}") for n in names for _ in range(chance.randrange(3))]
    referrals = [
        referral(n, supplements=chance.choice([None, None, None, chance.choice([*known, f"R{night + 1}0"])]))
        for n in names
    ]
    referrals = [r | {"supplements": None} if r["supplements"] == r["referral_id"] else r for r in referrals]
    commit(
        settings,
        f"in{night}",
        referrals=referrals,
        identifiers=[identifier(n, "email", f"{chance.randrange(4)}@b.example") for n in names],
        subjects=[subject(n) for n in names],
        facts=[fact(n, chance.choice(["grooming", "lives_with_children"])) for n in names if chance.random() < 0.5],
        media_files=files,
    )
    contents = sorted({f["sha256"] for f in files if f["sha256"]} - {content(f"file-{n}") for n in range(night % 3)})
    if contents:
        prints = [fingerprint(f"file-{n}") for n in range(8) if content(f"file-{n}") in contents]
        done = set(Lake(settings.lake_dir).read("fingerprints", ["sha256"])["sha256"].to_pylist())
        fresh = [p for p in prints if p["sha256"] not in done]
        commit(settings, f"fp{night}", "fingerprint", fingerprints=fresh)
    if chance.random() < 0.7:
        commit(settings, f"content-{night}", "match", matches=[match(f"file-{chance.randrange(8)}", media_key=night)])


@pytest.mark.parametrize("seed", range(4))
def test_night_by_night_as_if_all_were_looked_at(
    settings: Settings, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, looked_at = random.Random(seed), []
    for night in range(5):
        arrives(settings, chance, night)
        if night == 3:
            Lake(settings.lake_dir).merge("weekly")
        shutil.copytree(settings.home, tmp_path / f"twin-{night}")
        report = stage.run(settings, start(settings, night))
        looked_at.append(report.counts["looked_at"])
        twin = replace(settings, home=tmp_path / f"twin-{night}")
        with monkeypatch.context() as patch:
            find = touched.find
            patch.setattr(touched, "find", lambda *a, find=find: replace(find(*a), referrals=None))
            whole = stage.run(twin, start(twin, night))
        assert rows_of(settings) == rows_of(twin)
        same = {k: v for k, v in report.counts.items() if k not in ("looked_at", "for_transfer")}
        assert same == {k: v for k, v in whole.counts.items() if k not in ("looked_at", "for_transfer")}
        assert (report.read, report.kept) == (whole.read, whole.kept)
    assert sum(looked_at) < sum(3 * (n + 1) for n in range(5))


def test_nothing_new_looks_at_nothing_and_a_new_rule_at_all(settings: Settings) -> None:
    arrives(settings, random.Random(1), 0)
    stage.run(settings, start(settings))
    commits = len(Lake(settings.lake_dir).commits())
    again = stage.run(settings, start(settings, 2))
    assert (again.counts["looked_at"], len(Lake(settings.lake_dir).commits())) == (0, commits)
    other = replace(settings, force="42")
    assert stage.run(other, start(other, 3)).counts["looked_at"] == again.read


def test_what_was_interrupted_is_finished(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    arrives(settings, random.Random(2), 0)
    with monkeypatch.context() as patch:
        patch.setattr(touched, "done", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage.run(settings, start(settings))
    before = rows_of(settings)
    assert stage.run(settings, start(settings)).counts["looked_at"] > 0
    assert rows_of(settings) == before
