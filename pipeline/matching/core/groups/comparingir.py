"""LLVM IR for groups of near-identical hashes; what each primitive does is said at its Python twin in `comparing.py`."""

# ruff: noqa: PLR0917 - code generators take what the compiler gives them
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pipeline.matching.core.compiled.llvm import _call, _pointer, _splat
from pipeline.matching.core.compiled.nibbles import USED

_I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
_WORDS, _BYTES, _TILE, _LANES = (
    ir.VectorType(_I32, 16), ir.VectorType(_I8, 32), ir.VectorType(_I8, 64), ir.VectorType(_I16, 32)
)  # fmt: skip
WORDS, FIRST = 8, 6
"""Words of a hash, and those that are compared before it is asked whether the others are needed."""
NIBBLES = 8 * WORDS


def _at(builder: Any, data: Any, by: Any, vector: ir.VectorType) -> Any:
    return builder.bitcast(builder.gep(data, [by]), vector.as_pointer())


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _word_at(builder: Any, centres: Any, group: Any, word: int) -> Any:
    place = builder.add(builder.mul(group, _constant(WORDS)), _constant(word))
    return builder.load(builder.gep(centres, [place]), align=4)


def _bound(builder: Any, reach: Any, group: Any, radius: Any) -> Any:
    """Bits, int32, within which a query may be near a member of a group; more than 255 are as good as 255."""
    far = builder.add(
        builder.zext(builder.load(builder.gep(reach, [group]), align=2), _I32), builder.trunc(radius, _I32)
    )
    all_ = ir.Constant(_I32, 255 if USED else 256)  # in bytes 256 bits are 255
    return builder.select(builder.icmp_unsigned("<", far, ir.Constant(_I32, 255)), far, all_)


def _sums_of_words(builder: Any, centres: Any, group: Any, columns: Any, words: int) -> list[Any]:
    """Differing bits in the first words, int32, of 64 queries in four vectors."""
    sums: list[Any] = []
    for word in range(words):
        centre = _splat(builder, _word_at(builder, centres, group, word), _WORDS)
        for k in range(4):
            asked = builder.load(_at(builder, columns, _constant(64 * word + 16 * k), _WORDS), align=64)
            bits = _call(builder, "ctpop", _WORDS, builder.xor(asked, centre))
            if word:
                sums[k] = builder.add(sums[k], bits)
            else:
                sums.append(bits)
    return sums


def _sums_of_nibbles(builder: Any, centres: Any, group: Any, planes: Any, look_up: Any, words: int) -> list[Any]:
    """The same in bytes, in two vectors, 256 being 255: see `nibbles.py`."""
    function_type = ir.FunctionType(_BYTES, [_BYTES, _BYTES])
    looked_up = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.avx2.pshuf.b")
    sums: list[Any] = []
    for word in range(words):
        value = _word_at(builder, centres, group, word)
        for n in range(8):
            nibble = builder.and_(builder.lshr(value, ir.Constant(_I32, 4 * n)), ir.Constant(_I32, 15))
            place = builder.shl(builder.zext(nibble, _I64), _constant(5))
            table = builder.load(_at(builder, look_up, place, _BYTES), align=32)
            for k in range(2):
                plane = _at(builder, planes, _constant(256 * (2 * word + k) + 32 * n), _BYTES)
                bits = builder.call(looked_up, [table, builder.load(plane, align=32)])
                if not (word or n):
                    sums.append(bits)
                elif word < WORDS - 1:
                    sums[k] = builder.add(sums[k], bits)
                else:
                    sums[k] = _call(builder, "uadd.sat", _BYTES, sums[k], bits)
    return sums


def _hits(builder: Any, sums: list[Any], bound: Any) -> Any:
    """Bit mask, int64, of the lanes of some vectors that are at most `bound`."""
    vector = sums[0].type
    most = _splat(builder, bound if vector.element == _I32 else builder.trunc(bound, _I8), vector)
    mask: Any = _constant(0)
    for k, value in enumerate(sums):
        hits = builder.bitcast(builder.icmp_unsigned("<=", value, most), ir.IntType(vector.count))
        mask = builder.or_(mask, builder.shl(builder.zext(hits, _I64), _constant(vector.count * k)))
    return mask


