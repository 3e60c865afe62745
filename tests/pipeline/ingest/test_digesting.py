"""A large night's media are digested in shards first: ingest takes the answers over, and its tables are the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import contract as nights
from pipeline.errors import UsageError
from pipeline.ingest import ahead, digesting, intake, stage
from pipeline.lake import Lake
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests import factory
from tests.factory import NIGHT, ingest


@pytest.fixture
def landed(settings: Settings) -> Settings:
    """Sample packages, more than a large night here has."""
    factory.sample_landing(settings, seed=4, referrals=8)
    made = replace(settings, large_night=4)
    nights.start(made, NIGHT.run_id, NIGHT.as_of)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Locator]:
    """What the media worker is asked to digest, from now on."""
    seen: list[Locator] = []
    answers = intake.media.answers

    def noting(settings: Settings, locators: Iterable[Locator], sha512: Any = ()) -> Any:
        wanted = list(locators)
        seen.extend(wanted)
        return answers(settings, wanted, sha512)

    monkeypatch.setattr(intake.media, "answers", noting)
    return seen


def digested(settings: Settings) -> list[str]:
    shards = digesting.plan(settings, NIGHT)
    with digesting.together(settings) as run:
        assert all(run(settings, NIGHT, shard).balanced for shard in shards)
    return shards


def rows(settings: Settings) -> dict[str, list[str]]:
    lake = Lake(settings.lake_dir)
    names = {p.table for c in lake.commits() for p in c.parts}
    return {name: sorted(map(repr, lake.read(name).to_pylist())) for name in names}


def test_ingest_asks_for_nothing_twice_and_writes_the_same(
    landed: Settings, asked: list[Locator], tmp_path: Path
) -> None:
    plain = replace(landed, home=tmp_path / "plain")
    shutil.copytree(landed.home, plain.home)
    expected = ingest(plain)
    first = sorted(map(str, asked))
    asked.clear()
    assert len(digested(landed)) > 1 and digesting.plan(landed, NIGHT) == []
    assert sorted(map(str, asked)) == first
    asked.clear()
    report = ingest(landed)
    assert asked == []
    assert (report.read, report.kept, report.rejected) == (expected.read, expected.kept, expected.rejected)
    assert rows(landed) == rows(plain) and rows(plain)["media_files"]
    waiting = {p.package.container for p in stage.waiting(landed, NIGHT)}
    # what was taken in is not new to the next night
    assert {e.container for e in stage.fresh_entries(landed)} == waiting


def test_a_package_that_was_touched_since_is_digested_again(landed: Settings, asked: list[Locator]) -> None:
    digested(landed)
    of = ahead._shards(ahead.folder(landed, NIGHT), len(list(ahead.folder(landed, NIGHT).glob("*.answers"))))
    touched = next(p for p in sorted(landed.landing_dir.glob("*/*/**/*.jpg")) if p.is_file())
    container = "/".join(touched.relative_to(landed.landing_dir).parts[:2])
    assert container in of
    os.utime(touched, ns=(1, touched.stat().st_mtime_ns + 1))
    asked.clear()
    ingest(landed)
    assert asked and {p.container.startswith(container) for p in asked} == {True}


def test_a_small_night_is_not_cut_and_a_shard_must_be_planned(landed: Settings) -> None:
    assert digesting.plan(replace(landed, large_night=5000), NIGHT) == []
    with pytest.raises(UsageError, match="no shard 'nonsense'"):
        digesting.run(landed, NIGHT, "nonsense")
