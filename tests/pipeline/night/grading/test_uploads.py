"""Graded results that come back through the console: checked, sent, attached by the stage, and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hashsets.cli import hashset
from hashsets.importing import importer
from pipeline.contract import of_hash_sets, reports, run_dir, start
from pipeline.errors import ConflictError, InputError, PermissionDeniedError, UsageError
from pipeline.lake import Lake
from pipeline.night import stages, turns
from pipeline.night.grading import uploads
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM, Actor
from pipeline.store.group_tables import Notice
from pipeline.store.opening import Store, open_store
from pipeline.store.people_tables import AuditEntry, User
from pipeline.store.tables import Case, Change
from pipeline.store.work_tables import GradedUpload
from tests.pipeline.night.grading.test_delivery import FILE, home, night, number

__all__ = ["home", "night"]
DAN = Actor("dan", "Dan Dmi", frozenset({"dmi"}))


@dataclass
class Desk:
    """A home with one case, its store, and what a person does there."""

    settings: Settings
    store: Store
    case: str

    def check(self, content: bytes = FILE.read_bytes(), name: str = "graded.json", **given: Any) -> int:
        said = {"actor": DAN, "case_id": self.case, "source_id": "force", **given}
        with self.store.session() as session:
            row = uploads.check(
                self.settings, session, said["actor"], said["case_id"], name=name, content=content,
                source_id=said["source_id"],
            )  # fmt: skip
            return row.upload_id

    def send(self, upload: int) -> None:
        with self.store.session() as session:
            uploads.send(session, DAN, self.case, upload)

    def run(self, name: str = "graded-1") -> dict[str, Any]:
        return stages.run_stage(self.settings, stages.find("graded_uploads"), start(self.settings, name)).as_dict()

    def row(self, upload: int) -> GradedUpload:
        with self.store.reader() as session:
            return session.get_one(GradedUpload, upload, options=[sa.orm.undefer(GradedUpload.content)])


@pytest.fixture
def desk(home: Settings) -> Iterator[Desk]:
    store = open_store(home)
    with store.session() as session:
        users._add(session, SYSTEM, "dan", "Dan Dmi", roles=["dmi"], password=None)
    yield Desk(home, store, number(home))
    store.close()


def test_a_checked_file_says_what_it_would_bring_and_attaches_nothing(desk: Desk) -> None:
    row = desk.row(desk.check())
    assert (row.state, row.entries, row.rejected, row.files, row.fitting) == ("checked", 2, 0, 2, 1)
    assert row.content == FILE.read_bytes() and uploads.waiting(desk.settings) == 0
    assert desk.run()["read"] == 0 and importer.all_imports(desk.settings) == []


def test_a_sent_file_is_attached_raises_the_case_and_is_let_go_of(desk: Desk) -> None:
    upload = desk.check()
    with desk.store.reader() as session:
        before = session.get_one(Case, desk.case).score
    desk.send(upload)
    assert uploads.waiting(desk.settings) == 1
    report = desk.run()
    assert (report["read"], report["kept"], report["rejected"]) == (1, 1, {})
    row = desk.row(upload)
    assert (row.state, row.content, uploads.waiting(desk.settings)) == ("taken", None, 0)
    assert row.text == "Attached: an opinion on 1 of 2 files; release 1."
    [match] = Lake(desk.settings.lake_dir).read("matches").to_pylist()
    assert (match["category"], match["sources"]) == ("A", ["force"])
    [record] = importer.all_imports(desk.settings)
    assert (record.loaded_by, record.file_name) == ("dan", "graded.json")
    with desk.store.reader() as session:
        assert session.get_one(Case, desk.case).score > before
        lines = session.execute(sa.select(Change.by, Change.text).where(Change.kind == "graded")).all()
        assert [by for by, _ in lines] == ["dan", "dan"] and "opinion on 1 of 2 files" in lines[0].text
        told = session.scalars(sa.select(Notice.text).where(Notice.user_id == "dan")).one()
        assert told == f"Graded results of case {desk.case} (graded.json): {row.text}"
        actions = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.user_id == "dan")).all()
        assert [a for a in actions if a.startswith(("graded.", "case.graded"))] == [
            "graded.checked", "graded.sent", "case.graded",
        ]  # fmt: skip
    assert desk.run("graded-2")["read"] == 0


def test_what_cannot_be_attached_is_said_at_once(desk: Desk) -> None:
    with pytest.raises(InputError, match="not of the declared format vics"):
        desk.check(b"md5,category\n0123456789abcdef0123456789abcde1,A\n", "list.csv")
    with pytest.raises(InputError, match="is empty"):
        desk.check(b"")
    with pytest.raises(InputError, match=r"graded\.json"):
        desk.check(FILE.read_bytes()[:-40])
    with pytest.raises(InputError, match="of case C-7F3A9C21KD"):
        desk.check(FILE.read_bytes().replace(b"EXAM-2026-0117", b"C-7F3A9C21KD"))
    with pytest.raises(InputError, match="no entry that can be used"):
        desk.check(FILE.read_bytes().replace(b"0123456789ABCDEF", b"x"))
    with pytest.raises(UsageError, match="not the force's own source"):
        desk.check(source_id="caid")
    with pytest.raises(UsageError, match="C-0000000000"):
        desk.check(case_id="C-0000000000")
    with pytest.raises(PermissionDeniedError, match=r"case\.grade"):
        desk.check(actor=Actor("aud", "Aud", frozenset({"auditor"})))
    with desk.store.reader() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(GradedUpload)) == 0


def test_a_file_is_sent_once_and_a_withdrawn_one_never(desk: Desk) -> None:
    first, second = desk.check(), desk.check()
    with desk.store.session() as session:
        uploads.withdraw(session, DAN, desk.case, second)
    with pytest.raises(ConflictError, match="withdrawn already"):
        desk.send(second)
    desk.send(first)
    with pytest.raises(ConflictError, match="waiting already"):
        desk.send(first)
    with pytest.raises(ConflictError, match="on its way"):
        desk.check()
    with pytest.raises(UsageError, match="no upload 99"):
        desk.send(99)
    assert desk.run()["kept"] == 1
    with pytest.raises(ConflictError, match="attached to the case already"):
        desk.check()


def test_it_waits_for_the_turn_and_is_taken_by_the_next_run(desk: Desk) -> None:
    upload = desk.check()
    desk.send(upload)
    holder = turns.Holder("night-9", turns.NIGHT, host="elsewhere", process="1.1.1")
    assert turns.take(desk.settings, holder, lambda _: "running") is None
    report = desk.run()
    assert (report["kept"], report["rejected"]) == (0, {"waits": 1})
    assert uploads.waiting(desk.settings) == 0 and of_hash_sets(desk.settings, "graded-1")
    assert desk.row(upload).state == "waiting" and "night-9 has the turn" in (desk.row(upload).text or "")
    turns.free(desk.settings)
    assert uploads.waiting(desk.settings) == 1
    result = CliRunner().invoke(hashset, ["take-in", "--format", "jsonl"], obj=desk.settings)
    assert result.exit_code == 0, result.output
    [row] = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert row == {"sent": 1, "attached": 1, "refused": 0, "waits": 0}
    [run] = [p.name for p in run_dir(desk.settings, "graded-1").parent.glob("hashset-*")]
    assert reports(desk.settings, run)[-1].stage == "reconcile"


@pytest.mark.parametrize(
    ("change", "why"), [({"disabled": True}, "account that sent it is closed"), ({"roles": ["auditor"]}, "may not do")]
)
def test_who_may_no_more_attaches_nothing(desk: Desk, change: dict[str, Any], why: str) -> None:
    upload = desk.check()
    desk.send(upload)
    with desk.store.session() as session:
        for name, value in change.items():
            setattr(session.get_one(User, "dan"), name, value)
    assert desk.run()["rejected"] == {"refused": 1}
    row = desk.row(upload)
    assert row.state == "refused" and why in (row.text or "") and row.content is None
    assert importer.all_imports(desk.settings) == []


def test_a_case_that_became_restricted_is_not_there_for_the_sender(desk: Desk) -> None:
    upload = desk.check()
    desk.send(upload)
    with desk.store.session() as session:
        session.get_one(Case, desk.case).compartment = "ucol"
    with desk.store.reader() as session, pytest.raises(UsageError, match=desk.case):
        uploads.of_case(session, DAN, desk.case)
    assert desk.run()["rejected"] == {"refused": 1}


def test_a_file_that_nobody_sends_is_let_go_of_after_a_day(desk: Desk) -> None:
    upload = desk.check()
    with desk.store.session() as session:
        row = session.get_one(GradedUpload, upload)
        row.at -= uploads.KEPT + timedelta(minutes=1)
    desk.run()
    row = desk.row(upload)
    assert (row.state, row.content, row.text) == ("withdrawn", None, "Not sent within a day.")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\a b.json", "a b.json"),
        ("...", "graded.json"),
        ("a\nb;.json", "a_b_.json"),
    ],
)
def test_a_file_s_name_is_a_plain_one(given: str, kept: str) -> None:
    assert uploads._plain(given) == kept
