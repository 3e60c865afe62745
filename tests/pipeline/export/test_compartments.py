"""Rows of a restricted compartment do not leave by a list, an export or a statement."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipeline import records
from pipeline.export import reporting, stage
from pipeline.export.asking import Enquiry
from pipeline.export.listing import readable, table, without
from pipeline.lake import Lake
from pipeline.night import erasing
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store
from pipeline.store.tables import Tombstone
from tests import factory
from tests.pipeline.cases import samples


def covert(settings: Settings) -> None:
    content = factory.form(
        "ucol-referral",
        reference="open",
        chat=[{"text": "[synthetic message 1]"}],
        covert_source={"handler": "[synthetic handler]"},
    )
    factory.land(settings, {"referral.json": content}, source="ucol")
    factory.ingest(settings)


def fingerprint(content: bytes) -> dict[str, Any]:
    required = dict.fromkeys(records.describe("fingerprints")["required"], "")
    digests = {n: hashlib.new(n, content).digest() for n in ("md5", "sha1", "sha256")}
    return required | digests | {"size": len(content), "low_information": False}


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


def test_the_path_of_a_file_whose_sender_has_a_covert_source_needs_the_compartment(settings: Settings) -> None:
    content = factory.form("ucol-referral", covert_source={"personas": ["zebra"]})
    factory.land(settings, {"referral.json": content, "log_zebra.txt": b"[synthetic]"}, source="ucol")
    factory.ingest(settings)
    (shown,) = table(settings, "media_files", [], []).to_pylist()
    assert (shown["name"], shown["locator"]) == ("log_[covert].txt", None)
    (whole,) = table(settings, "media_files", [], ["ucol"]).to_pylist()
    assert whole["locator"].endswith("log_zebra.txt")


def test_contents_that_only_hidden_referrals_hold_are_left_out(settings: Settings) -> None:
    files = {"own": b"own", "shared": b"shared"}
    for name, held in (("a", ["own", "shared"]), ("b", ["shared"])):
        report = factory.form("ocag-referral", reference=name)
        factory.land(settings, {"r.json": report, **{f"{n}.txt": files[n] for n in held}}, name, source="ocag")
    factory.ingest(settings)
    lake = Lake(settings.lake_dir)
    hidden = [r["referral_id"] for r in lake.read("referrals").to_pylist() if r["source_reference"] == "a"]
    rows = [fingerprint(content) for content in files.values()]
    lake.commit("fingerprint", "n", {"fingerprints": records.build("fingerprints", rows)}, run_id="n")
    assert readable(lake, "fingerprints", [], []).num_rows == 2
    assert readable(lake, "fingerprints", hidden, [])["sha256"].to_pylist() == [hashlib.sha256(b"shared").digest()]


def test_assessments_do_not_tell_of_links_to_hidden_referrals(settings: Settings) -> None:
    lake = Lake(settings.lake_dir)
    linked = samples.reason("linked", 9.0, [("links", "L-1-2-email"), ("links", "L-1-3-email")]) | {"evidence_total": 2}
    rows = [samples.assessment(n, reasons=[linked], summary={"links": 2}) for n in (1, 2, 4)]
    links = [samples.link(1, 2), samples.link(1, 3)]
    built = {"links": records.build("links", links), "assessments": records.build("assessments", rows)}
    lake.commit("assess", "n", built, run_id="n")
    found = readable(lake, "assessments", [samples.referral(2)], []).to_pylist()
    shown = {r["case_id"]: r for r in found}
    assert shown.keys() == {samples.case_of(1), samples.case_of(4)}
    assert "L-1-2-email" not in str(shown[samples.case_of(1)])
    (left,) = json.loads(shown[samples.case_of(1)]["reasons"])
    assert (left["label"], left["evidence_total"]) == ("Reason linked", 1)
    assert "links" not in json.loads(shown[samples.case_of(1)]["summary"])
    assert json.loads(shown[samples.case_of(4)]["summary"])["links"] == 2


def test_the_inputs_of_assessments_need_every_compartment(settings: Settings) -> None:
    """They count and name links to restricted cases. Empty in every row, so that an empty one says nothing."""
    lake = Lake(settings.lake_dir)
    rows = [{**samples.assessment(n), "inputs": [{"strong": 1}, {"strong": ["L-1-2-email"]}]} for n in (1, 2)]
    lake.commit("assess", "n", {"assessments": records.build("assessments", rows)}, run_id="n")
    for hidden in ([], [samples.referral(2)]):
        others = readable(lake, "assessments", hidden, [])
        assert others["inputs"].null_count == others.num_rows == 2 - len(hidden)
    assert all("L-1-2-email" in text for text in readable(lake, "assessments", [], ["ucol"])["inputs"].to_pylist())


def test_a_restricted_referral_is_hidden_before_its_case_is_published(settings: Settings) -> None:
    factory.land(settings, {"r.json": factory.form("ucol-referral", restricted=True)}, source="ucol")
    factory.ingest(settings)
    (row,) = Lake(settings.lake_dir).read("referrals", ["referral_id"]).to_pylist()
    store = open_store(settings)
    with store.reader() as session:
        for compartments, hidden in ((set(), [row["referral_id"]]), ({"ucol"}, [])):
            actor = Actor("dan", "Dan", frozenset({"dmi"}), frozenset(compartments))
            assert Enquiry(session, actor, None, store).hidden_referrals() == hidden
    store.close()


def test_restricted_cases_are_not_in_the_reporting_tables_of_others(settings: Settings) -> None:
    """Not as a row, a count or a link; a second set has them, for people with the compartment."""
    store = open_store(settings)
    samples.publish_rows(
        store,
        referrals=[samples.referral_row(1), samples.referral_row(2, source="UCOL", compartment="ucol")],
        assessments=[samples.assessment(1), samples.assessment(2, "very_high")],
        links=[samples.link(1, 2)],
    )
    store.close()
    stage.write(settings, None)
    shown, whole = reporting.load(settings), reporting.load(settings, {"ucol"})
    assert shown is not None and whole is not None
    assert shown.tables["report_cases"]["case_id"].to_pylist() == [samples.case_of(1)]
    assert (shown.tables["report_cases"].num_rows, whole.tables["report_cases"].num_rows) == (1, 2)
    assert (shown.tables["report_links"].num_rows, whole.tables["report_links"].num_rows) == (0, 1)
    assert "very_high" not in (reporting.reporting_dir(settings) / "report_cases.csv").read_text()


def test_what_is_not_restricted_stays_in_the_reporting_tables_beside_what_is(settings: Settings) -> None:
    factory.land(settings, {"referral.json": factory.form("ucol-referral", restricted=True)}, source="ucol")
    factory.land(settings, {"referral.json": factory.form("ucol-referral", reference="open")}, "open", "ucol")
    factory.ingest(settings)
    stage.write(settings, None)
    shown, whole = reporting.load(settings), reporting.load(settings, {"ucol"})
    assert shown is not None and whole is not None
    assert (shown.tables["report_packages"].num_rows, whole.tables["report_packages"].num_rows) == (1, 2)


def test_what_was_erased_is_read_by_nobody_any_more(settings: Settings) -> None:
    """From the moment of the erasure by no statement; after `triage night erase` it is on no disk."""
    store = open_store(settings)
    samples.publish_rows(store, referrals=[samples.referral_row(1)], assessments=[samples.assessment(1)])
    told = {"subject_id": "S-1", "referral_id": samples.referral(1), "role": "suspect", "name": "Synthetic Person"}
    lake = Lake(settings.lake_dir)
    lake.commit("ingest", "people", {"subjects": records.build("subjects", [told])}, run_id="night-0")
    with store.session() as session:
        session.add(
            Tombstone(
                case_id=samples.case_of(1),
                referrals=[samples.referral(1)],
                compartment=None,
                erased_at=samples.START,
                erased_by="sue",
                reason_code="review",
            )
        )
    with store.reader() as session:
        actor = Actor("dan", "Dan", frozenset({"dmi"}), frozenset({"ucol"}))
        hidden = Enquiry(session, actor, None, store).hidden_referrals()
    store.close()
    assert hidden == [samples.referral(1)]
    assert readable(lake, "subjects", hidden, ["ucol"]).num_rows == 0
    assert erasing.erase(settings, "e").tables["subjects"] == 1
    assert "Synthetic Person" not in str(Lake(settings.lake_dir).read("subjects").to_pylist())
    assert erasing.erase(settings, "e2").tables == {}
