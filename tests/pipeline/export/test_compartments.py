"""Rows of a restricted compartment do not leave by a list, an export or a statement."""

from __future__ import annotations

from pipeline.export.listing import table, without
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests import factory


def covert(settings: Settings) -> None:
    content = factory.form(
        "ucol-referral",
        reference="open",
        chat=[{"text": "[synthetic message 1]"}],
        covert_source={"handler": "[synthetic handler]"},
    )
    factory.land(settings, {"referral.json": content}, source="ucol")
    factory.ingest(settings)


def test_covert_notes_and_the_report_that_names_the_source_need_the_compartment(settings: Settings) -> None:
    covert(settings)
    assert [r["kind"] for r in table(settings, "narratives", [], []).to_pylist()] == ["chat"]
    assert table(settings, "originals", [], []).num_rows == 0
    assert table(settings, "referrals", [], []).num_rows == 1
    assert sorted(r["kind"] for r in table(settings, "narratives", [], ["ucol"]).to_pylist()) == ["chat", "note"]
    assert table(settings, "originals", [], ["ucol"]).num_rows == 1


def test_hidden_referrals_are_left_out_with_all_their_rows(settings: Settings) -> None:
    covert(settings)
    lake = Lake(settings.lake_dir)
    hidden = lake.read("referrals", ["referral_id"])["referral_id"].to_pylist()
    for name in ("referrals", "narratives", "originals", "packages"):
        assert without(lake.read(name), hidden, ["ucol"]).num_rows == 0, name
