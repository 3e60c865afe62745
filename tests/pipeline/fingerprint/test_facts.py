"""EXIF text is data from a stranger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint.facts import TEXT_BYTES, Exif, clean_text, parse_time, read_exif


@given(st.text() | st.binary() | st.integers() | st.none())
def test_text_is_printable_and_short(value: object) -> None:
    text = clean_text(value)
    assert text.isprintable()
    assert len(text.encode()) <= TEXT_BYTES


@pytest.mark.parametrize(
    ("value", "offset", "expected"),
    [
        ("2026:05:04 03:02:01", None, "2026-05-04T03:02:01"),
        ("2026:05:04 03:02:01", "-05:30", "2026-05-04T03:02:01-05:30"),
        ("2026-05-04T03:02:01.000000Z", None, "2026-05-04T03:02:01"),
        ("0000:00:00 00:00:00", None, ""),
        ("2026:13:04 03:02:01", None, ""),
        ("2026:05:04", None, ""),
        ("2026:05:04 03:02:01", "nonsense", "2026-05-04T03:02:01"),
        (None, None, ""),
        (b"2026:05:04 03:02:01\0", None, "2026-05-04T03:02:01"),
    ],
)
def test_times(value: object, offset: object, expected: str) -> None:
    assert parse_time(value, offset) == expected


def test_exif_that_breaks_has_no_facts() -> None:
    class Broken:
        def getexif(self) -> None:
            raise SyntaxError("hostile")

    assert read_exif(Broken()) == Exif()
    assert Exif().empty
    assert not Exif(gps=True).empty


def test_running_out_of_memory_is_not_hidden() -> None:
    class Hungry:
        def getexif(self) -> None:
            raise MemoryError

    with pytest.raises(MemoryError):
        read_exif(Hungry())
