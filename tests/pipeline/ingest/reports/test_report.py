"""Finding the one report of a package."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from pipeline.errors import InputError
from pipeline.ingest import quarantine, rules
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reports import report
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests import factory
from tests.factory import form, police_json

RULES = rules.load(Settings())


def package(contents: dict[str, bytes], source: str = "other") -> Package:
    members = [Member(n, len(c), Locator(f"{source}/p/{n}"), c) for n, c in contents.items()]
    return Package(source, f"{source}/p", "folder", members)


def test_the_report_is_found_by_its_content() -> None:
    found, _ = report.find(package({"notes.json": b"{}", "deep/any name.json": form()}), RULES.report)
    assert found is not None
    assert found.member.name == "deep/any name.json"
    assert [d["problem"] for d in found.draft.defects] == [
        f"Another file of the package could not be read as a report: {report.UNKNOWN_FORM}"
    ]


def test_one_report_in_two_formats_is_one_report() -> None:
    xml = b"<report id='1'><incidentSummary/></report>"
    found, _ = report.find(package({"a.xml": xml, "b.json": police_json(reportId=1)}, "nca"), RULES.report)
    assert found is not None
    assert found.reader.name == "ncmec-json"


def test_two_different_reports_are_refused() -> None:
    found, reasons = report.find(package({"a.json": form(reference="1"), "b.json": form(reference="2")}), RULES.report)
    assert found is None
    assert "several different reports" in reasons[0]


def test_the_report_is_found_among_many_small_texts_or_the_reason_says_how_many_were_not_read() -> None:
    many = {f"IMG_{n:02}.jpg.json": b"{}" for n in range(30)}
    found, _ = report.find(package({**many, "z.json": form()}), RULES.report)
    assert found is not None and found.member.name == "z.json"
    held = package({**many, "z.json": form()})
    held.by_name["z.json"].content = None
    found, reasons = report.find(held, RULES.report)
    assert found is None
    assert reasons[-1] == "1 of 31 JSON, XML and CSV files were not read; call the report `report`"


def test_a_form_in_the_wrong_folder_is_read_and_noted() -> None:
    found, _ = report.find(package({"a.json": form("ucol-referral")}, "nca"), RULES.report)
    assert found is not None
    assert found.reader.source == "UCOL"
    assert "arrived among nca packages" in found.draft.defects[0]["problem"]


def test_too_large_and_too_many() -> None:
    big = Package("other", "other/p", "folder", [Member("r.json", 10**9, Locator("other/p/r.json"))])
    assert "larger than" in report.find(big, RULES.report)[1][0]
    few = replace(RULES.report, caps={**RULES.report.caps, "rows": 3})
    with pytest.raises(InputError, match="more than 3"):
        content = form(files=[{"name": str(n)} for n in range(5)])
        report.read(Member("r.json", 1, Locator("x"), content), content, few)


def test_a_long_text_is_cut_with_a_note() -> None:
    limit = RULES.data["caps"]["text_characters"]
    found, _ = report.find(package({"a.json": form(narrative="x" * (limit + 5))}), RULES.report)
    assert found is not None
    assert len(found.draft.narratives[0]["text"]) == limit
    assert "only in the original" in found.draft.defects[0]["problem"]


def test_the_returned_text_names_every_reason_and_shows_control_characters_inert() -> None:
    text = quarantine.notice_text("nca/\x1b[2Jp", "id", factory.AS_OF, ["it is broken", "it is late."])
    assert "\x1b" not in text
    assert "  1. It is broken.\n  2. It is late.\n" in text
    assert "21 November 2026 22:00 UTC" in text


@pytest.mark.parametrize("where", ["picture", "narrative"])
def test_a_picture_written_into_a_report_as_text_is_said_to_be_unseen(where: str) -> None:
    rules_ = rules.load(Settings()).report
    noted = "The report holds a file written as text; nobody looked at it."
    for content, wanted in ((b"\x89PNG\r\n\x1a\n" + bytes(400), [noted]), (bytes(range(200)) * 3, [])):
        written = base64.b64encode(content).decode()
        one = form(reference="R 1", **{where: written if where == "narrative" else {"deep": [written]}})
        found, _ = report.find(package({"report.json": one}), rules_)
        assert found is not None
        assert [d["problem"] for d in found.draft.defects if d["problem"] == noted] == wanted
