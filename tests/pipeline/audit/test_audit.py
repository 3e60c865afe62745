"""The audit log: in the same transaction, append-only, and every alteration is found."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, exc, insert, select, text, update

from pipeline.audit import anchors
from pipeline.audit import log as audit_log
from pipeline.cases.publishing import stage
from pipeline.cases.views import case as view
from pipeline.cases.views import timeline as timelines
from pipeline.cases.work import notes
from pipeline.errors import IntegrityError, PermissionDeniedError, TriageError, UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store, open_store
from pipeline.store.people_tables import AuditEntry, AuditHead
from pipeline.store.tables import Note
from tests.pipeline.cases.conftest import ANALYST, AUDITOR, Clock
from tests.pipeline.cases.samples import assessment, case_of, commit, night, publish_rows


def fill(store: Store, entries: int = 12) -> None:
    publish_rows(store, assessments=[assessment(1)])
    for n in range(entries):
        with store.session() as session:
            audit.record(session, ANALYST, "consultation", "looked", case_id=case_of(1), object_=str(n))


def tamper(store: Store, *statements: Any) -> None:
    """Change the log as somebody with the database's own rights could: triggers off."""
    with store.engine.begin() as connection:
        if store.dialect == "sqlite":
            connection.execute(text("DROP TRIGGER IF EXISTS audit_no_update"))
            connection.execute(text("DROP TRIGGER IF EXISTS audit_no_delete"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(statement)


def found(store: Store, words: str) -> None:
    with pytest.raises(IntegrityError, match=words):
        audit_log.verify(store, SYSTEM)


def test_an_untouched_log_is_intact(store: Store) -> None:
    fill(store)
    anchors.write(store)
    assert audit_log.verify(store, SYSTEM).anchors == 1


def test_every_edit_is_found(store: Store) -> None:
    fill(store, 5)
    with store.reader() as session:
        row = dict(session.execute(select(AuditEntry.__table__).where(AuditEntry.seq == 4)).mappings().one())
    for column in [*audit.FIELDS[1:], "hash"]:
        tamper(store, update(AuditEntry).where(AuditEntry.seq == 4).values({column: "altered"}))
        found(store, "Entry 4")
        tamper(store, update(AuditEntry).where(AuditEntry.seq == 4).values(row))
    audit_log.verify(store, SYSTEM)


def test_a_deletion_is_found(store: Store) -> None:
    fill(store, 5)
    for seq in (6, 3, 1):
        tamper(store, delete(AuditEntry).where(AuditEntry.seq == seq))
        found(store, f"Entry {seq}")


def test_a_deletion_with_renumbering_is_found(store: Store) -> None:
    fill(store, 5)
    later = update(AuditEntry).where(AuditEntry.seq == 4).values(seq=3)
    tamper(store, delete(AuditEntry).where(AuditEntry.seq == 3), later)
    found(store, "Entry 3 does not follow")


def test_reordering_is_found(store: Store) -> None:
    fill(store, 5)
    moves = [update(AuditEntry).where(AuditEntry.seq == a).values(seq=b) for a, b in ((3, 99), (4, 3), (99, 4))]
    tamper(store, *moves)
    found(store, "Entry 3")


def test_an_insertion_is_found(store: Store) -> None:
    fill(store, 5)
    with store.reader() as session:
        row = dict(session.execute(select(AuditEntry.__table__).where(AuditEntry.seq == 7)).mappings().one())
    tamper(store, insert(AuditEntry).values({**row, "seq": 8}))
    found(store, "Entry 8 does not follow")


def test_a_cut_tail_is_found_by_the_head(store: Store) -> None:
    fill(store, 5)
    tamper(store, delete(AuditEntry).where(AuditEntry.seq >= 6))
    found(store, "ends at entry 5, but its head names entry 7")


def test_a_cut_tail_with_a_mended_head_is_found_by_the_anchor(store: Store) -> None:
    fill(store, 5)
    anchors.write(store)
    with store.reader() as session:
        hash_ = session.scalar(select(AuditEntry.hash).where(AuditEntry.seq == 5))
    tamper(store, delete(AuditEntry).where(AuditEntry.seq > 5), update(AuditHead).values(seq=5, hash=hash_))
    found(store, "an anchor names entry 7")


def test_a_whole_rewrite_is_found_by_the_anchor(store: Store) -> None:
    fill(store, 5)
    anchors.write(store)
    with store.reader() as session:
        rows = [dict(r) for r in session.execute(select(AuditEntry.__table__).order_by(AuditEntry.seq)).mappings()]
    rows[2]["user_id"] = "somebody else"
    previous = audit.GENESIS
    for row in rows:
        row["previous"] = previous
        row["hash"] = previous = audit.entry_hash(row)
    new_head = update(AuditHead).values(seq=len(rows), hash=previous)
    tamper(store, delete(AuditEntry), insert(AuditEntry).values(rows), new_head)
    found(store, "not what its anchor says")


def test_an_emptied_log_is_found(store: Store) -> None:
    fill(store, 2)
    anchors.write(store)
    tamper(store, delete(AuditEntry), update(AuditHead).values(seq=0, hash=audit.GENESIS))
    found(store, "its end was cut")
    tamper(store, delete(AuditHead))
    with pytest.raises(IntegrityError, match="no head"), store.session() as session:
        view.read(session, ANALYST, case_of(1))


@pytest.mark.parametrize("what", ["edit", "drop first", "swap", "not json", "forge"])
def test_a_changed_anchor_file_is_found(sqlite_store: Store, what: str) -> None:
    for _ in range(3):
        fill(sqlite_store, 1)
        anchors.write(sqlite_store)
    path = anchors.path(sqlite_store.settings)
    lines = path.read_text().splitlines()
    if what == "edit":
        lines[1] = lines[1].replace('"seq": ', '"seq": 1')
    elif what == "drop first":
        del lines[0]
    elif what == "swap":
        lines[0], lines[1] = lines[1], lines[0]
    elif what == "not json":
        lines[2] = "{"
    else:
        lines.append(json.dumps({**json.loads(lines[2]), "hash": "0" * 64}))
    path.write_text("\n".join(lines) + "\n")
    found(sqlite_store, "Line")


@pytest.mark.parametrize("what", ["gone", "emptied", "begun anew", "last cut off"])
def test_fewer_anchors_than_nights_promised_are_found(sqlite_store: Store, what: str) -> None:
    settings = sqlite_store.settings
    for number in range(3):
        run = night(number)
        commit(sqlite_store, run, assessments=[assessment(number, at=run)])
        stage.run(settings, run)
        stage.run(settings, run)  # a stage that is repeated promises nothing more
    assert audit_log.verify(sqlite_store, SYSTEM).anchors == 3
    path = anchors.path(settings)
    if what == "last cut off":
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    elif what == "emptied":
        path.write_text("")
    else:
        path.unlink()
    if what == "begun anew":
        anchors.write(sqlite_store)
    left = {"gone": 0, "emptied": 0, "begun anew": 1, "last cut off": 2}[what]
    found(sqlite_store, f"has {left} anchors, entry .* says that there are 3")


def test_an_anchor_is_written_once_a_head(sqlite_store: Store) -> None:
    fill(sqlite_store, 1)
    assert anchors.write(sqlite_store) is not None
    assert anchors.write(sqlite_store) is None
    assert len(anchors.read(sqlite_store.settings)) == 1


def test_the_database_itself_refuses_changes(store: Store) -> None:
    fill(store, 1)
    for statement in (update(AuditEntry).values(reason="x"), delete(AuditEntry)):
        with pytest.raises(exc.DatabaseError, match="append-only"), store.engine.begin() as connection:
            connection.execute(statement)


def test_a_deed_that_cannot_be_logged_does_not_happen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_rows(store, assessments=[assessment(1)])

    def fail(_: object) -> str:
        raise OSError("no space")

    monkeypatch.setattr(audit, "entry_hash", fail)
    with pytest.raises(OSError, match="no space"), store.session() as session:
        notes.add(session, ANALYST, case_of(1), "Lost", version=1)
    monkeypatch.undo()
    with store.reader() as session:
        assert session.scalars(select(Note)).all() == []
    audit_log.verify(store, SYSTEM)


def test_a_deed_that_fails_is_not_logged(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with pytest.raises(ZeroDivisionError), store.session() as session:
        view.read(session, ANALYST, case_of(1))
        raise ZeroDivisionError
    with store.session() as session:
        assert [e.action for e in audit_log.entries(session, AUDITOR, case_id=case_of(1))] == ["case.opened"]


def test_a_reading_session_cannot_log_and_so_cannot_show_a_case(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with pytest.raises(TriageError, match="only reads"), store.reader() as session:
        view.read(session, ANALYST, case_of(1))


def test_reading_a_case_is_logged_with_who_when_and_why(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        view.read(session, ANALYST, case_of(1), reason="linked")
    with store.session() as session:
        entry = audit_log.entries(session, AUDITOR, category="consultation")[0]
    assert (entry.user_id, entry.user_name, entry.roles, entry.action) == ("ana", "Ana Lyst", "analyst", "case.read")
    assert (entry.at, entry.reason) == (clock.at.isoformat(timespec="microseconds"), "linked")
    with store.session() as session:
        assert audit_log.entries(session, AUDITOR)[0].action == "audit.read"
        assert [e.action for e in timelines.timeline(session, ANALYST, case_of(1))] == ["case.opened", "case.read"]


def test_opening_a_text_needs_a_reason_by_policy(store: Store) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with pytest.raises(UsageError, match="reason is needed"), store.session() as session:
        view.open_text(session, ANALYST, case_of(1), "N-1", " ")
    with store.session() as session:
        view.open_text(session, ANALYST, case_of(1), "N-1", "grooming check")
    with store.session() as session:
        assert audit_log.entries(session, AUDITOR)[0].object == "N-1"


def test_only_known_categories_and_disclosures_with_recipient(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        with pytest.raises(TriageError, match="not a category"):
            audit.record(session, SYSTEM, "gossip", "x")
        with pytest.raises(TriageError, match="recipient"):
            audit.record(session, SYSTEM, "disclosure", "x")


def test_the_export_is_logged_and_verifies_by_itself(store: Store, tmp_path: Path) -> None:
    fill(store, 5)
    path = tmp_path / "log.jsonl"
    count = audit_log.export(store, AUDITOR, path, "Inspectorate", "yearly")
    assert audit_log.verify_file(path).entries == count
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["category"], last["recipient"], last["reason"]) == ("disclosure", "Inspectorate", "yearly")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(IntegrityError, match="Entry 2 is missing"):
        audit_log.verify_file(path)
    path.write_text("{}\n")
    with pytest.raises(IntegrityError, match="Line 1"):
        audit_log.verify_file(path)
    with pytest.raises(PermissionDeniedError):
        audit_log.export(store, ANALYST, path, "x", "y")


def chain(length: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    previous = audit.GENESIS
    for seq in range(1, length + 1):
        row: dict[str, Any] = {name: f"{name}{seq}" for name in audit.FIELDS} | {"seq": seq, "previous": previous}
        row["hash"] = previous = audit.entry_hash(row)
        rows.append(row)
    return rows


def mutate(rows: list[dict[str, Any]], rnd: random.Random) -> str:
    """One random alteration of a log in place; returns its kind."""
    kind = rnd.choice(["edit", "delete", "insert", "swap", "cut", "rewrite"])
    at = rnd.randrange(len(rows))
    if kind == "edit":
        column = rnd.choice([*audit.FIELDS, "hash"])
        rows[at][column] = 10**6 if column == "seq" else str(rows[at][column]) + "x"
    elif kind == "delete":
        del rows[at]
    elif kind == "insert":
        rows.insert(at, dict(rows[rnd.randrange(len(rows))]))
    elif kind == "swap":
        other = (at + rnd.randrange(1, len(rows))) % len(rows)
        rows[at], rows[other] = rows[other], rows[at]
    elif kind == "cut":
        del rows[at:]
    else:
        rows[at]["reason"] = "rewritten"
        previous = audit.GENESIS if at == 0 else rows[at - 1]["hash"]
        for row in rows[at:]:
            row["previous"] = previous
            row["hash"] = previous = audit.entry_hash(row)
    return kind


def test_ten_thousand_altered_logs_are_all_found() -> None:
    """Edits, deletions, insertions and swaps by the chain alone, cut tails and rewrites through the anchor."""
    intact, rnd = chain(12), random.Random(11)
    outside = {12: intact[-1]["hash"]}
    assert audit_log.check(intact, outside) == (12, intact[-1]["hash"])
    for _ in range(10_000):
        rows = [dict(row) for row in intact]
        kind = mutate(rows, rnd)
        with pytest.raises(IntegrityError):
            audit_log.check(rows, outside)
            pytest.fail(kind)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), st.text(max_size=30))
def test_the_hash_depends_on_every_byte(detail: dict[str, str], reason: str) -> None:
    row: dict[str, Any] = dict.fromkeys(audit.FIELDS, "x") | {"detail": json.dumps(detail), "reason": reason}
    assert audit.entry_hash(row) != audit.entry_hash({**row, "reason": reason + " "})
    assert audit.entry_hash(row) == audit.entry_hash(dict(reversed(row.items())))


def test_anchors_are_written_where_the_policy_names(sqlite_store: Store, tmp_path: Path) -> None:
    """The setting of the machine comes before the policy, a name in the policy before the home's own file."""
    folder = tmp_path / "policy"
    shutil.copytree(sqlite_store.settings.policy, folder)
    rules = (folder / "cases.yaml").read_text()
    home = sqlite_store.settings.home
    assert anchors.path(sqlite_store.settings) == home / "audit-anchors.jsonl"
    for named, place in (
        (str(tmp_path / "elsewhere" / "anchors"), tmp_path / "elsewhere" / "anchors"),
        ("kept/anchors", home / "kept" / "anchors"),
    ):
        (folder / "cases.yaml").write_text(rules.replace("anchors: null", f"anchors: {named}"))
        opened = open_store(replace(sqlite_store.settings, policy=folder))
        assert anchors.path(opened.settings) == place
        with opened.session() as session:
            audit.record(session, SYSTEM, "consultation", "looked")
        anchors.write(opened)
        assert place.is_file() and not (home / "audit-anchors.jsonl").exists()
        opened.close()
    assert anchors.path(replace(sqlite_store.settings, policy=folder, anchors=tmp_path / "x")) == tmp_path / "x"
