"""Deliveries in pages: when they are whole, and what is said of pages that wait."""

from __future__ import annotations

import itertools
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hashsets.cli import hashset
from hashsets.importing import landing, paging
from hashsets.importing.paging import missing
from hashsets.release import building, releases
from pipeline.errors import UsageError
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.hashsets.samples import keys

PAGES = Path(__file__).parents[1] / "data" / "ncmec_paging"


def page(start: int | None, entries: int = 4, **query: object) -> dict[str, Any]:
    """The notes of a page whose next one begins at `start`; None for the last page."""
    if start is None:
        return {"next": None, "entries": entries}
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    return {"next": f"/v2/entries?start={start}{asked}", "entries": entries}


LAST = page(None)

WHOLE = {
    "from 0": [page(4, size=4), page(8, size=4), LAST],
    "from 1": [page(5, size=4, max=8), page(9, size=4, max=12), LAST],
    "without size": [page(5, max=8), page(9, max=12), LAST],
    "without size and max": [page(4), page(8), LAST],
    "from 1 without size and max": [page(5), page(9), LAST],
    "shorter pages than size": [page(5, entries=2, size=4), page(9, entries=0, size=4), LAST],
    "a smaller last page": [page(1001, entries=1000, size=10, max=1010), LAST],
    "one page": [LAST],
    "two deliveries": [page(5, size=4, to="a"), page(5, size=4, to="b"), LAST, LAST],
    "one page read twice": [page(5, size=4), page(5, size=4), LAST],
    "no address": [{"next": "http://[x/v2/entries?start=5", "entries": 1}, LAST],
    "digits of another script": [{"next": "/v2/entries?start=\u00b2&size=\u0664", "entries": 4}, LAST],
    "a number without end": [{"next": f"/v2/entries?start={'1' * 5000}", "entries": 4}, LAST],
    "a link of another form": [{"next": "/more/a", "entries": 1}, {"next": "/more/b", "entries": 1}, LAST],
}
NOT_WHOLE = {
    "no last": [page(5, size=4), page(9, size=4)],
    "no first": [page(9, size=4), LAST],
    "no second": [page(5, size=4), page(13, size=4), LAST],
    "no second, from 0, without size": [page(4), page(12), LAST],
    "one last page for two deliveries": [page(5, size=4, to="a"), page(5, size=4, to="b"), LAST],
    "no address at all": [{"next": "http://[x/v2/entries?start=5", "entries": 4}] * 2 + [LAST],
    "two pages with one next": [{"next": "/more/a", "entries": 1}, {"next": "/more/a", "entries": 1}, LAST],
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_delivery_is_whole_in_every_order(name: str) -> None:
    for pages in itertools.permutations(WHOLE[name]):
        assert not missing(pages)


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_a_gap_is_named(name: str) -> None:
    for pages in itertools.permutations(NOT_WHOLE[name]):
        assert "is not there" in missing(pages) or "same next page" in missing(pages)


def command(settings: Settings, *arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(hashset, list(arguments), obj=settings, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_pages_counted_from_1_enter_a_release(settings: Settings) -> None:
    command(settings, "import", "--source", "ncmec", *(str(PAGES / f"n{n}.xml") for n in (1, 2, 3)))
    release = releases.current(settings)
    [taken] = {tuple(sorted(i["file"] for i in release.manifest["imports"]))}
    assert taken == ("n1.xml", "n2.xml", "n3.xml")
    assert sum(i["kept"] + i["withdrawn"] for i in release.manifest["imports"]) > 0


def test_pages_that_wait_are_named_by_the_command_and_counted_by_the_run(settings: Settings) -> None:
    _, said = command(settings, "import", "--source", "ncmec", str(PAGES / "n2.xml"), str(PAGES / "n3.xml"))
    assert "page ncmec/n2.xml waits since" in said and "is not there" in said and "hashset complete" in said
    assert releases.pointer(settings) is None or "ncmec" not in json.dumps(
        releases.current(settings).manifest["imports"]
    )
    listed = json.loads(command(settings, "waiting", "--format", "json")[0])
    assert [row["file"] for row in listed] == ["n2.xml", "n3.xml"]
    assert all(row["since"] and row["why"] and row["source"] == "ncmec" for row in listed)
    report = building.build_release(settings, samples.night(settings))
    assert report.counts["pages_waiting"] == 2
    assert report.counts["pages_waiting_since"] and "is not there" in str(report.counts["pages_waiting_why"])
    _, said = command(settings, "import", "--source", "ncmec", str(PAGES / "n1.xml"))
    assert not said
    assert json.loads(command(settings, "waiting", "--format", "json")[0]) == []


def test_a_delivery_can_be_completed_by_hand(settings: Settings) -> None:
    command(settings, "import", "--source", "ncmec", str(PAGES / "n2.xml"), str(PAGES / "n3.xml"))
    said, _ = command(settings, "complete", "ncmec", "--reason", "the link is too old", "--by", "a person")
    assert said.startswith("2 pages of ncmec")
    release = releases.current(settings)
    assert {i["file"] for i in release.manifest["imports"]} == {"n2.xml", "n3.xml"}
    assert keys(release, "none", "md5") == []
    [record] = [r for r in building.importer.all_imports(settings) if r.file_name == "n2.xml"]
    noted = paging.completed(settings, record)
    assert noted is not None and (noted["by"], noted["reason"]) == ("a person", "the link is too old")
    with pytest.raises(UsageError, match="No page of ncmec waits"):
        paging.complete(settings, [], "ncmec", person="p", reason="r", as_of=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_landing_folder_takes_pages_in_any_order(settings: Settings) -> None:
    folder = settings.landing_dir / "hashsets" / "ncmec"
    folder.mkdir(parents=True)
    for n in (3, 2):
        shutil.copyfile(PAGES / f"n{n}.xml", folder / f"n{n}.xml")
        landing.import_landing(settings, samples.night(settings))
    assert building.run(settings, samples.night(settings)).counts["pages_waiting"] == 2
    shutil.copyfile(PAGES / "n1.xml", folder / "n1.xml")
    landing.import_landing(settings, samples.night(settings))
    report = building.run(settings, samples.night(settings))
    assert (report.counts["pages_waiting"], report.counts["published"]) == (0, 1)
