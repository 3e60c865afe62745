"""LLVM IR of the vector primitives; what each does is said at its Python twin in `vectors.py`."""

# ruff: noqa: PLR0917 - code generators take what the compiler gives them
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pipeline.matching.core.compiled.processor import target

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 16, 32, 64))
_WORDS = ir.VectorType(_I32, 16)
_LANES = ir.VectorType(_I16, 32)


def _suffix(vector: ir.VectorType) -> str:
    return f"v{vector.count}i{vector.element.width}"


def _call(builder: Any, name: str, vector: ir.VectorType, *arguments: Any) -> Any:
    function_type = ir.FunctionType(vector, [vector] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.{_suffix(vector)}")
    return builder.call(function, arguments)


def _reduce_add(builder: Any, value: Any) -> Any:
    vector = value.type
    name = f"llvm.vector.reduce.add.{_suffix(vector)}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector.element, [vector]), name)
    return builder.call(function, [value])


def _splat(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)


def _rotate(builder: Any, value: Any, by: int) -> Any:
    """Lane j of the result is lane j + by (modulo the number of lanes)."""
    n = value.type.count
    lanes = ir.Constant(ir.VectorType(_I32, n), [(j + by) % n for j in range(n)])
    return builder.shuffle_vector(value, value, lanes)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, to: Any) -> Any:
    """Address of element `index` (in elements of the flat array) as a pointer to `to`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _row(context: Any, builder: Any, array_type: Any, array: Any, row: Any, vector: ir.VectorType) -> Any:
    """Row `row` of a C-ordered (n, lanes) array, as a vector."""
    index = builder.mul(row, ir.Constant(_I64, vector.count))
    width = vector.count * vector.element.width // 8
    return builder.load(_pointer(context, builder, array_type, array, index, vector), align=min(width, 16))


def address(context: Any, builder: Any, array_type: Any, array: Any, element: ir.IntType) -> Any:
    """Where an array begins, as a pointer to elements of this type."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(data, element.as_pointer())


