"""Characters that nobody sees go, all that somebody sees stays."""

from __future__ import annotations

import unicodedata

from pipeline import unseen


def test_every_mark_of_format_goes_and_letters_and_spaces_stay() -> None:
    seen = "Zoë O\u2019Brien\u00a0\u2028 \u0645 \U0001f600\t14-16"
    assert unseen.without(seen) == seen
    marks = [chr(code) for code in range(0x2000, 0xE0200) if unicodedata.category(chr(code)) == "Cf"]
    left = {c for c in marks if unseen.without(c)}
    assert {unicodedata.name(c).split()[0] for c in left} <= {
        "KAITHI",
        "EGYPTIAN",
        "SHORTHAND",
        "MUSICAL",
    }  # these are drawn
