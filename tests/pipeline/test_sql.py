"""Statements are composed of declared names only."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sql import Sql, compose, each, insert, joined, literal


def test_names_numbers_and_composed_parts_fill_a_place() -> None:
    same = each("h.{name} = k.{name}", ("sha1_0", "sha1_1"), " AND ")
    made = compose(
        "SELECT {columns} FROM {table} h WHERE {same} LIMIT {n}", columns=["a", "b"], table="hash_sha1", same=same, n=5
    )
    assert made == "SELECT a, b FROM hash_sha1 h WHERE h.sha1_0 = k.sha1_0 AND h.sha1_1 = k.sha1_1 LIMIT 5"


@given(st.text())
def test_no_other_text_becomes_part_of_a_statement(text: str) -> None:
    plain = text.isascii() and text.replace("_", "a").replace(".", "a").isalnum() and text == text.lower()
    if plain:
        return
    for place in (text, [text], ["a", text]):
        with pytest.raises(ValueError, match="is not the name of a table or column"):
            compose("SELECT {name}", name=place)
    with pytest.raises(ValueError, match="is not the name of a table or column"):
        joined([text], ", ")


@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_constant_is_one_text_whatever_it_holds(text: str) -> None:
    assert duckdb.sql(compose("SELECT {text}", text=literal(text))).fetchall() == [(text,)]


def test_a_row_goes_in_by_the_names_of_its_columns() -> None:
    con = duckdb.connect()
    con.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
    con.execute(*insert("t", {"b": "x', 'y", "a": 3}))
    assert con.execute("SELECT a, b FROM t").fetchall() == [(3, "x', 'y")]


def test_a_composed_statement_stays_one() -> None:
    assert isinstance(compose("SELECT 1"), Sql) and isinstance(joined([], " AND "), Sql)
