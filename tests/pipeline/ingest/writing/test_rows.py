"""Rows of a referral: media states, times and ages, force and transfer, completeness, restricted details."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.fingerprint.outcome import Failure, Reason
from pipeline.ingest import rules
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reports import report
from pipeline.ingest.writing import rows
from pipeline.ingest.writing.context import Answers, Context
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests import factory
from tests.factory import form, police_json

RULES = rules.load(Settings())


def made(
    content: bytes, media: dict[str, bytes] | None = None, name: str = "r.json", force: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    package = Package("other", "other/p", "folder", [Member(name, len(content), Locator(f"other/p/{name}"), content)])
    for path, data in (media or {}).items():
        package.members.append(Member(path, len(data), Locator(f"other/p/{path}")))
    answers = Answers(
        {f"other/p/{path}": factory.digests(data) for path, data in (media or {}).items() if data != b"unreadable"},
        {f"other/p/{p}": Failure(Reason.UNREADABLE) for p, data in (media or {}).items() if data == b"unreadable"},
    )
    answers.give(package.payload)
    rule = replace(RULES, force=force)
    found, reasons = report.find(package, rule.report)
    assert found is not None, reasons
    return rows.compose(found, Context(package, "p" * 64, "r" * 32, None, rule, "run", factory.AS_OF))


def referral(content: bytes, **more: Any) -> dict[str, Any]:
    return made(content, **more)["referrals"][0]


def test_media_states() -> None:
    digest = factory.digests(b"by hash").md5.hex()
    described = [
        {"name": "C:\\x\\a.jpg"},
        {"name": "media/b.jpg"},
        {"name": "gone.jpg"},
        {"name": "other name", "md5": digest},
        {"md5": "ab" * 16},
        {"name": "kept.jpg", "sent": "no", "md5": "cd" * 16},
        {"name": "bad.jpg"},
    ]
    content = {"a.jpg": b"a", "media/b.jpg": b"b", "z.jpg": b"by hash", "extra.txt": b"e", "bad.jpg": b"unreadable"}
    tables = made(form(files=described), media=content)
    files = tables["media_files"]
    assert [f["state"] for f in files] == [
        "present", "present", "missing", "present", "hash_only", "hash_only", "unreadable", "present",
    ]  # fmt: skip
    assert files[7]["annotations"] == ["not_named_in_report"]
    assert files[7]["name"] == "extra.txt"
    assert files[6]["reason"] == "unreadable"
    assert len({f["file_id"] for f in files}) == 8
    assert files[0]["sha256"] == factory.digests(b"a").sha256
    assert [f["source_path"] for f in files][-2:] == ["/files/6", None]


def test_a_claimed_hash_that_is_not_the_files() -> None:
    tables = made(form(files=[{"name": "a.jpg", "sha256": "ab" * 32}]), media={"a.jpg": b"a"})
    assert [d["problem"] for d in tables["defects"]] == ["The file does not have the sha256 that the report states."]
    assert tables["media_files"][0]["claimed_sha256"] == bytes.fromhex("ab" * 32)


def test_two_files_of_one_base_name_are_not_confused() -> None:
    tables = made(form(files=[{"name": "a.jpg"}, {"name": "x/a.jpg"}]), media={"x/a.jpg": b"1", "y/a.jpg": b"2"})
    assert [f["state"] for f in tables["media_files"]] == ["missing", "present", "present"]


def test_a_file_is_found_by_its_name_in_another_unicode_form_case_or_with_outer_spaces() -> None:
    described = [{"name": name} for name in ("\u00fcber.jpg", "IMG_1.JPG", " b .jpg", "c.jpg")]
    content = {"u\u0308ber.jpg": b"a", "x/img_1.jpg": b"b", "data/ b .jpg": b"c", "1/C.jpg": b"d", "2/C.jpg": b"e"}
    files = made(form(files=described), media=content)["media_files"]
    assert [row["state"] for row in files] == ["present", "present", "present", "missing", "present", "present"]


def test_stage_times_and_ages() -> None:
    row = referral(
        form(
            timezone="UTC",
            times={
                "incident": "2026-11-01 10:00",
                "provider_reported": "2026-11-01T12:00:00+01:00",
                "nca_received": "2026-11-02T10:00:00",
                "force_received": "2026-11-03T10:00:00Z",
            },
        )
    )
    assert row["incident_at"] == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert row["provider_reported_at"] == datetime(2026, 11, 1, 11, tzinfo=UTC)
    assert row["stage_ages"] == {
        "incident_at": 48.0,
        "provider_reported_at": 47.0,
        "nca_received_at": 24.0,
        "incident_at>provider_reported_at": 1.0,
        "provider_reported_at>nca_received_at": 23.0,
        "nca_received_at>force_received_at": 24.0,
    }
    assert row["times_original"]["provider_reported_at"] == {
        "original": "2026-11-01T12:00:00+01:00",
        "zone": "+01:00",
        "ambiguous": False,
    }


def test_times_that_are_not_certain_or_not_possible() -> None:
    tables = made(
        form(
            times={
                "incident": "2026-11-01 10:00",
                "nca_received": "2026-11-05T10:00:00Z",
                "force_received": "2026-11-04T10:00:00Z",
            }
        )
    )
    row = tables["referrals"][0]
    assert row["incident_at"] is None
    assert row["times_original"]["incident_at"]["ambiguous"]
    assert len(tables["defects"]) == 2
    assert "before nca_received_at" in tables["defects"][1]["problem"]
    later = made(form(times={"incident": "2027-11-01T10:00:00Z"}))
    assert "The time lies in the future." in {d["problem"] for d in later["defects"]}
    assert referral(form())["force_received_at"] == factory.AS_OF


def test_force_and_transfer() -> None:
    def with_postcode(code: str, role: str = "suspect") -> bytes:
        return form(subjects=[{"role": role, "addresses": [{"text": "1 Sample Street", "postcode": code}]}])

    assert referral(with_postcode("ZZ99 1AA"), force="ZZ")["transfer_to"] is None
    away = referral(with_postcode("hg11zz"), force="ZZ")
    assert (away["force_code"], away["force_basis"], away["transfer_to"]) == ("12", "postcode", "12")
    assert referral(with_postcode("hg1"), force="ZZ")["transfer_to"] == "12"
    abroad = {"text": "1 Sample Street", "postcode": "HG1", "country": "CA"}
    assert referral(form(subjects=[{"role": "suspect", "addresses": [abroad]}]), force="ZZ")["force_code"] is None
    assert referral(with_postcode("DN1 1AA"), force="ZZ")["force_code"] == "14"
    shared = referral(with_postcode("DN1"), force="ZZ")
    assert shared["force_code"] is None
    assert len(shared["force_candidates"]) > 1
    stated = referral(form(force="42", subjects=[{"role": "suspect", "addresses": ["ZZ99 1AA"]}]), force="ZZ")
    assert (stated["force_code"], stated["force_basis"], stated["transfer_to"]) == ("42", "statement", "42")
    for written in ("1", "01", "metropolitan police"):
        assert referral(form(force=written), force="ZZ")["transfer_to"] == "01"
    assert referral(with_postcode("ZZ99 1AA", "victim"))["force_code"] == "ZZ"
    assert made(form(force="77"))["defects"][0]["original"] == "77"
    assert referral(with_postcode("HG1 1ZZ"))["transfer_to"] is None  # TRIAGE_FORCE is not set


def test_completeness_names_what_is_missing() -> None:
    bare = referral(form())
    assert bare["completeness"] < 0.2
    assert "address_with_port_and_time" in bare["missing_fields"]
    full = referral(
        form(
            platform="samplechat",
            force="ZZ",
            narrative="[synthetic]",
            times={"incident": "2026-11-01T10:00:00Z", "nca_received": "2026-11-02T10:00:00Z"},
            subjects=[{"role": "suspect", "name": "Sample Person", "emails": ["a@example.org"]}],
            connections=[{"ip": "192.0.2.1", "port": 1, "at": "2026-11-01T10:00:00Z"}],
        )
    )
    assert full["missing_fields"] == []
    assert full["completeness"] == 1.0


def test_original_text_of_an_address_stays_beside_the_value() -> None:
    tables = made(
        form(
            timezone="Europe/London",
            connections=[
                {"ip": " 2001:DB8::1 ", "port": "051234", "at": "01/02/2026 10:00", "possible_proxy": "yes"},
                {"ip": "192.0.2.1", "port": "no port", "at": "2026-07-01T10:00:00"},
                {"ip": "192.0.2.1:443", "at": "2026-07-01T10:00:00+02:00"},
            ],
        )
    )
    first, second, third = tables["identifiers"]
    assert (first["value"], first["original"], first["port"]) == ("2001:db8::1", "2001:DB8::1", 51234)
    assert (first["seen_at"], first["seen_at_original"], first["time_ambiguous"]) == (None, "01/02/2026 10:00", True)
    assert (first["port_original"], first["possible_proxy"]) == ("051234", "yes")
    assert (second["port"], second["port_original"], second["seen_at_zone"]) == (None, "no port", "Europe/London")
    assert second["seen_at"] == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert (third["original"], third["port"], third["port_original"]) == ("192.0.2.1:443", 443, None)
    assert third["seen_at_zone"] == "+02:00"


@pytest.mark.parametrize("given", ["2026-07-01T10:00:00", "2026-07-01T10:00:00Z"])
def test_original_time_of_an_upload_and_of_a_message_stays_beside_the_value(given: str) -> None:
    police = {"uploadedFiles": [{"filename": "a.jpg", "uploadedToEspTimestamp": given}]}
    own = {
        "files": [{"name": "a.jpg", "uploaded_at": given}],
        "chat": [{"text": "[synthetic message 1]", "sent_at": given}],
    }
    sure = given.endswith("Z")
    utc = datetime(2026, 7, 1, 10, tzinfo=UTC) if sure else None
    for content in (police_json(**police), form(**own)):
        tables = made(content)
        for name, listed in (("uploaded_at", tables["media_files"]), ("sent_at", tables["narratives"])):
            for row in listed:
                assert (row[name], row[f"{name}_original"], row["time_ambiguous"]) == (utc, given, not sure)
                assert row[f"{name}_zone"] == ("Z" if sure else "")
    assert tables["narratives"]


def test_a_text_only_referral_is_whole() -> None:
    tables = made(form("ucol-referral", chat=[{"text": "[synthetic message 1]", "participant": "p"}]))
    assert tables["media_files"] == []
    assert [n["text"] for n in tables["narratives"]] == ["[synthetic message 1]"]
    assert "content" not in tables["referrals"][0]["missing_fields"]
    assert "viewed_by_provider" not in tables["referrals"][0]["missing_fields"]


def test_covert_details_are_nowhere_but_in_the_compartment() -> None:
    secret = "COVERTSECRET"
    content = form(
        "ucol-referral",
        chat=[{"text": f"[synthetic message to {secret}]", "participant": secret.lower()}],
        subjects=[{"role": "other", "name": secret, "accounts": [{"service": "s", "username": secret}]}],
        ucol={"participants": [secret, "other"]},
        covert_source={"personas": [secret], "handler": secret, "unknown": {"deep": [secret, 1]}},
    )
    tables = made(content)
    for name, listed in tables.items():
        for row in listed:
            shown = {k: v for k, v in row.items() if k != "content"}
            if row.get("compartment") != "ucol":
                assert secret.lower() not in json.dumps(shown, default=str).lower(), name
    restricted = [n for n in tables["narratives"] if n.get("compartment") == "ucol"]
    assert {n["kind"] for n in restricted} == {"note"}
    assert len(restricted) == 3
    assert tables["originals"][0]["compartment"] == "ucol"
    assert tables["referrals"][0].get("compartment") is None
    assert [n["participant"] for n in tables["narratives"] if n["kind"] == "chat"] == ["[covert]"]


@pytest.mark.parametrize("personas", [True, 7, None, {}, "COVERTSECRET", [1, None, "COVERTSECRET"]])
def test_personas_of_any_shape_are_taken(personas: object) -> None:
    chat = [{"text": "[synthetic message to COVERTSECRET]", "participant": "COVERTSECRET"}]
    tables = made(form("ucol-referral", chat=chat, covert_source={"personas": personas}))
    named = "COVERTSECRET" in json.dumps(personas)
    [shown] = [n["participant"] for n in tables["narratives"] if n["kind"] == "chat"]
    assert shown == ("[covert]" if named else "COVERTSECRET")


def test_a_restricted_referral_is_restricted_as_a_whole() -> None:
    tables = made(form("ucol-referral", restricted=True, chat=[{"text": "[synthetic]"}]))
    assert tables["referrals"][0]["compartment"] == "ucol"
    assert tables["narratives"][0]["compartment"] == "ucol"
    assert tables["originals"][0]["compartment"] == "ucol"


def test_unknown_keys_stay_verbatim_and_the_original_bytes_are_kept() -> None:
    content = police_json(newKey={"a": [1, None, "x"]}, uploadedFiles=[{"filename": "a", "odd": 1}])
    tables = made(content)
    assert tables["referrals"][0]["unknown_keys"] == {
        "reportedInformation": {"newKey": {"a": {"0": 1, "2": "x"}}, "uploadedFiles": [{"odd": 1}]}
    }
    assert tables["originals"][0]["content"] == content
