"""The vector primitives of the readers against their plain twins, on random bytes and on what they are made for."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashsets.readers import vectors
from pipeline.matching.core.compiled.jit import JIT

pytestmark = pytest.mark.skipif(not JIT, reason="the JIT is off: the twins are what runs")

HEX = b"0123456789abcdefABCDEF"
TEXTS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.lists(st.sampled_from(list(HEX)), min_size=32, max_size=32).map(bytes),
    st.lists(st.sampled_from(list(vectors.BASE64)), min_size=32, max_size=32).map(bytes),
    st.lists(st.sampled_from(list(b'az09 ~\x7f\x1f"\\\x80\xff/:@G`g+,')), min_size=32, max_size=32).map(bytes),
)


@numba.njit
def compiled(left: Any, right: Any) -> Any:
    p, q = left.ctypes.data, right.ctypes.data
    return (
        vectors.byte(p),
        vectors.special(p),
        vectors.same(p, q),
        vectors.hex_digits(p),
        vectors.hex8(p),
        vectors.lowest(vectors.special(p) | (1 << 40)),
    )


@numba.njit
def copied(source: Any, target: Any) -> Any:
    vectors.copy32(target.ctypes.data, source.ctypes.data)


@numba.njit
def decoded(source: Any, target: Any) -> Any:
    return vectors.base64_12(source.ctypes.data, target.ctypes.data)


@settings(max_examples=300, deadline=None)
@given(left=TEXTS, right=TEXTS)
def test_each_primitive_agrees_with_its_twin(left: bytes, right: bytes) -> None:
    a, b = np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)
    p, q = a.ctypes.data, b.ctypes.data
    got = compiled(a, b)
    assert got[:4] == (vectors._byte(p), vectors._special(p), vectors._same(p, q), vectors._hex_digits(p))
    if got[3] == 0xFFFF:  # otherwise what stands for a byte that is no digit is nobody's business
        assert int(got[4]) == int(vectors._hex8(p)) == int(left[:16], 16)
    assert got[5] == vectors._lowest(vectors._special(p) | (1 << 40))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_copies_and_decoded_base64_agree_with_their_twins(text: bytes) -> None:
    source, ours, twin = np.frombuffer(text, np.uint8), np.zeros(32, np.uint8), np.zeros(32, np.uint8)
    copied(source, ours)
    vectors._copy32(twin.ctypes.data, source.ctypes.data)
    assert ours.tobytes() == twin.tobytes() == text
    ours[:], twin[:] = 0, 0
    known = decoded(source, ours)
    assert known == vectors._base64_12(source.ctypes.data, twin.ctypes.data)
    if known == 0xFFFF:
        assert ours[:12].tobytes() == twin[:12].tobytes()
