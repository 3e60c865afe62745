"""Links as they are kept: the newest row of each against a dict of rows; written part by part, the same as at once."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from pipeline.assess.links import sharing, stored
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import current, newest
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, start
from tests.pipeline.assess.links.test_linking import brief, random_rows
from tests.pipeline.assess.links.test_lists import supply


def test_newest_rows_are_those_of_a_dict() -> None:
    chance = random.Random(3)
    for count in (0, 1, 2, 50):
        rows = [
            {"link_id": f"L{chance.randrange(8)}", "version": chance.choice([None, 1, 2, 3]), "n": n}
            for n in range(count)
        ]
        table = pa.Table.from_pylist(
            rows, pa.schema([("link_id", pa.string()), ("version", pa.int32()), ("n", pa.int64())])
        )
        best: dict[str, dict[str, object]] = {}
        for row in sorted(rows, key=lambda r: r["version"] or 1):  # type: ignore[arg-type,return-value]
            best[str(row["link_id"])] = row
        parts = pa.concat_tables([table.slice(0, count // 2), table.slice(count // 2)])
        assert newest(parts).to_pylist() == [best[name] for name in sorted(best)]


LIST = "current_investigations"


class StoppedError(Exception):
    """Stands for the death of the process."""


def halves(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows of two nights: every other referral with all that belongs to it."""
    rows = random_rows(seed)
    rows["media_files"] = list({f["file_id"]: f for f in rows["media_files"]}.values())
    of = [{r["referral_id"] for r in rows["referrals"][n::2]} for n in (0, 1)]
    return tuple({t: [r for r in listed if r["referral_id"] in some] for t, listed in rows.items()} for some in of)  # type: ignore[return-value]


def other_rules(settings: Settings, folder: Path) -> Settings:
    """The same installation under a policy by which some links are weaker, and some addresses name nobody."""
    shutil.copytree(settings.policy, folder)
    data = yaml.safe_load((settings.policy / "linking.yaml").read_text())
    data["ip"]["ignored_ranges"].append({"range": "81.0.0.0/30", "label": "test"})
    data["kinds"]["device"]["strength"] = "weak"
    (folder / "linking.yaml").write_text(yaml.safe_dump(data))
    return dataclasses.replace(settings, policy=folder)


def everything(settings: Settings) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Lake(settings.lake_dir).read("links").to_pylist()
    return rows


def by_nights(settings: Settings, seed: int, night: Callable[[Settings, int], object]) -> None:
    """Two nights, one under another policy, and one under the first again, with a list of the force that changes meanwhile."""
    first, second = halves(seed)
    commit(settings, "one", **first)
    supply(settings, LIST, "2026-06-29", *(f"E{n},,,,,a:username-value-{n},a:user_id-value-{n},,," for n in range(4)))
    night(settings, 1)
    commit(settings, "two", **second)
    night(settings, 2)
    supply(settings, LIST, "2026-06-30", *(f"E{n},,,,,b:username-value-{n},,,," for n in range(4)))
    other = other_rules(settings, settings.home / "policy")
    night(other, 3)
    night(settings, 4)


def plainly(settings: Settings, number: int) -> None:
    link(settings, start(settings, number), Lake(settings.lake_dir))


@pytest.mark.parametrize(("seed", "rows"), [(0, 1), (1, 3)])
def test_written_in_small_parts_the_links_and_their_versions_are_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int, rows: int
) -> None:
    at_once = dataclasses.replace(settings, home=settings.home / "at-once")
    by_nights(at_once, seed, plainly)
    monkeypatch.setattr(stored, "COMMIT_ROWS", rows)
    monkeypatch.setattr(sharing, "parts", small_parts(sharing.parts))
    by_nights(settings, seed, plainly)
    assert len(Lake(settings.lake_dir).commits("link")) > len(Lake(at_once.lake_dir).commits("link"))
    assert said(settings) == said(at_once)
    assert {row["right"].startswith("list:") for row in everything(settings) if row["withdrawn"]} == {True, False}


def small_parts(parts: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda con: parts(con, 5)


def said(settings: Settings) -> list[tuple[Any, ...]]:
    """All rows of links, of every version, but for the moment of each."""
    return sorted(
        (x["link_id"], x["version"], x["strength"], x["shared"], x["explanation"], x["evidence"], bool(x["withdrawn"]))
        for x in everything(settings)
    )


def test_a_process_that_dies_between_parts_loses_nothing_and_says_nothing_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dataclasses.replace(settings, home=settings.home / "whole")
    by_nights(whole, 0, plainly)
    monkeypatch.setattr(stored, "COMMIT_ROWS", 4)
    monkeypatch.setattr(sharing, "parts", small_parts(sharing.parts))
    chance, publish, deaths = random.Random(0), Lake.commit, 0

    def commit_or_die(lake: Lake, stage: str, *given: Any, **more: Any) -> Any:
        nonlocal deaths
        done = publish(lake, stage, *given, **more) if stage != "link" or chance.random() < 0.8 else None
        if stage == "link" and (done is None or chance.random() < 0.1):
            deaths += 1
            raise StoppedError
        return done

    def until_done(settings: Settings, number: int) -> None:
        for _ in range(200):
            try:
                return plainly(settings, number)
            except StoppedError:
                continue
        raise AssertionError("it never came to its end")

    monkeypatch.setattr(Lake, "commit", commit_or_die)
    by_nights(settings, 0, until_done)
    monkeypatch.undo()
    assert deaths > 2
    assert brief(current(Lake(settings.lake_dir)).to_pylist()) == brief(current(Lake(whole.lake_dir)).to_pylist())
    assert max(Counter((x["link_id"], x["version"]) for x in everything(settings)).values()) == 1
