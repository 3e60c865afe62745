"""JSON, XML and CSV: strict, limited, and never an exception of another kind than InputError."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.ingest.reports import decode


def test_every_json_parsing_trap_gets_the_right_verdict(corpora: Path) -> None:
    """JSONTestSuite: y_ must be read, n_ must be refused, i_ may be either."""
    count = 0
    for path in sorted((corpora / "hostile" / "json_parsing").glob("*.json")):
        try:
            decode.json_tree(path.read_bytes(), 48, [])
            accepted = True
        except InputError:
            accepted = False
        verdict = path.name[:1]
        if verdict in "yn":
            assert accepted == (verdict == "y"), path.name
        count += 1
    assert count > 300


def test_json_that_memory_does_not_suffice_to_write_out_ends_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(tree: object, option: int = 0) -> bytes:
        raise SystemError("returned NULL without setting an exception")

    monkeypatch.setattr(decode.orjson, "dumps", without_memory)
    with pytest.raises(MemoryError):
        decode.json_tree(b'{"form": "referral/1"}', 20, [])


def test_a_bom_is_no_fault() -> None:
    assert decode.json_tree(b"\xef\xbb\xbf{}", 9, []) == {}
    with pytest.raises(InputError, match="UTF-16"):
        decode.json_tree("{}".encode("utf-16"), 9, [])


@pytest.mark.parametrize("raw", [b'{"a": 1, "a": 2}', b'{"a" : 1, "a"\n: 2}', b'{"a":1,"a":2,"b":"x\\":y"}'])
def test_a_key_given_twice_is_used_neither_way_and_kept(raw: bytes) -> None:
    notes: list[tuple[str, str]] = []
    tree = decode.json_tree(raw, 9, notes)
    assert "a" not in tree
    assert tree["a (given 2 times)"] == [1, 2]
    assert notes[0][0] == "a"


def test_many_keys_beside_one_given_twice_are_looked_at_once_each() -> None:
    class Counting:
        """A value that counts how often any of them is compared."""

        compared = 0

        def __ne__(self, other: object) -> bool:
            Counting.compared += 1
            return self is not other

    pairs: list[tuple[str, object]] = [(f"k{n}", Counting()) for n in range(20_000)]
    notes: list[tuple[str, str]] = []
    made = decode._unique([*pairs, ("a", Counting()), ("a", Counting())], notes)
    assert (len(made), len(notes)) == (20_001, 1)
    assert Counting.compared <= 2


def test_a_key_given_twice_with_one_value_is_that_value() -> None:
    notes: list[tuple[str, str]] = []
    assert decode.json_tree(b'{"a": 1, "a": 1}', 9, notes) == {"a": 1}
    assert notes == []


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=25,
)


@given(TREES, st.sampled_from([None, 1]), st.booleans())
def test_json_without_repeated_keys_is_what_the_standard_library_reads(tree: object, indent: int, ascii_: bool) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_)
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    try:
        assert decode.json_tree(raw, 60, []) == decode._without_nulls(json.loads(text))
    except InputError:
        assert "\\ud" in text.lower()  # a lone surrogate, which RFC 8259 leaves open and UTF-8 cannot carry


@given(st.lists(st.tuples(st.sampled_from(["a", "b", 'q":', "c d"]), st.integers(0, 3)), max_size=6))
def test_repeated_keys_are_always_found(pairs: list[tuple[str, int]]) -> None:
    raw = ("{" + ",".join(f"{json.dumps(k)} :{v}" for k, v in pairs) + "}").encode()
    notes: list[tuple[str, str]] = []
    decode.json_tree(raw, 9, notes)
    given_values: dict[str, set[int]] = {}
    for key, value in pairs:
        given_values.setdefault(key, set()).add(value)
    assert {key for key, _ in notes} == {key for key, found in given_values.items() if len(found) > 1}


@pytest.mark.parametrize("padding", [0, decode._INDENTED])
@pytest.mark.parametrize("inner", [b"", b"1", b'"{[{["', b"{}", b'{"a":[]}'])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_the_last_level_that_is_read_is_the_limit_s(padding: int, inner: bytes, beyond: int) -> None:
    """In a small report as in a large one, whatever the innermost list holds."""
    levels = 48 + beyond - {b"{}": 1, b'{"a":[]}': 2}.get(inner, 0)
    raw = b"[" * levels + inner + b"]" * levels + b" " * padding
    if beyond <= 0:
        assert decode.json_tree(raw, 48, [])
    else:
        with pytest.raises(InputError, match="deep"):
            decode.json_tree(raw, 48, [])


def test_depth_is_limited() -> None:
    decode.json_tree(b"[" * 40 + b"]" * 40, 48, [])
    for depth in (60, 100_000):
        with pytest.raises(InputError):
            decode.json_tree(b"[" * depth + b"]" * depth, 48, [])
    for depth in (60, 300, 1010):  # in what is given first of a key that is given twice
        with pytest.raises(InputError, match="deep"):
            decode.json_tree(b'{"a":' + b"[" * depth + b"]" * depth + b',"a":1}', 48, [])
    decode.json_tree(b'{"a":' + b"[" * 47 + b"]" * 47 + b',"a":1}', 48, [])
    large = 2**70
    assert decode.json_tree(b'{"a":1,"a":2,"b":%d}' % large, 48, [])["b"] == large
    deep = b"<a>" * 60 + b"</a>" * 60
    with pytest.raises(InputError, match="deep"):
        decode.xml_tree(deep, 48)


def nesting(tree: object) -> int:
    """Levels of objects and lists, the obvious way."""
    if isinstance(tree, dict | list):
        return 1 + max(map(nesting, tree.values() if isinstance(tree, dict) else tree), default=0)
    return 0


@given(
    st.recursive(
        st.text(st.sampled_from('[]{}"\\:,a\n'), max_size=5) | st.integers(-(2**63), 2**64 - 1),
        lambda below: (
            st.lists(below, max_size=3)
            | st.dictionaries(st.text(st.sampled_from('[}"\\'), max_size=2), below, max_size=3)
        ),
        max_leaves=12,
    ),
    st.integers(1, 6),
)
def test_depth_is_that_of_objects_and_lists_whatever_the_texts_hold(tree: object, limit: int) -> None:
    raw = json.dumps(tree).encode()
    if nesting(tree) > limit:
        with pytest.raises(InputError, match=f"more than {limit} levels"):
            decode.json_tree(raw, limit, [])
    else:
        assert decode.json_tree(raw, limit, []) == tree


@pytest.mark.parametrize(
    "raw",
    [
        b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><report>&b;</report>',
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><report>&x;</report>',
        b'<!DOCTYPE r SYSTEM "http://example.org/x.dtd"><report/>',
        b"<report>",
        b"",
        b"\x00\x01",
        b'<?xml version="1.0" encoding="no-such"?><report/>',
    ],
)
def test_xml_with_entities_or_damage_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        decode.xml_tree(raw, 48)


def test_xml_shape() -> None:
    root, tree = decode.xml_tree(b'<x:report xmlns:x="u" id="1"><f>a</f><f k="v">b</f><g><h/></g></x:report>', 9)
    assert root == "report"
    assert tree == {"@id": "1", "f": ["a", {"@k": "v", "value": "b"}], "g": {"h": ""}}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for function in (
        lambda: decode.json_tree(raw, 9, []),
        lambda: decode.xml_tree(raw, 9),
        lambda: decode.csv_tree(b"field,value\n" + raw, 99, []),
    ):
        try:
            function()
        except InputError as error:
            assert error.message


def test_csv_paths_become_the_form() -> None:
    notes: list[tuple[str, str]] = []
    raw = "field,value\nreference,=1+1\nsubjects.2.name,B\nsubjects.1.name,A\nsubjects.1.emails.1,a@example.org\n"
    tree = decode.csv_tree(raw.encode("utf-8-sig"), 99, notes)
    assert tree == {"reference": "=1+1", "subjects": [{"name": "A", "emails": ["a@example.org"]}, {"name": "B"}]}
    assert notes == []


def test_null_characters_are_shown_and_noted() -> None:
    notes: list[tuple[str, str]] = []
    raw = b'{"a\\u0000": ["b\\u0000c", {"d": "\\\\u0000"}]}'
    assert decode.json_tree(raw, 9, notes) == {"a\ufffd": ["b\ufffdc", {"d": "\\u0000"}]}
    assert decode.csv_tree(b"field,value\nreference,1\0\n", 9, notes) == {"reference": "1\ufffd"}
    assert [place for place, _ in notes] == ["*", "*"]
    assert decode.json_tree(b'{"d": "\\\\u0000"}', 9, notes) == {"d": "\\u0000"}
    assert len(notes) == 2


def test_csv_faults_are_noted_and_kept() -> None:
    notes: list[tuple[str, str]] = []
    raw = b"field,value\nreference,1\nreference,2\nBad Name,3\nx,y,z\n"
    tree = decode.csv_tree(raw, 99, notes)
    assert tree["reference"] == "1"
    assert [line for line, _ in notes] == ["line 3", "line 4", "line 5"]
    assert tree["lines that were not read"] == [["reference", "2"], ["Bad Name", "3"], ["x", "y", "z"]]
    spreadsheet = decode.csv_tree(b"Field,Value,\nReference,1,\nSubjects.1.Name,A,,\n,,\n", 99, notes)
    assert spreadsheet == {"reference": "1", "subjects": [{"name": "A"}]}
    assert len(notes) == 3
    for bad in (b"name,value\n", b"", b"field,value\n\xff\n", b'field,value\n"a'):
        with pytest.raises(InputError):
            decode.csv_tree(bad, 99, [])
    with pytest.raises(InputError, match="more than"):
        decode.csv_tree(b"field,value\n" + b"a,b\n" * 20, 10, [])


@given(
    st.lists(st.tuples(st.sampled_from('ab":\\'), st.sampled_from(['":', '\\" :', "x", '"', ":::"])), max_size=6),
    st.booleans(),
)
def test_a_key_given_twice_is_found_whatever_the_texts_hold(pairs: list[tuple[str, str]], ascii_only: bool) -> None:
    """Against the standard library, with texts that look like keys, written plainly or with \\u for quote and colon."""

    def written(text: str) -> str:
        quote, colon = ("\\u0022", "\\u003a") if ascii_only else ('\\"', ":")
        return '"' + text.replace("\\", "\\\\").replace('"', quote).replace(":", colon) + '"'

    raw = "{" + ",".join(f"{written(key)} : {written(text)}" for key, text in pairs) + "}"
    notes: list[tuple[str, str]] = []
    tree = decode.json_tree(raw.encode(), 9, notes)
    given: dict[str, set[str]] = {}
    for key, text in pairs:
        given.setdefault(key, set()).add(text)
    assert {key for key, _ in notes} == {key for key, texts in given.items() if len(texts) > 1}
    assert {k: v for k, v in tree.items() if k in given} == {k: t.pop() for k, t in given.items() if len(t) == 1}


def test_text_behind_an_element_and_beside_one_called_value_is_kept() -> None:
    raw = b"<r><a>[synthetic <b>message</b> 12]</a><c>text<value>v</value>more</c></r>"
    tree = decode.xml_tree(raw, 9)[1]
    assert tree == {
        "a": {"b": "message", "value": "[synthetic 12]"},
        "c": {"value": "v", "text beside value": "text more"},
    }


def test_a_connection_of_a_csv_names_the_person_of_that_number() -> None:
    """Where a line was deleted in a spreadsheet the numbers have gaps."""
    lines = ["field,value", "subjects.1.name,A", "subjects.3.name,B", "subjects.4.name,C"]
    lines += [f"connections.{n}.subject,{subject}" for n, subject in enumerate((1, 3, 4, 2), 1)]
    notes: list[tuple[str, str]] = []
    tree = decode.csv_tree("\n".join(lines).encode(), 100, notes)
    assert [c.get("subject") for c in tree["connections"]] == ["1", "2", "3", None]
    assert [where for where, _ in notes] == ["connections.4.subject"]
    assert tree["connections"][3] == {"subject that is not there": "2"}
