"""The night's equations over what ingest takes in: they hold, and a row too many or too few breaks them."""

from __future__ import annotations

import pytest

from pipeline.lake import Lake
from pipeline.night import reconcile
from pipeline.night.totals import Check, Span
from pipeline.settings import Settings
from tests.factory import NIGHT, form, ingest, land


def landed(settings: Settings) -> Lake:
    person = {"role": "suspect", "emails": ["a@example.org", "no address"], "phones": ["+447700900123", "5"]}
    account = {"service": "sample", "username": "persona one"}
    covert = {"personas": ["persona one"], "officer": "[synthetic]"}
    content = form(
        "ucol-referral",
        subjects=[{**person, "accounts": [account]}],
        covert_source=covert,
        files=[{"name": "gone.jpg"}],
    )
    land(settings, {"referral.json": content}, "a", "ucol")
    land(settings, {"referral.json": content}, "b", "ucol")
    land(settings, {"referral.json": b"{"}, "c", "ucol")
    ingest(settings)
    return Lake(settings.lake_dir)


def checks(lake: Lake) -> dict[str, Check]:
    span = Span(lake)
    intake = reconcile._intake(span)
    found = [*reconcile._packages(span, intake), *reconcile._identifiers(span, intake), *reconcile._media(span, intake)]
    return {check.name: check for check in found}


IDENTIFIERS = "identifiers given = identifiers stored by kind, unusable and withheld"


def test_what_was_read_is_what_the_tables_hold(settings: Settings) -> None:
    found = checks(landed(settings))
    assert all(check.holds for check in found.values())
    assert found[IDENTIFIERS].into == 5
    assert found[IDENTIFIERS].parts == {"email": 1, "phone": 1, "unusable": 2, "withheld": 1}
    packages = found["packages counted at intake = packages stored, by state"]
    assert (packages.into, packages.parts) == (3, {"accepted": 1, "duplicate": 1, "quarantined": 1})
    assert found["media files counted at intake = media files stored, by state"].parts == {"missing": 1}


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("packages", "packages counted at intake = packages stored, by state"),
        ("identifiers", IDENTIFIERS),
        ("media_files", "media files counted at intake = media files stored, by state"),
    ],
)
def test_a_row_that_nobody_counted_breaks_its_equation(settings: Settings, table: str, name: str) -> None:
    lake = landed(settings)
    rows = lake.read(table).slice(0, 1)
    from pipeline import records

    again = rows.cast(records.arrow_schema(table))
    lake.commit("ingest", "stray", {table: again}, run_id=NIGHT.run_id, meta={"counts": {}})
    assert not checks(lake)[name].holds
