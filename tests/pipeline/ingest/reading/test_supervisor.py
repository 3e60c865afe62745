"""Several packages wait at one process: each gets its own answer, and the one at which it ends is the one that is returned."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.ingest import rules
from pipeline.ingest.landing import discovery
from pipeline.ingest.landing.package import Package
from pipeline.ingest.reading import supervisor
from pipeline.ingest.reading.questions import AHEAD, PackageQuestion
from pipeline.ingest.reading.supervisor import Contents, PackageReading
from pipeline.settings import Settings
from tests.factory import form, land

NUMBER = 2 * AHEAD + 3


def questions(settings: Settings, padding: int = 0) -> list[PackageQuestion]:
    """One of each of some packages, whose report has its number as the reference."""
    for n in range(NUMBER):
        name = f"p{n:02}"
        land(
            settings, {"report.json": form(reference=f"N-{n}"), **{f"m{i:04}.jpg": b"x" for i in range(padding)}}, name
        )
    policy = rules.load(settings).data
    entries, _ = discovery.entries(settings.landing_dir, policy)
    return [PackageQuestion(*discovery.prepare(entry, policy)) for entry in entries]


def references(found: list[Contents]) -> list[str | None]:
    return [c.report.draft.referral["source_reference"] if c.report else None for c in found]


@pytest.mark.parametrize("padding", [0, 300])
def test_each_package_gets_its_own_answer(settings: Settings, padding: int) -> None:
    """300 names of files are so long a question that few others wait behind it."""
    asked = questions(settings, padding)
    with PackageReading(settings, rules.load(settings)) as reading:
        found = reading.read(asked)
    assert references(found) == [f"N-{n}" for n in range(NUMBER)]
    assert not reading.deaths


def failing(place: int, times: int, *, again: bool) -> Callable[..., Contents]:
    """An `_answer` whose process is gone when it is to tell about one package, so many times."""
    answer = PackageReading._answer
    left = [times]

    def answered(self: PackageReading, package: Package) -> Contents:
        if package.container == f"other/p{place:02}" and left[0]:
            left[0] -= 1
            self._end()
            raise supervisor._EndedError("it ended", again=again)
        return answer(self, package)

    return answered


@pytest.mark.parametrize("place", [0, 3, AHEAD - 1, AHEAD, NUMBER - 1])
@pytest.mark.parametrize(("times", "again"), [(1, True), (2, True), (1, False)])
def test_the_package_at_which_a_process_ends_is_returned_and_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, place: int, times: int, again: bool
) -> None:
    monkeypatch.setattr(PackageReading, "_answer", failing(place, times, again=again))
    asked = questions(settings)
    with PackageReading(settings, rules.load(settings)) as reading:
        found = reading.read(asked)
    lost = place if times == 2 or not again else None
    assert references(found) == [None if n == lost else f"N-{n}" for n in range(NUMBER)]
    assert [q.package.faults for q in asked] == [["it ended"] if n == lost else [] for n in range(NUMBER)]
    assert reading.deaths == {"it ended": times}


def test_what_could_not_be_opened_is_said_once_of_a_package_that_is_asked_about_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackageReading, "_answer", failing(1, 1, again=True))
    asked = questions(settings)
    for n in (1, 2):
        path = settings.landing_dir / "other" / f"p{n:02}" / "report.json"
        path.unlink()
        os.mkfifo(path)
    with PackageReading(settings, rules.load(settings)) as reading:
        found = reading.read(asked)
    pipe = ["the package holds a link, a pipe or a device"]
    assert [q.package.faults for q in asked] == [pipe if n in (1, 2) else [] for n in range(NUMBER)]
    assert references(found) == [None if n in (1, 2) else f"N-{n}" for n in range(NUMBER)]


def test_a_process_reads_no_more_packages_than_the_policy_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = questions(settings)
    rule = rules.load(settings)
    reader = {**rule.data["reader"], "packages": AHEAD - 2}
    rule = replace(rule, data={**rule.data, "reader": reader})
    ended: list[int] = []
    end = PackageReading._end

    def counted(self: PackageReading, *, hung_up: bool = False) -> int | None:
        ended.append(self._asked)
        return end(self, hung_up=hung_up)

    monkeypatch.setattr(PackageReading, "_end", counted)
    with PackageReading(settings, rule) as reading:
        found = reading.read(asked)
    assert references(found) == [f"N-{n}" for n in range(NUMBER)]
    assert [n for n in ended if n] == [AHEAD - 2] * (NUMBER // (AHEAD - 2)) + [NUMBER % (AHEAD - 2)]