def own_function(module: Any, name: str, result: Any, arguments: list[Any], body: Callable[[Any, Any], None]) -> Any:
    """The function of this name of a module, made by `body(function, builder)` where there is none yet.

    It is not inlined, and takes plain addresses: within a kernel its loops would find no register free.
    """
    if name not in module.globals:
        function = ir.Function(module, ir.FunctionType(result, arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        body(function, ir.IRBuilder(function.append_basic_block("entry")))
    return module.globals[name]


@intrinsic
def any_within(typingctx, words, first, last, query, limit):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        words, first, last, query, limit = arguments
        pattern = _splat(builder, query, _WORDS)
        least = cgutils.alloca_once_value(builder, ir.Constant(_WORDS, [0xFFFF] * 16))
        with cgutils.for_range_slice(builder, first, last, ir.Constant(_I64, 1), _I64) as (j, _):
            at = builder.mul(j, ir.Constant(_I64, 16))
            block = builder.load(_pointer(context, builder, signature.args[0], words, at, _WORDS), align=4)
            bits = _call(builder, "ctpop", _WORDS, builder.xor(block, pattern))
            builder.store(_call(builder, "umin", _WORDS, builder.load(least), bits), least)
        hits = builder.icmp_unsigned("<=", builder.load(least), _splat(builder, limit, _WORDS))
        return builder.icmp_unsigned("!=", builder.bitcast(hits, _I16), ir.Constant(_I16, 0))

    return types.boolean(words, types.int64, types.int64, types.uint32, types.uint32), codegen


def _nearest(
    builder: Any, signature: Any, words: tuple[Any, Any, Any, Any], asked: Any, bounds: Any, count: int
) -> Any:
    """Bit mask, int64, of the queries of `count` vectors, at the pointer `asked`, that a word is nearer to than its bound."""
    context, array, low, high = words
    patterns = [
        builder.load(builder.bitcast(builder.gep(asked, [ir.Constant(_I64, 16 * k)]), _WORDS.as_pointer()), align=4)
        for k in range(count)
    ]
    least = [cgutils.alloca_once(builder, _WORDS) for _ in range(count)]
    for place in least:
        builder.store(ir.Constant(_WORDS, [0xFFFF] * 16), place)
    start = _pointer(context, builder, signature.args[0], array, ir.Constant(_I64, 0), _I32)
    with cgutils.for_range_slice(builder, low, high, ir.Constant(_I64, 1), _I64) as (j, _):
        word = _splat(builder, builder.load(builder.gep(start, [j]), align=4), _WORDS)
        for pattern, place in zip(patterns, least, strict=True):
            bits = _call(builder, "ctpop", _WORDS, builder.xor(word, pattern))
            builder.store(_call(builder, "umin", _WORDS, builder.load(place), bits), place)
    mask: Any = ir.Constant(_I64, 0)
    bytes_ = ir.VectorType(_I8, 16)
    for k, place in enumerate(least):
        at = builder.bitcast(builder.gep(bounds, [ir.Constant(_I64, 16 * k)]), bytes_.as_pointer())
        bound = builder.zext(builder.load(at, align=1), _WORDS)
        hits = builder.bitcast(builder.icmp_unsigned("<", builder.load(place), bound), _I16)
        mask = builder.or_(mask, builder.shl(builder.zext(hits, _I64), ir.Constant(_I64, 16 * k)))
    return mask


@intrinsic
def near_queries(typingctx, words, low, high, asked, bounds, at, filled):  # type: ignore[no-untyped-def]
    """The words of the queries stay in registers while those of the bucket pass by: up to four comparisons for each that is read."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        words, low, high, asked, bounds, at, filled = arguments
        first = _pointer(context, builder, signature.args[3], asked, at, _I32)
        bound = _pointer(context, builder, signature.args[4], bounds, at, _I8)
        mask = cgutils.alloca_once_value(builder, ir.Constant(_I64, 0))
        left = builder.sub(filled, at)
        for count in range(1, 5):
            more = builder.icmp_signed(">", left, ir.Constant(_I64, 16 * (count - 1)))
            fits = builder.icmp_signed("<=", left, ir.Constant(_I64, 16 * count)) if count < 4 else more
            with builder.if_then(builder.and_(more, fits)):
                found = _nearest(builder, signature, (context, words, low, high), first, bound, count)
                builder.store(found, mask)
        return builder.load(mask)

    return types.int64(words, types.int64, types.int64, asked, bounds, types.int64, types.int64), codegen


@intrinsic
def within(typingctx, words, vector, query, limit):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        words, vector, query, limit = arguments
        at = builder.mul(vector, ir.Constant(_I64, 16))
        block = builder.load(_pointer(context, builder, signature.args[0], words, at, _WORDS), align=4)
        bits = _call(builder, "ctpop", _WORDS, builder.xor(block, _splat(builder, query, _WORDS)))
        hits = builder.icmp_unsigned("<=", bits, _splat(builder, limit, _WORDS))
        return builder.zext(builder.bitcast(hits, _I16), _I64)

    return types.int64(words, types.int64, types.uint32, types.uint32), codegen


@intrinsic
def lowest(typingctx, mask):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(_I1, 1))

    return types.int64(types.int64), codegen


@intrinsic
def ones(typingctx, mask):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), codegen


@intrinsic
def nth(typingctx, mask, k):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        mask, k = arguments
        if "bmi2" in target()[2]:
            function_type = ir.FunctionType(_I64, [_I64, _I64])
            deposit = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.bmi.pdep.64")
            left = builder.call(deposit, [builder.shl(ir.Constant(_I64, 1), k), mask])
        else:
            rest = cgutils.alloca_once_value(builder, mask)
            with cgutils.for_range(builder, k):
                value = builder.load(rest)
                builder.store(builder.and_(value, builder.sub(value, ir.Constant(_I64, 1))), rest)
            left = builder.load(rest)
        return builder.cttz(left, ir.Constant(_I1, 1))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def prefetch(typingctx, array, index):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index = arguments
        address = _pointer(context, builder, signature.args[0], array, index, _I8)
        function_type = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        builder.call(function, [address, *(ir.Constant(_I32, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


def _eight(context: Any, builder: Any, array_type: Any, array: Any, byte: Any) -> Any:
    data = builder.bitcast(context.make_array(array_type)(context, builder, array).data, _I8.as_pointer())
    return builder.bitcast(builder.gep(data, [byte]), _I64.as_pointer())


@intrinsic
def word64(typingctx, array, byte):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(_eight(context, builder, signature.args[0], *arguments), align=1)

    return types.int64(array, types.int64), codegen


@intrinsic
def put64(typingctx, array, byte, value):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, byte, value = arguments
        builder.store(value, _eight(context, builder, signature.args[0], array, byte), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), codegen


def _chunk_bits(context: Any, builder: Any, signature: Any, arguments: Any, lanes: int) -> Any:
    """Differing bits of each chunk of a stored hash and a query: arguments are stored hashes, row, lanes that are kept, the last
    group, queries, query."""
    hashes, row, kept, last, queries, query = arguments
    vector = ir.VectorType(_I16, lanes)
    held = builder.extract_value(context.make_array(signature.args[0])(context, builder, hashes).shape, 1)
    place = _pointer(context, builder, signature.args[0], hashes, builder.mul(row, held), vector)
    stored = builder.load(place, align=2)
    lane = _row(context, builder, signature.args[2], kept, ir.Constant(_I64, 0), vector)
    groups = ir.VectorType(_I64, lanes // 4)
    group = builder.bitcast(_splat(builder, last, groups), vector)
    whole = builder.xor(builder.and_(stored, lane), group)
    asked = _row(context, builder, signature.args[4], queries, query, vector)
    return _call(builder, "ctpop", vector, builder.xor(whole, asked))


def _make_distance(lanes: int) -> Any:
    @intrinsic
    def distance(typingctx, hashes, row, kept, last, queries, query):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            bits = _chunk_bits(context, builder, signature, arguments, lanes)
            return builder.zext(_reduce_add(builder, bits), _I32)

        return types.uint32(hashes, types.int64, kept, types.int64, queries, types.int64), codegen

    return distance


def _make_verdict(lanes: int) -> Any:
    @intrinsic
    def verdict(typingctx, hashes, row, kept, last, queries, query, rules):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            bits = _chunk_bits(context, builder, signature, arguments[:6], lanes)
            rule = [
                _row(context, builder, signature.args[6], arguments[6], ir.Constant(_I64, k), bits.type)
                for k in range(4)
            ]
            two = builder.add(bits, _rotate(builder, bits, 1))
            three = builder.add(two, _rotate(builder, bits, 2))
            admits = builder.and_(
                builder.and_(builder.icmp_unsigned("<=", bits, rule[0]), builder.icmp_unsigned("<=", three, rule[1])),
                builder.icmp_unsigned(">=", _rotate(builder, bits, lanes - 1), rule[2]),
            )
            admits = builder.and_(admits, builder.icmp_unsigned("<=", two, rule[3]))
            mask = builder.zext(builder.bitcast(admits, ir.IntType(lanes)), _I32)
            mask = builder.or_(mask, ir.Constant(_I32, 1 << 16))
            first = builder.cttz(mask, ir.Constant(_I1, 1))
            total = builder.zext(_reduce_add(builder, bits), _I32)
            return builder.or_(builder.shl(total, ir.Constant(_I32, 16)), first)

        return types.uint32(hashes, types.int64, kept, types.int64, queries, types.int64, rules), codegen

    return verdict


def _column(context: Any, builder: Any, array_type: Any, array: Any, column: Any) -> Any:
    """Pointer to a column of 32 lanes."""
    at = builder.mul(column, ir.Constant(_I64, 32))
    return _pointer(context, builder, array_type, array, at, _LANES)


def _number(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Element `index` of a flat uint16 array in all lanes."""
    value = builder.load(_pointer(context, builder, array_type, array, index, _I16), align=2)
    return _splat(builder, value, _LANES)


def _mask(builder: Any, hits: Any) -> Any:
    return builder.zext(builder.bitcast(hits, _I32), _I64)


@intrinsic
def lanes_beyond(typingctx, columns, column, value, least):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        columns, column, value, least = arguments
        stored = builder.load(_column(context, builder, signature.args[0], columns, column), align=64)
        bits = _call(builder, "ctpop", _LANES, builder.xor(stored, _splat(builder, value, _LANES)))
        return _mask(builder, builder.icmp_unsigned(">=", bits, _splat(builder, least, _LANES)))

    return types.int64(columns, types.int64, types.uint16, types.uint16), codegen


@intrinsic
def xor_column(typingctx, columns, to, column):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        columns, to, column = arguments
        place = _column(context, builder, signature.args[0], columns, to)
        other = builder.load(_column(context, builder, signature.args[0], columns, column), align=64)
        builder.store(builder.xor(builder.load(place, align=64), other), place, align=64)
        return context.get_dummy_value()

    return types.void(columns, types.int64, types.int64), codegen


def _make_near(m: int) -> Any:
    @intrinsic
    def near(typingctx, columns, tile, queries, query, radius, bits):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            columns, tile, queries, query, radius, bits = arguments
            of_columns, of_queries, of_bits = signature.args[0], signature.args[2], signature.args[5]
            size = ir.Constant(_I64, m)
            sums = []
            for k in range(m):
                chunk = ir.Constant(_I64, k)
                column = builder.add(builder.mul(tile, size), chunk)
                stored = builder.load(_column(context, builder, of_columns, columns, column), align=64)
                place = builder.add(builder.mul(query, size), chunk)
                asked = _number(context, builder, of_queries, queries, place)
                sums.append(_call(builder, "ctpop", _LANES, builder.xor(stored, asked)))
                builder.store(sums[-1], _column(context, builder, of_bits, bits, chunk), align=64)
            while len(sums) > 1:
                sums = [builder.add(one, other) for one, other in zip(sums[::2], sums[1::2], strict=True)]
            builder.store(sums[0], _column(context, builder, of_bits, bits, size), align=64)
            return _mask(builder, builder.icmp_unsigned("<=", sums[0], _splat(builder, radius, _LANES)))

        return types.int64(columns, types.int64, queries, types.int64, types.uint16, bits), codegen

    return near


def _make_admitted(m: int) -> Any:
    @intrinsic
    def admitted(typingctx, bits, table, rules):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            bits, table, rules = arguments

            def chunk(by: int) -> Any:
                place = builder.and_(builder.add(table, ir.Constant(_I64, by)), ir.Constant(_I64, m - 1))
                return builder.load(_column(context, builder, signature.args[0], bits, place), align=64)

            def rule(k: int) -> Any:
                place = builder.add(table, ir.Constant(_I64, k * m))
                return _number(context, builder, signature.args[2], rules, place)

            own = chunk(0)
            two = builder.add(own, chunk(1))
            three = builder.add(two, chunk(2))
            admits = builder.and_(
                builder.and_(builder.icmp_unsigned("<=", own, rule(0)), builder.icmp_unsigned("<=", three, rule(1))),
                builder.icmp_unsigned(">=", chunk(m - 1), rule(2)),
            )
            admits = builder.and_(admits, builder.icmp_unsigned("<=", two, rule(3)))
            return _mask(builder, admits)

        return types.int64(bits, types.int64, rules), codegen

    return admitted


distance16, distance4 = _make_distance(16), _make_distance(4)
verdict16, verdict4 = _make_verdict(16), _make_verdict(4)
lanes_near16, lanes_near4 = _make_near(16), _make_near(4)
lanes_admitted16, lanes_admitted4 = _make_admitted(16), _make_admitted(4)
