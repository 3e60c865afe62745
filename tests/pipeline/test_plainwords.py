"""Marks and times that say no more than that, and words in their places."""

from __future__ import annotations

import orjson
import pyarrow as pa
import pytest

from pipeline import plainwords, records
from pipeline.ingest.reports import values
from pipeline.settings import Settings

PLAIN = plainwords.of(Settings())

TIMES = [
    "2026-01-02T03:04:05.678Z", "2026-01-02 03:04", "2026-01-02T03:04:05+01:00[Europe/London]", "20260102T030405Z",
    "Fri, 02 Jan 2026 03:04:05 +0000", "02/03/2026 10:15", "/Date(1767323045000)/", "2nd January 2026", "10:15 pm", "EST", "",
    "America/Argentina/Buenos_Aires", "443",
]  # fmt: skip
WORDS = [
    "[synthetic message 1]", "about tea-time", "2026-01-02 03:04 when he wrote", "2026-01-02T03:04:05+01:00[he wrote]", "Europe/he_wrote",
    "2026-01-02\nhe wrote", "2026-01-02 – 03:04", "ｈe", "at the park",
]  # fmt: skip


@pytest.mark.parametrize("text", TIMES)
def test_a_text_of_a_time_alone_is_one(text: str) -> None:
    assert plainwords.is_time(text)


@pytest.mark.parametrize("text", WORDS)
def test_words_are_no_time(text: str) -> None:
    assert not plainwords.is_time(text)


def test_what_is_read_as_a_time_may_hold_words_too() -> None:
    """A zone's name behind its offset is passed over when the time is read."""
    assert values.moment("2026-01-02T03:04:05+01:00[he wrote]").value is not None


def test_columns_are_those_of_the_lake_and_hold_text() -> None:
    for table, columns in plainwords.COLUMNS.items():
        schema = records.arrow_schema(table)
        assert all(schema.field(column).type == pa.string() for column in columns)


def test_a_column_tells_what_each_of_its_values_would() -> None:
    given = pa.chunked_array([[*TIMES, None], [], WORDS])
    mask = PLAIN.texts("seen_at_original", given).to_pylist()
    assert mask == [PLAIN.is_text("seen_at_original", text) for text in given.to_pylist()]
    kept = PLAIN.without("seen_at_original", given, PLAIN.texts("seen_at_original", given))
    assert kept.to_pylist() == [*TIMES, *[None] * (1 + len(WORDS))]


def test_marks_are_compared_without_case_and_outer_space() -> None:
    given = pa.chunked_array([["Official-Sensitive ", "TOP  SECRET", "for the eyes of [synthetic message 2]", None]])
    assert PLAIN.texts("handling", given).to_pylist() == [False, False, True, False]
    assert not PLAIN.is_text("event", "Login") and PLAIN.is_text("event", "login, then [synthetic message 3]")
    assert not PLAIN.is_text("priority", "E") and not PLAIN.is_text("priority", None)


def test_of_stage_times_the_plain_ones_stay() -> None:
    plain = {"original": "2026-01-02", "zone": "", "ambiguous": True}
    words = {"original": "[synthetic message 4]", "zone": "UTC", "ambiguous": True}
    texts = [orjson.dumps({"incident_at": plain}).decode(), orjson.dumps({"a": plain, "b": words}).decode(), None]
    given = pa.chunked_array([texts[:1], texts[1:]])
    mask = PLAIN.texts("times_original", given)
    assert mask.to_pylist() == [False, True, False]
    kept = PLAIN.without("times_original", given, mask).to_pylist()
    assert kept[0] == texts[0] and kept[2] is None
    assert orjson.loads(kept[1]) == {"a": plain, "b": {**words, "original": None}}


def test_a_row_shows_marks_and_says_where_words_are() -> None:
    row = {
        "handling": "SECRET",
        "priority": "[synthetic message 5]",
        "times_original": {"incident_at": {"original": "x y", "zone": ""}},
    }
    shown = PLAIN.shown("referrals", row, "not shown")
    assert shown == {
        "handling": "SECRET",
        "priority": "not shown",
        "times_original": {"incident_at": {"original": "not shown", "zone": ""}},
    }
    assert PLAIN.shown("media_files", {"uploaded_at_original": "10:15"}, "not shown") == {
        "uploaded_at_original": "10:15"
    }
