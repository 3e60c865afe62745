"""LLVM IR of the nibble look-up filter for AVX2; what each primitive does is said at its Python twin in `nibbles.py`."""

# ruff: noqa: PLR0917 - code generators take what the compiler gives them
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pipeline.matching.core.compiled.llvm import address, own_function

_I8, _I32, _I64 = (ir.IntType(n) for n in (8, 32, 64))
_BYTES, _WORDS, _LONGS = ir.VectorType(_I8, 32), ir.VectorType(_I32, 8), ir.VectorType(_I64, 4)
NIBBLES = 8
BLOCK = 32 * NIBBLES
NEXT_NEAR = "matching_next_near"


def _at(context: Any, builder: Any, array_type: Any, array: Any, byte: Any) -> Any:
    """Address of a byte of an array, as a pointer to 32 bytes."""
    data = builder.bitcast(context.make_array(array_type)(context, builder, array).data, _I8.as_pointer())
    return builder.bitcast(builder.gep(data, [byte]), _BYTES.as_pointer())


def _times(builder: Any, value: Any, by: int) -> Any:
    return builder.mul(value, ir.Constant(_I64, by))


def _plus(builder: Any, value: Any, more: int) -> Any:
    return builder.add(value, ir.Constant(_I64, more))


def _looked_up(builder: Any, table: Any, places: Any) -> Any:
    name = "llvm.x86.avx2.pshuf.b"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_BYTES, [_BYTES, _BYTES]), name)
    return builder.call(function, [table, places])


def _shuffled(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


@intrinsic
def split(typingctx, words, start, planes, block):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        words, first, planes, block = arguments
        # In each half of a register the bytes of four words are brought together by their place in the word ...
        order = ir.Constant(_BYTES, [4 * j + p for p in range(4) for j in range(4)] * 2)
        half = ir.VectorType(_I8, 16).as_pointer()
        parts = []
        for k in range(4):
            places = [_plus(builder, _times(builder, first, 4), 64 * vector + 16 * k) for vector in (0, 1)]
            pointers = [_at(context, builder, signature.args[0], words, place) for place in places]
            loaded = [builder.load(builder.bitcast(pointer, half), align=4) for pointer in pointers]
            whole = _shuffled(builder, loaded[0], loaded[1], list(range(32)))
            parts.append(builder.bitcast(_looked_up(builder, whole, order), _WORDS))
        a, b, c, d = parts
        # ... then the groups of four bytes, until each register holds one byte of all 32 words.
        low, high = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]
        bytes_of_words = []
        for lanes in (low, high):
            first = builder.bitcast(_shuffled(builder, a, b, lanes), _LONGS)
            second = builder.bitcast(_shuffled(builder, c, d, lanes), _LONGS)
            bytes_of_words += [_shuffled(builder, first, second, chosen) for chosen in ([0, 4, 2, 6], [1, 5, 3, 7])]
        start = _times(builder, block, BLOCK)
        for p, value in enumerate(bytes_of_words):
            whole = builder.bitcast(value, _BYTES)
            halves = (
                builder.and_(whole, ir.Constant(_BYTES, [15] * 32)),
                builder.lshr(whole, ir.Constant(_BYTES, [4] * 32)),
            )
            for n, nibble in enumerate(halves):
                place = _plus(builder, start, 32 * (2 * p + n))
                builder.store(nibble, _at(context, builder, signature.args[2], planes, place), align=32)
        return context.get_dummy_value()

    return types.void(words, types.int64, planes, types.int64), codegen


def _tables(context: Any, builder: Any, array_type: Any, array: Any, word: Any) -> list[Any]:
    data = context.make_array(array_type)(context, builder, array).data
    return _tables_at(builder, builder.bitcast(data, _I8.as_pointer()), word)


def _tables_at(builder: Any, look_up: Any, word: Any) -> list[Any]:
    """For each nibble of `word` the register that holds its distance to every nibble, twice."""
    tables = []
    for n in range(NIBBLES):
        nibble = builder.and_(builder.lshr(word, ir.Constant(_I32, 4 * n)), ir.Constant(_I32, 15))
        place = _times(builder, builder.zext(nibble, _I64), 32)
        tables.append(builder.load(builder.bitcast(builder.gep(look_up, [place]), _BYTES.as_pointer()), align=32))
    return tables


def _distances(context: Any, builder: Any, array_type: Any, planes: Any, block: Any, tables: list[Any]) -> Any:
    data = context.make_array(array_type)(context, builder, planes).data
    return _distances_at(builder, builder.bitcast(data, _I8.as_pointer()), block, tables)


def _distances_at(builder: Any, planes: Any, block: Any, tables: list[Any]) -> Any:
    """Differing bits of the 32 words of a block, a byte each."""
    start = _times(builder, block, BLOCK)
    sums = []
    for n, table in enumerate(tables):
        place = builder.gep(planes, [_plus(builder, start, 32 * n)])
        pointer = builder.bitcast(place, _BYTES.as_pointer())
        sums.append(_looked_up(builder, table, builder.load(pointer, align=32)))
    while len(sums) > 1:
        sums = [builder.add(one, other) for one, other in zip(sums[::2], sums[1::2], strict=True)]
    return sums[0]


def _hits(builder: Any, distances: Any, limit: Any) -> Any:
    """Bit mask, 32 bits, of the lanes that are at most `limit`."""
    undefined = ir.Constant(_BYTES, ir.Undefined)
    single = builder.insert_element(undefined, builder.trunc(limit, _I8), ir.Constant(_I32, 0))
    within = builder.icmp_unsigned("<=", distances, _shuffled(builder, single, undefined, [0] * 32))
    return builder.bitcast(within, _I32)


