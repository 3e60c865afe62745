"""Hashes as people give them: every form is read, everything else is rejected with its line and reason."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.export.hashes import BY_WIDTH, WIDTHS, kind_of, parse_hash, parse_list, taken, text_of


@given(st.sampled_from(sorted(WIDTHS)), st.data(), st.booleans(), st.booleans())
def test_hex_and_base64_with_and_without_prefix(
    name: str, data: st.DataObject, prefix: bool, hexadecimal: bool
) -> None:
    value = data.draw(st.binary(min_size=WIDTHS[name], max_size=WIDTHS[name]))
    text = value.hex() if hexadecimal else base64.b64encode(value).decode()
    found = parse_hash(f"{name}:{text}" if prefix else f"  {text.upper() if hexadecimal else text} ")
    assert found.value == value
    assert found.algorithms == ((name,) if prefix else BY_WIDTH[WIDTHS[name]])


@pytest.mark.parametrize(
    "text", ["", "zz", "abc", "00", "md5:", "md5:00", "nope:" + "0" * 32, "0" * 31, "é" * 32, "0" * 1000]
)
def test_what_is_no_hash_says_why(text: str) -> None:
    with pytest.raises(InputError):
        parse_hash(text)


@given(st.text(max_size=300))
def test_any_text_ends_as_hashes_and_rejects(text: str) -> None:
    hashes, rejects = parse_list(text, 1000)
    assert all(len(h.value) in BY_WIDTH for h in hashes)
    assert all(r.reason for r in rejects)


def test_a_list_of_lines_with_comments_and_bad_ones() -> None:
    hashes, rejects = parse_list("\ufeff" + "0" * 32 + "\n# comment\n\nrubbish\npdq:" + "1" * 64 + "\n", 10)
    assert [(h.line, h.algorithms) for h in hashes] == [(1, ("md5",)), (5, ("pdq",))]
    assert [(r.line, r.text) for r in rejects] == [(4, "rubbish")]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_columns_are_named_by_their_heading(mark: str) -> None:
    rows = [["Name", "MD5", "sha1", "PDQ"], ["a", "0" * 32, "", "1" * 64], ["b", "", "", ""], ["c", "x", "2" * 40, ""]]
    hashes, rejects = parse_list("\n".join(mark.join(row) for row in rows), 10)
    assert [(h.line, h.algorithms[0]) for h in hashes] == [(2, "md5"), (2, "pdq"), (4, "sha1")]
    assert [r.line for r in rejects] == [3, 4]


def test_a_list_that_is_too_long_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match="more than 3"):
        parse_list(("0" * 32 + "\n") * 4, 3)


def test_a_column_of_hashes_with_an_unknown_heading_is_found_and_named() -> None:
    text = "Datei;Pruefsumme;Notiz\na.jpg;" + "1" * 32 + ";x\nb.jpg;" + "2" * 40 + ";y\n"
    hashes, rejects = parse_list(text, 10)
    assert [(h.line, h.algorithms[0]) for h in hashes] == [(2, "md5"), (3, "sha1")] and rejects == []
    assert taken(text).endswith("was read from 'Pruefsumme'.")
    assert taken("Filename,Comment\na.jpg,c\n") == (
        "No column of this list holds hashes. Its first line is: Filename, Comment."
    )
    assert taken("md5;name\n" + "1" * 32 + ";x\n") == "" and taken("1" * 32 + "\n") == ""


def test_what_is_no_list_is_called_by_its_name() -> None:
    for data, kind, words in (
        (b"\xff\xd8\xff\xe0", "picture", "a picture"),
        (b"\0\0\0\x18ftypheic", "picture", "HEIC"),
        (b"PK\x03\x04", "sheet", "spreadsheet"),
    ):
        assert kind_of(data) == kind
        with pytest.raises(InputError, match=words):
            text_of(data, "x")
    assert text_of("\ufeffabc".encode("utf-16"), "x").strip("\ufeff") == "abc"
    assert kind_of(b"9f86d081") is None and text_of(b"9f86", "x") == "9f86"
