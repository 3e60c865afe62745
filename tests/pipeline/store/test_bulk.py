"""Many rows at a time: what comes back is what was given, on both databases, and only what has changed is written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from pipeline import bulk
from pipeline.errors import ConflictError, UsageError
from pipeline.jsontext import json_value
from pipeline.store.opening import Store
from pipeline.store.tables import Case, Change, Note, Publish
from tests.pipeline.cases import samples

TEXT = "quotes \" and ' and \\ and \n and \t and ü and 𝄞 and %s :name"


def note(number: int, text: str = TEXT) -> dict[str, Any]:
    return {"note_id": number, "case_id": "C", "at": samples.START, "by": "ana", "text": text}


def test_rows_come_back_as_they_were_given(store: Store) -> None:
    given = [note(n) for n in range(1, 4)]
    counts = {"key": "k", "run_id": "r", "at": samples.START + timedelta(microseconds=7), "counts": {"b": 1, "a": 0.1}}
    with store.session() as session:
        bulk.insert(session, Note, given)
        bulk.insert(session, Note, [])
        bulk.insert(session, Publish, [counts])
    with store.reader() as session:
        rows = session.scalars(sa.select(Note).order_by(Note.note_id)).all()
        assert [{name: getattr(row, name) for name in given[0]} for row in rows] == given
        kept = session.scalars(sa.select(Publish)).one()
        assert (kept.at, kept.counts) == (counts["at"], counts["counts"])


def test_rows_get_the_next_numbers_in_their_order(store: Store) -> None:
    rows = [{"case_id": "C", "at": samples.START, "by": "x", "kind": "note", "text": str(n)} for n in range(5)]
    for part in (rows[:2], [], rows[2:]):
        with store.session() as session:
            bulk.numbered(session, Change, part)
            bulk.insert(session, Change, part)
    with store.session() as session:
        session.add(Change(case_id="C", at=samples.START, by="x", kind="note", text="5"))
    with store.reader() as session:
        found = session.execute(sa.select(Change.change_id, Change.text).order_by(Change.change_id))
        assert [tuple(row) for row in found] == [(n + 1, str(n)) for n in range(6)]


def test_of_loaded_objects_what_has_changed_is_written_once(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(n) for n in range(4)])
    said: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            said.append(statement)

    with store.session() as session:
        cases = list(session.scalars(sa.select(Case).order_by(Case.case_id)))
        cases[0].provider, cases[1].top_reasons, cases[2].oldest_at = None, ["One", "Two"], None
        cases[3].provider = cases[3].provider
        event.listen(store.engine, "before_cursor_execute", listen)
        try:
            bulk.write(session, cases)
            number = len(said)
            assert number == (1 if store.dialect == "postgresql" else 3)
            session.flush()
            bulk.write(session, cases)
        finally:
            event.remove(store.engine, "before_cursor_execute", listen)
        assert len(said) == number
    with store.reader() as session:
        cases = list(session.scalars(sa.select(Case).order_by(Case.case_id)))
        assert cases[0].provider is None and cases[2].oldest_at is None and cases[3].provider == "Example Chat"
        assert cases[1].top_reasons == ["One", "Two"] and cases[0].oldest_at == samples.START


def test_columns_are_set_by_key(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(n) for n in range(3)])
    rows = [{"case_id": samples.case_of(n), "provider": f"P{n}", "score_order": -n / 3} for n in range(2)]
    with store.session() as session:
        bulk.change(session, Case, rows)
        bulk.change(session, Case, [])
    with store.reader() as session:
        names = [samples.case_of(n) for n in range(3)]
        query = sa.select(Case.case_id, Case.provider, Case.score_order).where(
            bulk.one_of(session, Case.case_id, names)
        )
        found = {case_id: (provider, score) for case_id, provider, score in session.execute(query)}
    assert found == {names[0]: ("P0", 0.0), names[1]: ("P1", -1 / 3), names[2]: ("Example Chat", -30.0)}


def test_what_cannot_be_stored_is_the_same_error_as_ever(store: Store) -> None:
    with store.session() as session:
        bulk.insert(session, Note, [note(1)])
    with pytest.raises(ConflictError), store.session() as session:
        bulk.insert(session, Note, [note(1)])
    with pytest.raises(UsageError, match="cannot be stored"), store.session() as session:
        bulk.insert(session, Note, [note(2, "\ud800")])
    if store.dialect == "postgresql":
        with pytest.raises(UsageError, match="cannot be stored"), store.session() as session:
            bulk.insert(session, Note, [note(2, "\0")])


def test_long_numbers_are_read_exactly() -> None:
    assert json_value("[123456789012345678901234567890, 1.5, null]") == [123456789012345678901234567890, 1.5, None]
    with pytest.raises(ValueError):
        json_value("{")
