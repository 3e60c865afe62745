"""What no rule reads is listed in the run report: incident types, priority marks, kinds of offers."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.assess.evidence import unmapped
from pipeline.assess.models.model import Model
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, referral, start


def offered(*kinds: str | None) -> dict[str, Any]:
    return {"ucol": {"offers_of_contact": [{"kind": kind} if kind else {} for kind in kinds]}}


def test_what_the_policy_does_not_map_is_listed_in_the_report_of_the_stage(settings: Settings) -> None:
    known = "Child Pornography (possession, manufacture, and distribution)"
    commit(settings, "a", referrals=[
        referral("R1", report_type="Brand New Type of Incident", priority="Purple"),
        referral("R2", report_type=known.upper(), priority="1"),
        referral("R3", source="UCOL", extension=offered("Sky Writing", "phone call", None)),
        referral("R4", source="NCA_DRB", report_type="Synthetic Sample"),
    ])  # fmt: skip
    counts = stage.run(settings, start(settings)).counts
    assert counts["incident_types_not_mapped"] == "Brand New Type of Incident"
    assert counts["priorities_not_mapped"] == "Purple"
    assert counts["offers_not_mapped"] == "Sky Writing"


@pytest.mark.parametrize(
    "row",
    [
        {"source": "UCOL", "extension": offered("meeting", "gifts")},
        {"source": "UCOL", "extension": offered("Sky Writing"), "compartment": "ucol"},
        {"source": "UCOL", "extension": {"ucol": {}}},
        {"source": "UCOL"},
        {"report_type": "Child Sexual Molestation", "priority": "E"},
        {"report_type": "Brand New Type", "priority": "Purple", "compartment": "ucol"},
    ],
)
def test_nothing_is_listed_where_all_is_mapped_or_restricted(settings: Settings, row: dict[str, Any]) -> None:
    lake = commit(settings, "a", referrals=[referral("R1", **row)])
    assert unmapped.found(settings, Model.load(settings), lake) == {}


def test_a_sentence_is_counted_and_never_shown(settings: Settings) -> None:
    lake = commit(
        settings, "a", referrals=[referral("R1", source="UCOL", extension=offered("with [synthetic name 7]"))]
    )
    assert unmapped.found(settings, Model.load(settings), lake) == {"offers_not_mapped": "1 that are no plain words"}
