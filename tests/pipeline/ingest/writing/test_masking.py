"""The names of a covert source stay in its compartment, wherever a sender wrote them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import jsontext
from pipeline.ingest.writing.masking import covert
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests import factory

PERSONA = "Zebra Persona"
REPORT = factory.form(
    "ucol-referral",
    reference="open",
    report_type=f"[synthetic] {PERSONA}",
    provider=PERSONA,
    platform=f"chat of {PERSONA}",
    priority=PERSONA,
    handling=PERSONA,
    force=PERSONA,
    urgency=f"[synthetic] {PERSONA}",
    persona_note=f"[synthetic] {PERSONA.lower()} was there",
    **{f"key of {PERSONA}": 1},
    times={"incident": f"when {PERSONA} said so"},
    subjects=[
        {
            "role": "suspect",
            "name": "Zebras Sample",
            "gender": PERSONA,
            "country": PERSONA,
            "accounts": [{"service": f"s {PERSONA}", "username": "zebras", "seen_at": PERSONA}],
        },
        {
            "role": "other",
            "name": PERSONA.upper(),
            "occupation": PERSONA,
            "addresses": [{"text": f"1 {PERSONA} Street"}],
            "emails": ["another@example.org"],
            "accounts": [{"service": "s", "profile_url": f"https://example.org/{PERSONA}?x=1"}],
        },
    ],
    facts={"access_to_children": {"value": "yes", "detail": PERSONA}},
    files=[{"name": f"with {PERSONA}.jpg", "sent": False, "annotations": [PERSONA], "uploaded_at": PERSONA}],
    chat=[{"participant": PERSONA, "text": f"[synthetic message 1] {PERSONA}_7", "sent_at": f"{PERSONA}"}],
    ucol={
        "participants": [PERSONA, "zebras"],
        "offers_of_contact": [{"kind": f"with {PERSONA}", "place": f"[synthetic] {PERSONA}", "when": PERSONA}],
    },
    covert_source={"personas": [f"@{PERSONA}", "Q"], "handler": "[synthetic handler]"},
)


def test_no_table_outside_the_compartment_has_a_persona(settings: Settings) -> None:
    factory.land(settings, {"referral.json": REPORT}, source="ucol")
    factory.ingest(settings)
    lake = Lake(settings.lake_dir)
    for name in ("referrals", "subjects", "identifiers", "facts", "narratives", "media_files", "defects", "originals"):
        for row in lake.read(name).to_pylist():
            if row.get("compartment") is None:
                assert PERSONA.lower() not in str(row).lower(), name
    assert [i["value"] for i in lake.read("identifiers").to_pylist()] == ["zebras"]
    assert {s["name"] for s in lake.read("subjects").to_pylist()} == {"Zebras Sample", "[covert]"}
    held = [n["text"] for n in lake.read("narratives").to_pylist() if n["compartment"] == "ucol"]
    assert f"personas: {jsontext.canonical_json([f'@{PERSONA}', 'Q'])}" in held


@pytest.mark.parametrize("nights", [1, 2])
@pytest.mark.parametrize("personas", [[PERSONA], PERSONA])
def test_a_supplement_that_does_not_repeat_the_names_is_masked_too(
    settings: Settings, nights: int, personas: object
) -> None:
    first = factory.form("ucol-referral", reference="a", covert_source={"personas": personas})
    factory.land(settings, {"r.json": first}, "a", source="ucol")
    if nights == 2:
        factory.ingest(settings)
    chat = [{"participant": PERSONA, "text": f"[synthetic] {PERSONA}"}]
    for name, more in (("b", {"supplements": "a"}), ("c", {"prior_references": ["b"]})):
        factory.land(
            settings, {"r.json": factory.form("ucol-referral", reference=name, chat=chat, **more)}, name, source="ucol"
        )
    factory.ingest(settings)
    lake = Lake(settings.lake_dir)
    states = sorted(p["state"] for p in lake.read("packages").to_pylist())
    assert states == ["accepted", "supplement", "supplement"]
    for table in ("narratives", "originals"):
        shown = [row for row in lake.read(table).to_pylist() if row["compartment"] is None]
        assert PERSONA not in str(shown)
    assert {n["participant"] for n in lake.read("narratives").to_pylist() if n["kind"] == "chat"} == {"[covert]"}


def test_a_suspect_whose_name_only_contains_a_persona_is_kept() -> None:
    found = covert(["Sam", "Q"])
    assert found is not None
    assert found.within.sub("[covert]", "Samuel met sam, Sam_1 and Q") == "Samuel met [covert], [covert]_1 and Q"
    assert found.within.sub("[covert]", " q ") == "[covert]"
    for kept in ("samuel", "sam_1990", "samuel@example.org", "quentin"):
        assert not found.identifier.search(kept)
    for withheld in ("Sam", "@sam", "sam@example.org", "https://example.org/sam", "q"):
        assert found.identifier.search(withheld)


@pytest.mark.parametrize(
    "written",
    ["quillmarten77", "Quill Marten 77", "QUILL-MARTEN_77", "quíllmarten77", "qui\u0301llmarten77", "qu\u200billmarten77",
     "qu\u202aillmarten77", "qu\u061cillmar\u3164ten77", "quill\U000e0041marten77",
     "Ｑｕｉｌｌmarten77", "zed  plover", "zed\nplover", "ZED_PLOVER", "ZedPlover", "straße", "STRASSE"],
)  # fmt: skip
def test_a_name_is_found_as_people_write_it(written: str) -> None:
    found = covert(["QuillMarten77", "Zed Plover", "Straße"])
    assert found is not None
    assert found.within.sub("[covert]", f"seen {written}.") == "seen [covert]."
    for other in ("quillmarten7", "zed plovers", "unzed plover", "z e d", "quill", "strassen"):
        assert found.within.sub("[covert]", other) == other


def test_a_likeness_withholds_what_belongs_to_no_suspect_only(settings: Settings) -> None:
    accounts = [
        {"role": role, "accounts": [{"service": "s", "username": "zed_plover"}]} for role in ("suspect", "other")
    ]
    tree = factory.form("ucol-referral", subjects=accounts, covert_source={"personas": ["Zed Plover"]})
    factory.land(settings, {"r.json": tree}, source="ucol")
    factory.ingest(settings)
    lake = Lake(settings.lake_dir)
    roles = {s["subject_id"]: s["role"] for s in lake.read("subjects").to_pylist()}
    assert [roles[i["subject_id"]] for i in lake.read("identifiers").to_pylist()] == ["suspect"]


def test_no_names_mask_nothing() -> None:
    assert covert([]) is None
    assert covert(["", " ", "@"]) is not None
    assert covert([" "]) is None


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4), st.data())
def test_a_name_by_itself_is_always_found(names: list[str], data: st.DataObject) -> None:
    found = covert(names)
    name = data.draw(st.sampled_from(names))
    if found is not None and name.strip():
        assert found.within.search(name)
        assert found.identifier.search(name)
        assert not re.search(r"\S", found.within.sub("", name))
