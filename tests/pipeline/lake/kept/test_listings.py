"""What is kept of a table's files says what its log says, and nothing rests on it that cannot be made again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.lake import Lake
from pipeline.lake.delta import Log
from pipeline.lake.kept import listings
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, media


def filled(settings: Settings, nights: int = 6) -> Lake:
    for night in range(nights):
        commit(settings, f"in{night}", media_files=[media(f"R{night}", f"{night}")])
    lake = Lake.of(settings)
    lake.settle("weekly")
    return Lake.of(settings)


def kept(settings: Settings) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((settings.home / "cache" / "lake").glob("*.listing"))}


def test_a_listing_is_made_once_and_opens_no_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first = filled(settings).parts("media_files")
    assert len(first) == 6 and [name.split(".")[:2] for name in kept(settings)] == [["media_files", "1"]]
    opened: list[str] = []
    original = Log.table

    def watched(log: Log) -> object:
        opened.append(log.folder)
        return original(log)

    monkeypatch.setattr(Log, "table", watched)
    assert Lake.of(settings).parts("media_files") == first
    assert set(opened) == {"commits"}
    Lake.of(settings).anew().parts("media_files")
    assert set(opened) == {"commits", "media_files"}


@pytest.mark.parametrize("how", ["gone", "harmed", "cut short", "empty"])
def test_a_listing_that_is_lost_or_harmed_is_made_again(settings: Settings, how: str) -> None:
    first = filled(settings).parts("media_files")
    before = kept(settings)
    [path] = (settings.home / "cache" / "lake").glob("*.listing")
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        harmed = {"harmed": data[:-3] + b"9" + data[-2:], "cut short": data[:50], "empty": b""}[how]
        path.write_bytes(harmed)
    assert Lake.of(settings).parts("media_files") == first
    assert kept(settings) == before


def test_what_the_log_says_of_a_version_decides(settings: Settings) -> None:
    """A lake that was restored and grew another way has the same version with other files."""
    lake = filled(settings)
    lake.parts("media_files")
    [name] = kept(settings)
    entry = settings.home / "lake" / "media_files" / "_delta_log" / f"{1:020d}.json"
    entry.write_bytes(entry.read_bytes().rstrip(b"\n") + b" \n")
    assert Lake.of(settings).parts("media_files") == lake.parts("media_files")
    assert len(kept(settings)) == 2 and name in kept(settings)


def test_states_of_the_past_have_their_own_and_upkeep_removes_them(settings: Settings) -> None:
    then = filled(settings).now()
    before = then.parts("media_files")
    lake = Lake.of(settings)
    lake.merge("weekly")
    assert len(Lake.of(settings).parts("media_files")) == 1
    assert then.parts("media_files") == before and len(kept(settings)) == 2
    lake.vacuum(timedelta(days=30))
    assert [name.split(".")[1] for name in kept(settings)] == ["2"]


def test_a_cache_that_cannot_be_written_costs_time_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    lake = filled(settings)
    monkeypatch.setattr(listings.files, "write_bytes", refuse)
    assert len(lake.parts("media_files")) == 6 and kept(settings) == {}
