"""The landing watcher: one event for each settled change, nothing for a folder that stays as it is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hashsets.release.releases import Pointer
from pipeline.errors import IntegrityError
from pipeline.night import marks
from pipeline.settings import Settings

pytestmark = pytest.mark.airflow


def test_it_reports_a_settled_change_once(tmp_path: Path, airflow_home: Path) -> None:
    from triggers.landing import LandingTrigger

    async def watch() -> list[dict[str, object]]:
        events: list[dict[str, object]] = []
        trigger = LandingTrigger(str(tmp_path / "hashsets"), seconds=0.02)

        async def collect() -> None:
            async for event in trigger.run():
                events.append(event.payload)

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.1)
        assert events == []
        (tmp_path / "hashsets" / "demo").mkdir(parents=True)
        (tmp_path / "hashsets" / "demo" / "a.json").write_text("{}")
        await asyncio.sleep(0.3)
        assert len(events) == 1
        (tmp_path / "hashsets" / "demo" / "b.json").write_text("{}")
        await asyncio.sleep(0.3)
        task.cancel()
        return events

    events = asyncio.run(watch())
    assert [e["files"] for e in events] == [1, 2]
    assert all("json" not in str(e) for e in events)


def test_a_restart_starts_nothing_for_what_was_imported(
    tmp_path: Path, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggers.landing import LandingTrigger, look

    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path / "home"))
    (tmp_path / "hashsets").mkdir()
    (tmp_path / "hashsets" / "a.json").write_text("{}")
    marks.put(Settings.load(), marks.HASHSET_LANDING, look(tmp_path / "hashsets")[0])

    async def watch() -> list[object]:
        events: list[object] = []

        async def collect() -> None:
            trigger = LandingTrigger(str(tmp_path / "hashsets"), seconds=0.05, mark=marks.HASHSET_LANDING)
            async for event in trigger.run():
                events.append(event.payload)

        task = asyncio.create_task(collect())
        await asyncio.sleep(2)
        assert events == []
        (tmp_path / "hashsets" / "b.json").write_text("{}")
        for _ in range(200):
            await asyncio.sleep(0.05)
            if events:
                break
        task.cancel()
        return events

    assert len(asyncio.run(watch())) == 1


def test_it_can_be_made_again_from_its_serialised_form(airflow_home: Path) -> None:
    from triggers.landing import LandingTrigger

    path, kwargs = LandingTrigger("x", 5).serialize()
    assert path == "triggers.landing.LandingTrigger"
    assert LandingTrigger(**kwargs).serialize() == (path, kwargs)


def test_a_release_published_by_command_is_reported_once(
    settings: Settings, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggers.releases import ReleaseTrigger

    current: list[int] = [1]
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: settings))

    def pointer(_: Settings) -> Pointer:
        if current[0] < 0:
            raise IntegrityError("CURRENT is damaged.")
        return Pointer(current[0], "")

    monkeypatch.setattr("triggers.releases.releases.pointer", pointer)
    marks.put(settings, marks.RELEASE_ANNOUNCED, "1")  # by hashset_refresh

    async def watch() -> list[object]:
        events: list[object] = []

        async def collect() -> None:
            async for event in ReleaseTrigger(seconds=0.02).run():
                events.append(event.payload)

        async def until(number: int) -> None:
            for _ in range(500):
                if len(events) >= number:
                    return
                await asyncio.sleep(0.02)

        task = asyncio.create_task(collect())
        await asyncio.sleep(0.3)
        assert events == []
        current[0] = -1  # a damaged pointer ends nothing
        await asyncio.sleep(0.1)
        current[0] = 2  # by `triage hashset approve`
        await until(1)
        await asyncio.sleep(0.3)
        marks.put(settings, marks.RELEASE_ANNOUNCED, "2")  # by retro_match
        await asyncio.sleep(0.2)
        current[0] = 3
        await until(2)
        task.cancel()
        return events

    assert asyncio.run(watch()) == [{"release": 2}, {"release": 3}]
    assert ReleaseTrigger(5).serialize() == ("triggers.releases.ReleaseTrigger", {"seconds": 5})


def test_uploads_that_wait_are_reported_when_their_number_changes_and_again_while_they_wait(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import DependencyError
    from triggers import uploads

    away = DependencyError("The case store does not answer.")
    numbers: list[int | Exception] = [
        0,
        1,
        away,
        *([1] * (uploads.AGAIN - 1)),
        2,
        0,
        0,
        RuntimeError("every look is used up"),
    ]

    def waiting(_settings: Settings) -> int:
        found = numbers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(uploads.uploads, "waiting", waiting)

    async def watch() -> list[int]:
        events: list[int] = []
        with pytest.raises(RuntimeError, match="used up"):
            async for event in uploads.UploadTrigger(seconds=0).run():
                events.append(event.payload["uploads"])
        return events

    assert asyncio.run(watch()) == [1, 1, 2]
    path, kwargs = uploads.UploadTrigger(5).serialize()
    assert path == "triggers.uploads.UploadTrigger" and uploads.UploadTrigger(**kwargs).serialize() == (path, kwargs)


def test_what_goes_while_it_is_looked_at_and_names_that_are_no_text_end_no_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggers.landing import look

    (tmp_path / "a.json").write_text("{}")
    with open(os.fsencode(tmp_path) + b"/b\xff.json", "wb"):  # noqa: PTH123 - a name that no Path is written as
        assert look(tmp_path)[1] == 2
    is_file = Path.is_file

    def going(path: Path) -> bool:
        there = is_file(path)
        path.unlink()
        return there

    monkeypatch.setattr(Path, "is_file", going)
    assert look(tmp_path) == ("", 0)
