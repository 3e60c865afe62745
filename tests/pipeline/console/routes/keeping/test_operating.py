"""Quarantine as a page with the text to send back and a mark, and the packages that wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from pipeline.ingest.stage import waiting_file
from pipeline.store.people_tables import AuditEntry
from tests.pipeline.console.html_rules import errors


def test_a_package_is_sent_back_and_marked(app: Any, home: Any, browser_of: Any) -> None:
    sue, admin, ana = browser_of("sue"), browser_of("admin"), browser_of("ana")
    assert ana.get("/quarantine").status_code == 403
    found = sue.get("/quarantine?format=json").json()["returned"]
    assert found and all(p["sent_at"] is None and p["reasons"] for p in found)
    one = found[0]
    assert one["text"].startswith("RETURNED FOR INFORMATION") and one["package_id"] in one["text"]
    page = sue.get("/quarantine")
    assert errors(page.text) == [] and "Not sent back yet" in page.text and "RETURNED FOR INFORMATION" in page.text
    address = f"/quarantine/{one['package_id']}/sent"
    assert sue.post(address, {"recipient": " "}).status_code == 400
    assert sue.post(address, {"recipient": "NCA desk"}).headers["location"] == "/quarantine?done=sent-back"
    again = sue.get("/quarantine?format=json").json()["returned"][0]
    assert (again["sent_by"], again["sent_to"]) == ("sue", "NCA desk") and again["sent_at"]
    assert sue.post("/quarantine/P-none/sent", {"recipient": "x"}).status_code == 404
    with app.app.state.store.reader() as session:
        query = sa.select(AuditEntry.object).where(AuditEntry.action == "package.sent_back")
        assert list(session.scalars(query)) == [f"package:{one['package_id']}"]
    restricted = {p["package_id"] for p in found if p["landing_folder"] == "ucol"}
    assert not restricted & {p["package_id"] for p in admin.get("/quarantine?format=json").json()["returned"]}


@pytest.mark.parametrize("column", ["landing_folder", "source"], ids=["now", "written by an earlier version"])
def test_packages_that_wait_are_named_as_of_the_last_run(home: Any, browser_of: Any, column: str) -> None:
    sue, admin = browser_of("sue"), browser_of("admin")
    assert waiting_file(home).is_file()  # the night wrote it
    rows = [
        {column: folder, "container": f"{folder}/late", "hours": 30.0, "reasons": ["no marker"]}
        for folder in ("nca", "ucol")
    ]
    waiting_file(home).write_bytes(orjson.dumps({"as_of": "2026-11-21T01:00:00+00:00", "packages": rows}))
    page = sue.get("/quarantine").text
    assert "nca/late" in page and "ucol/late" in page and "21 Nov 2026, 01:00" in page
    assert "ucol/late" not in admin.get("/quarantine").text


def test_a_run_that_is_not_finished_shows_its_progress(home: Any, browser_of: Any) -> None:
    from pipeline import contract as nights
    from pipeline.night import plans

    run = nights.start(home, "later").run_id
    plans.note(home, run, "fingerprint", 5)
    page = browser_of("sue").get("/runs/later")
    assert "Progress" in page.text and "Fingerprint media files" in page.text and errors(page.text) == []


def test_the_page_of_runs_has_the_newest_and_the_others_when_they_are_asked_for(home: Any, browser_of: Any) -> None:
    from pipeline import contract as nights
    from pipeline.console.routes import dashboard

    sue = browser_of("sue")
    before = len(sue.get("/runs?format=json").json()["runs"])
    for number in range(dashboard.NEWEST):
        nights.start(home, f"old-{number}", datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number))
    shown = sue.get("/runs?format=json").json()
    assert len(shown["runs"]) == dashboard.NEWEST and shown["earlier"] == before
    assert shown["runs"][-1]["run_id"] == f"old-{before}" and "old-0" not in sue.get("/runs").text
    page = sue.get("/runs?all=yes")
    assert errors(page.text) == [] and "old-0" in page.text and "All runs," not in page.text
    assert f"All runs, {before} earlier one" in sue.get("/runs").text
    assert sue.get("/runs/none").status_code == 404
