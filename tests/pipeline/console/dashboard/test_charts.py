"""Charts and grouping: what is drawn is what is said, and equals the slow obvious way."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.casepage import similar
from pipeline.console.dashboard import charts

HASH = st.binary(min_size=32, max_size=32)


@given(HASH, HASH)
def test_the_grid_draws_every_bit_and_says_how_many_differ(query: bytes, known: bytes) -> None:
    drawn = str(charts.bits_grid(query, known))
    distance = bin(int.from_bytes(query) ^ int.from_bytes(known)).count("1")
    assert drawn.count('class="bit-differs"') == distance
    assert drawn.count('class="bit-equal"') == 256 - distance
    assert f"<desc>{distance} of 256 bits differ" in drawn


def test_the_first_bit_stands_top_left() -> None:
    assert charts.differing_bits(b"\x80" + b"\0" * 31, b"\0" * 32) == {0}
    assert charts.differing_bits(b"\0" * 31 + b"\x01", b"\0" * 32) == {255}


@given(st.text(max_size=40), st.lists(st.tuples(st.text(max_size=20), st.integers(0, 10**9)), max_size=8))
def test_bars_are_well_formed_whatever_the_labels(title: str, rows: list[tuple[str, int]]) -> None:
    drawn = str(charts.bars(title, [r[0] for r in rows], [charts.Series("a", [r[1] for r in rows])]))
    assert "<script" not in drawn
    assert drawn.count("<rect") == sum(r[1] > 0 for r in rows)
    assert all(float(w) >= 0 for w in re.findall(r'width="([\d.]+)"', drawn))
    assert "<title>" in drawn and "<desc>" in drawn


@given(st.lists(st.integers(0, 7), max_size=12), st.integers(0, 12))
def test_groups_are_the_connected_components(bits: list[int], threshold: int) -> None:
    hashes = [((1 << (b * 3)) - 1).to_bytes(32).hex() for b in bits]
    numbers = similar.groups(hashes, [True] * len(hashes), threshold)
    linked = [[abs(a - b) * 3 <= threshold for b in bits] for a in bits]
    for i in range(len(bits)):
        reached, waiting = {i}, [i]
        while waiting:
            at = waiting.pop()
            for other in range(len(bits)):
                if linked[at][other] and other not in reached:
                    reached.add(other)
                    waiting.append(other)
        assert {j for j in range(len(bits)) if numbers[j] == numbers[i]} == reached


def test_a_picture_without_detail_joins_no_group() -> None:
    assert similar.groups(["00" * 32, "00" * 32, None], [True, False, True], 31) == [0, 1, 2]