def _scan(function: Any, builder: Any) -> None:
    """planes, blocks, words of the queries, their bounds, the first of them, their end, look-up table; the first that is near."""
    planes, blocks, asked, bounds, first, filled, look_up = function.args
    place, one = cgutils.alloca_once_value(builder, first), ir.Constant(_I64, 1)
    least = cgutils.alloca_once(builder, _BYTES)
    minimum = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_BYTES, [_BYTES, _BYTES]), "llvm.umin.v32i8"
    )
    head, body, more, end = (function.append_basic_block(name) for name in ("head", "body", "more", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    builder.cbranch(builder.icmp_signed("<", builder.load(place), filled), body, end)
    builder.position_at_end(body)
    query = builder.load(place)
    tables = _tables_at(builder, look_up, builder.load(builder.gep(asked, [query]), align=4))
    builder.store(ir.Constant(_BYTES, [255] * 32), least)
    with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), blocks, one, _I64) as (block, _):
        found = _distances_at(builder, planes, block, tables)
        builder.store(builder.call(minimum, [builder.load(least), found]), least)
    undefined = ir.Constant(_BYTES, ir.Undefined)
    single = builder.insert_element(undefined, builder.load(builder.gep(bounds, [query])), ir.Constant(_I32, 0))
    near = builder.icmp_unsigned("<", builder.load(least), _shuffled(builder, single, undefined, [0] * 32))
    hit = builder.icmp_unsigned("!=", builder.bitcast(near, _I32), ir.Constant(_I32, 0))
    builder.cbranch(hit, end, more)
    builder.position_at_end(more)
    builder.store(builder.add(query, one), place)
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret(builder.load(place))


@intrinsic
def next_near(typingctx, planes, blocks, asked, bounds, at, filled, look_up):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(place: int, element: Any) -> Any:
            return address(context, builder, signature.args[place], arguments[place], element)

        byte, word = _I8.as_pointer(), _I32.as_pointer()
        taken = [byte, _I64, word, byte, _I64, _I64, byte]
        function = own_function(builder.module, NEXT_NEAR, _I64, taken, _scan)
        given = [data(0, _I8), arguments[1], data(2, _I32), data(3, _I8), arguments[4], arguments[5], data(6, _I8)]
        return builder.call(function, given)

    return types.int64(planes, types.int64, asked, bounds, types.int64, types.int64, look_up), codegen


def _least(builder: Any, signature: Any, given: tuple[Any, ...], bounds: Any, count: int) -> Any:
    """Bit mask, int64, of the queries of `count` blocks that a word is nearer to than its bound, at the pointer `bounds`."""
    context, words, low, high, planes, look_up, first = given
    minimum = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_BYTES, [_BYTES, _BYTES]), "llvm.umin.v32i8"
    )
    least = [cgutils.alloca_once(builder, _BYTES) for _ in range(count)]
    for place in least:
        builder.store(ir.Constant(_BYTES, [255] * 32), place)
    with cgutils.for_range_slice(builder, low, high, ir.Constant(_I64, 1), _I64) as (j, _):
        at = _at(context, builder, signature.args[0], words, _times(builder, j, 4))
        word = builder.load(builder.bitcast(at, _I32.as_pointer()), align=4)
        tables = _tables(context, builder, signature.args[4], look_up, word)
        for k, place in enumerate(least):
            block = builder.add(first, ir.Constant(_I64, k))
            found = _distances(context, builder, signature.args[3], planes, block, tables)
            builder.store(builder.call(minimum, [builder.load(place), found]), place)
    mask: Any = ir.Constant(_I64, 0)
    for k, place in enumerate(least):
        bound = builder.load(
            builder.bitcast(builder.gep(bounds, [ir.Constant(_I64, 32 * k)]), _BYTES.as_pointer()), align=1
        )
        hits = builder.bitcast(builder.icmp_unsigned("<", builder.load(place), bound), _I32)
        mask = builder.or_(mask, builder.shl(builder.zext(hits, _I64), ir.Constant(_I64, 32 * k)))
    return mask


@intrinsic
def near_queries(typingctx, words, low, high, planes, look_up, bounds, at, filled):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        words, low, high, planes, look_up, bounds, at, filled = arguments
        data = context.make_array(signature.args[5])(context, builder, bounds).data
        bound = builder.gep(builder.bitcast(data, _I8.as_pointer()), [at])
        mask = cgutils.alloca_once_value(builder, ir.Constant(_I64, 0))
        given = (context, words, low, high, planes, look_up, builder.lshr(at, ir.Constant(_I64, 5)))
        one = builder.icmp_signed("<=", builder.sub(filled, at), ir.Constant(_I64, 32))
        for count, fits in ((1, one), (2, builder.not_(one))):
            with builder.if_then(fits):
                builder.store(_least(builder, signature, given, bound, count), mask)
        return builder.load(mask)

    return types.int64(words, types.int64, types.int64, planes, look_up, bounds, types.int64, types.int64), codegen


@intrinsic
def lanes_of(typingctx, planes, block, word, limit, look_up):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        planes, block, word, limit, look_up = arguments
        tables = _tables(context, builder, signature.args[4], look_up, word)
        found = _distances(context, builder, signature.args[0], planes, block, tables)
        return builder.zext(_hits(builder, found, limit), _I64)

    return types.int64(planes, types.int64, types.uint32, types.uint32, look_up), codegen
