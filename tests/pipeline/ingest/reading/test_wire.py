"""An answer of a process that may be taken over: whatever is not of its type, or names what is not there, is refused."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from pipeline.ingest import rules
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.reading import wire, worker
from pipeline.ingest.reading.supervisor import PackageReading
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests.factory import form

RULES = rules.load(Settings())
REPORT = form(
    reference="W-1",
    subjects=[{"role": "suspect", "name": "Sample"}],
    files=[{"name": "a.jpg", "sha256": "ab" * 32, "sent": False}],
)


def true_answer() -> dict[str, Any]:
    """What the process says of one report alone, as JSON."""
    package = Package("other", "other/r.json", "report", ready=True)
    package.members.append(Member("r.json", len(REPORT), Locator("other/r.json"), REPORT))
    wanted, missing, found, reasons = worker.judge(package, RULES.report, overdue=False)
    assert found is not None and not missing and not reasons
    said = {
        "faults": [],
        "waits": [],
        "members": [worker._listed(m, wanted) for m in package.members],
        "left_out": 0,
        "wanted": wanted,
        "missing": missing,
        "reasons": reasons,
        "report": worker._told(found, package),
    }
    return msgspec.json.decode(wire.encode(said))  # type: ignore[no-any-return]


def taken(said: dict[str, Any], content: bytes = REPORT) -> Any:
    package = Package("other", "other/r.json", "report")
    return PackageReading(Settings(), RULES)._contents(package, wire.decode(msgspec.json.encode(said)), content, 1)


def test_a_true_answer_is_taken() -> None:
    found = taken(true_answer()).report
    assert found is not None
    assert found.draft.referral["source_reference"] == "W-1"
    assert found.draft.files[0]["claimed_sha256"] == bytes.fromhex("ab" * 32)


EMAIL = {
    "kind": "email",
    "value": "a@b.example",
    "original": "a@b.example",
    "time_ambiguous": False,
    "port": None,
    "seen_at": None,
    "subject": 0,
}


def test_an_identifier_of_the_right_types_is_taken() -> None:
    said = true_answer()
    said["report"]["identifiers"].append(EMAIL)
    assert taken(said).report is not None


LIES: dict[str, Any] = {
    "a digest of another length": lambda a: a["members"][0][3].__setitem__(0, "YWI="),
    "a size below zero": lambda a: a["members"][0].__setitem__(1, -1),
    "a member of another container": lambda a: a["members"][0].__setitem__(2, "x"),
    "a member without a size": lambda a: a["members"].append(["x"]),
    "a report that is no member": lambda a: a["report"].update(member=1),
    "a reader that is not there": lambda a: a["report"].update(reader="pickle"),
    "a number for a text": lambda a: a["report"]["referral"].update(platform=7),
    "a null character": lambda a: a["report"]["referral"].update(platform="a\0b"),
    "a time that is none": lambda a: a["report"]["referral"].update(incident_at="soon"),
    "a person that is not there": lambda a: a["report"]["identifiers"].append({**EMAIL, "subject": 7}),
    "a role of no list": lambda a: a["report"]["subjects"][0].update(role="nobody"),
    "a kind of no list": lambda a: a["report"]["identifiers"].append({**EMAIL, "kind": "spell"}),
    "a fact of no list": lambda a: a["report"]["facts"].append(
        {"name": "x", "value": "yes", "source_path": "/", "subject": None, "file": None}
    ),
    "a file without a name": lambda a: a["report"]["files"][0].pop("name"),
    "a list for a row": lambda a: a["report"]["files"].append([]),
    "no faults": lambda a: a.pop("faults"),
    "a time without its original": lambda a: a["report"]["referral"].update(incident_at="2026-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie: str) -> None:
    said = copy.deepcopy(true_answer())
    said["report"]["times"] = {}
    said["report"]["referral"].pop("incident_at", None)
    LIES[lie](said)
    with pytest.raises(wire.ReadingRubbishError):
        taken(said)


def test_another_report_than_the_one_that_was_read_is_refused() -> None:
    with pytest.raises(wire.ReadingRubbishError):
        taken(true_answer(), form(reference="W-2"))
