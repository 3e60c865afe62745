"""Deconfliction between undercover work and activist groups: from their links, without telling what is restricted."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.links import conflicts
from pipeline.assess.links.stored import current
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, fact, identifier, referral, start
from tests.pipeline.assess.test_stage import stored


def share(settings: Settings, kind: str = "username", **more: Any) -> None:
    """A referral of UCOL, one of OCAG and one of the NCA that have one value in common."""
    names = {"U": "UCOL", "O": "OCAG", "N": "NCA_NCMEC"}
    commit(
        settings,
        "a",
        referrals=[referral(n, source=s, **(more if n == "U" else {})) for n, s in names.items()],
        identifiers=[identifier(n, kind, "sample_user", service="s") for n in names],
        facts=[fact("O", "covert_conflict", "no")],
    )
    stage.run(settings, start(settings))


def flagged(settings: Settings) -> set[str]:
    names = {case_id(name): name for name in ("U", "O", "N")}
    return {
        names[c] for c, rows in stored(settings).items() if "deconfliction" in {f["rule"] for f in rows[-1]["flags"]}
    }


def test_both_cases_say_so_whatever_the_sender_stated(settings: Settings) -> None:
    share(settings)
    assert flagged(settings) == {"U", "O"}
    [row] = stored(settings)[case_id("O")]
    reason = next(r for r in row["reasons"] if r["feature"] == "covert_conflict")
    [evidence] = reason["evidence"]
    assert evidence["table"] == "links"
    assert evidence["note"] == "Referrals of OCAG and UCOL share it. The same username on the same service."
    assert [n["kind"] for n in row["notifications"]] == ["ucol_deconfliction"]
    assert row["summary"]["lists"] == []


def test_a_restricted_referral_tells_the_other_side_nothing(settings: Settings) -> None:
    share(settings, compartment="ucol")
    assert flagged(settings) == {"U"}


@pytest.mark.parametrize("kind", ["username_elsewhere", "known_media"])
def test_a_weak_link_is_left_to_a_person(settings: Settings, kind: str) -> None:
    share(settings, kind)
    assert set(current(Lake(settings.lake_dir))["strength"].to_pylist()) == {"weak"}
    assert flagged(settings) == set()


def test_nothing_linked_is_nothing(settings: Settings) -> None:
    lake = Lake(settings.lake_dir)
    assert conflicts.hits(settings, lake, current(lake)) == []
