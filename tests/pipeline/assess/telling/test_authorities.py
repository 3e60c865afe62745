"""Which authority a notification goes to: the place of work, the child's home and the suspect's home, each judged apart."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.evidence.inputs import CaseFile, Place
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.assess.rows import notifications
from pipeline.assess.telling.authorities import addressed
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import case, commit, referral, said, subject

MODEL = Model.load(Settings())
NAMES = {"42": "Essex", "46": "Kent", "35": "Cambridgeshire"}
WORK = Place("work", "Cambridge", "Cambridgeshire", "35", "S1", True)
SUSPECT = Place("suspect_home", "Chelmsford", "Essex", "42", "S1", False)
CHILD = Place("child_home", "Maidstone", "Kent", "46", "S2", True)


def due(*facts: str, places: tuple[Place, ...]) -> dict[tuple[str, str | None], list[str | None]]:
    """Kind and place to the authorities that are to be told."""
    made = case(facts=said(*facts), places=places)
    found: dict[tuple[str, str | None], list[str | None]] = {}
    for item in notifications(MODEL.assess(made), made, None, NAMES):
        found.setdefault((item["kind"], item.get("place")), []).append(item.get("authority"))
    return found


def test_the_lado_is_the_one_where_the_work_is() -> None:
    found = due("profession_teacher", places=(WORK, SUSPECT))
    assert found == {("lado", "work"): ["Cambridgeshire"]}


def test_a_lado_whose_place_is_not_known_is_to_be_found_out() -> None:
    made = case(facts=said("profession_teacher"), places=(SUSPECT,))
    (item,) = notifications(MODEL.assess(made), made, None, NAMES)
    assert item["label"] == "Designated officer (LADO): authority not known"
    assert "place of work has no known postcode" in item["reason"] and "lie in Essex" in item["reason"]


def test_childrens_services_of_the_child_and_of_the_suspect_are_told_apart() -> None:
    found = due("lives_with_children", places=(WORK, SUSPECT, CHILD))
    assert found[("childrens_services", "child_home")] == ["Kent"]
    assert found[("childrens_services", "suspect_home")] == ["Essex"]
    assert ("childrens_services", "work") not in found


def test_a_child_in_another_force_is_told_to_that_force_also_when_the_suspect_lives_here() -> None:
    made = case(facts={}, places=(SUSPECT, CHILD))
    (item,) = notifications(MODEL.assess(made), made, None, NAMES)
    assert (item["kind"], item["force_code"], item["authority"]) == ("child_force", "46", "Kent")
    assert item["label"] == "Kent (46): a child lives in their area"
    assert item["evidence"] == [{"table": "subjects", "id": "S2", "note": "the child's home"}]
    assert addressed([], case(places=(CHILD._replace(elsewhere=False),)), NAMES) == []


def _assembled(settings: Settings, rows: list[dict[str, Any]]) -> CaseFile:
    commit(settings, "one", referrals=[referral("R1")], subjects=rows)
    lake = Lake(settings.lake_dir)
    (made,) = Bulk(settings, MODEL, lake, current(lake)).cases()
    return made


def test_the_places_of_a_case_are_those_of_its_suspects_and_children(settings: Settings) -> None:
    def located(place: str, services: str, force: str) -> dict[str, Any]:
        return {"place": place, "postcode": "X", "authority": services, "services": services, "force": force}

    rows = [
        subject("R1", 1, role="suspect", places=[located("home", "Essex", "42"), located("work", "Kent", "46")]),
        subject("R1", 2, role="victim", places=[located("home", "Kent", "46")]),
        subject("R1", 3, role="reporter", places=[located("home", "Surrey", "45")]),
        subject("R1", 4, role="victim", places=[located("home", "Kent", "46")]),
        subject("R1", 5, role="suspect", places=None),
    ]
    made = _assembled(settings, rows)
    away = settings.force not in ("00",)
    assert [(p.kind, p.services, p.row) for p in made.places] == [
        ("child_home", "Kent", "s-R1-2"),
        ("suspect_home", "Essex", "s-R1-1"),
        ("work", "Kent", "s-R1-1"),
    ]
    assert made.places[0].elsewhere is (away and settings.force != "46")
    again = CaseFile.from_content(orjson.dumps(made.content(), default=list).decode())
    assert again.places == made.places