def _least(builder: Any, sums: list[Any], bound: Any) -> Any:
    """Whether any lane is at most `bound`."""
    least = sums[0]
    for value in sums[1:]:
        least = _call(builder, "umin", value.type, least, value)
    return builder.icmp_unsigned("!=", _hits(builder, [least], bound), _constant(0))


def _sums(context: Any, builder: Any, given: list[tuple[Any, Any]], group: Any, words: int) -> list[Any]:
    """Sums of the first words of centre and queries, from (type, value) of centres, columns and look-up table."""
    centres, columns, look_up = (context.make_array(kind)(context, builder, value).data for kind, value in given)
    if USED:
        return _sums_of_nibbles(builder, centres, group, columns, look_up, words)
    return _sums_of_words(builder, centres, group, columns, words)


@intrinsic
def next_centre(typingctx, centres, reach, first, last, radius, columns, look_up):  # type: ignore[no-untyped-def]
    """No store is in the loop, so that the queries stay in registers while the centres pass by."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, last, radius = arguments[2:5]
        given = [(signature.args[k], arguments[k]) for k in (0, 5, 6)]
        reaches = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        found = cgutils.alloca_once_value(builder, last)
        with cgutils.for_range(builder, last, start=first, intp=_I64) as loop:
            sums = _sums(context, builder, given, loop.index, FIRST)
            near = _least(builder, sums, _bound(builder, reaches, loop.index, radius))
            with builder.if_then(near, likely=False):
                builder.store(loop.index, found)
                loop.do_break()
        return builder.load(found)

    result = types.int64(centres, reach, types.int64, types.int64, types.int64, columns, look_up)
    return result, codegen


@intrinsic
def near_centre(typingctx, centres, reach, group, radius, columns, look_up):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        given = [(signature.args[k], arguments[k]) for k in (0, 4, 5)]
        reaches = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        sums = _sums(context, builder, given, arguments[2], WORDS)
        return _hits(builder, sums, _bound(builder, reaches, arguments[2], arguments[3]))

    return types.int64(centres, reach, types.int64, types.int64, columns, look_up), codegen


@intrinsic
def tile_within(typingctx, tiles, tile, queries, query, limit, bits, slot):  # type: ignore[no-untyped-def]
    """Bits are counted in bytes, which both families are fast at, and the two of a chunk are added at last."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        tiles, tile, queries, query, limit, bits, slot = arguments
        to = builder.mul(slot, _constant(32))
        sums = []
        for k in range(2 * WORDS):
            column = builder.mul(builder.add(builder.mul(tile, _constant(2 * WORDS)), _constant(k)), _constant(32))
            stored = builder.load(_pointer(context, builder, signature.args[0], tiles, column, _LANES), align=64)
            place = builder.add(builder.mul(query, _constant(2 * WORDS)), _constant(k))
            asked = builder.load(_pointer(context, builder, signature.args[2], queries, place, _I16), align=2)
            differing = builder.bitcast(builder.xor(stored, _splat(builder, asked, _LANES)), _TILE)
            sums.append(_call(builder, "ctpop", _TILE, differing))
        while len(sums) > 1:
            sums = [builder.add(one, other) for one, other in zip(sums[::2], sums[1::2], strict=True)]
        both = builder.bitcast(sums[0], _LANES)
        low = builder.and_(both, ir.Constant(_LANES, [255] * 32))
        total = builder.add(low, builder.lshr(both, ir.Constant(_LANES, [8] * 32)))
        builder.store(total, _pointer(context, builder, signature.args[5], bits, to, _LANES), align=64)
        hits = builder.icmp_unsigned("<=", total, _splat(builder, limit, _LANES))
        return builder.zext(builder.bitcast(hits, _I32), _I64)

    return types.int64(tiles, types.int64, queries, types.int64, types.uint16, bits, types.int64), codegen


@intrinsic
def lanes_at_most(typingctx, bits, slot, limit):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits, slot, limit = arguments
        place = builder.mul(slot, _constant(32))
        found = builder.load(_pointer(context, builder, signature.args[0], bits, place, _LANES), align=64)
        hits = builder.icmp_unsigned("<=", found, _splat(builder, limit, _LANES))
        return builder.zext(builder.bitcast(hits, _I32), _I64)

    return types.int64(bits, types.int64, types.uint16), codegen
