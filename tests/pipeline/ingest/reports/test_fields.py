"""Reading an object of a report field by field: what is read is gone, what is left is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields, residue


def test_what_is_read_is_gone_and_what_cannot_be_used_stays() -> None:
    tree = {"a": " text ", "number": 7, "bad": ["x"], "new": {"key": 1}, "empty": {}, "none": None}
    draft = Draft()
    fields = Fields(draft, tree)
    assert fields.text("a") == "text"
    assert fields.text("number") == "7"
    assert fields.text("bad") is None
    assert residue(tree) == {"bad": ["x"], "new": {"key": 1}}
    assert [d["field"] for d in draft.defects] == ["/bad"]


def test_a_whole_number_written_with_decimals() -> None:
    draft = Draft()
    tree = {"size": 1000.0, "id": 78.0, "half": 1.5, "vast": 1e300}
    fields = Fields(draft, tree)
    assert (fields.whole("size", 0, 2**62), fields.text("id")) == (1000, "78")
    assert (fields.text("half"), fields.text("vast")) == (None, None)
    assert residue(tree) == {"half": 1.5, "vast": 1e300}


def test_lists_nested_flat_single_and_bare() -> None:
    for tree in (
        {"emails": {"emails": [{"value": "a"}]}},
        {"emails": [{"value": "a"}]},
        {"emails": {"value": "a"}},
        {"emails": ["a"]},
        {"emails": "a"},
    ):
        fields = Fields(Draft(), tree)
        assert [item.text("value") for item in fields.each("emails", "emails")] == ["a"], tree
        assert residue(tree) is None


def test_a_list_with_one_bad_entry_keeps_the_others() -> None:
    draft = Draft()
    tree = {"files": [{"name": "a"}, 1.5, None, {"name": "b"}]}
    assert [f.text("name") for f in Fields(draft, tree).each("files")] == ["a", "b"]
    assert [d["field"] for d in draft.defects] == ["/files/1"]
    assert residue(tree) == {"files": {"1": 1.5}}


def test_a_list_that_was_read_is_gone_and_what_is_no_object_stays() -> None:
    data: dict[str, object] = {
        "a": [{"value": "x"}, "y"],
        "b": {"b": [{"value": "z"}]},
        "c": [False, {"value": "v"}],
        "d": [0],
    }
    fields = Fields(Draft(), data)
    assert [item.text("value") for key in ("a", "b", "c") for item in fields.each(key, "b")] == ["x", "y", "z", "v"]
    assert [item.data for item in fields.each("d")] == [{"value": 0}]
    assert data == {"b": {}, "c": [False, {}], "d": [{"value": 0}]}
    assert residue(data) == {"c": {"0": False}, "d": [{"value": 0}]}


def test_pointers_are_escaped() -> None:
    draft = Draft()
    Fields(draft, {"a/b~c": []}).text("a/b~c")
    assert draft.defects[0]["field"] == "/a~1b~0c"


def test_a_date_of_birth_that_is_not_certain_is_noted_and_kept() -> None:
    draft = Draft()
    fields = Fields(draft, {"a": "03/02/1980", "b": "13/02/1980", "c": None, "d": "1980-02-03"})
    assert [fields.birth(key) for key in "abcd"] == ["03/02/1980", "1980-02-13", None, "1980-02-03"]
    assert [(d["field"], d["original"]) for d in draft.defects] == [("/a", "03/02/1980")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("abcd"), JSON))
def test_every_way_of_reading_survives_every_value(tree: dict[str, object]) -> None:
    draft = Draft()
    fields = Fields(draft, tree)
    for key in "abcd":
        for inner in fields.each(key, key):
            inner.text("value")
        fields.child(key).tri("a")
        fields.whole(key, 0, 10)
        fields.moment(key)
        fields.digest(key, "md5")
        fields.tri(key)
        fields.text(key)
    residue(tree)
    assert all(d["problem"] for d in draft.defects)


@given(JSON)
def test_residue_loses_only_emptiness(tree: object) -> None:
    def leaves(node: object) -> list[str]:
        if isinstance(node, dict):
            return [leaf for value in node.values() for leaf in leaves(value)]
        if isinstance(node, list):
            return [leaf for value in node for leaf in leaves(value)]
        return [] if node is None or node == "" else [str(node)]

    assert leaves(residue(tree)) == leaves(tree)
