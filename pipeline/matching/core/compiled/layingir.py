"""LLVM IR that lays queries out; what it does is said at its Python twin in `laying.py`.

See `llvm.own_function`.
"""

# ruff: noqa: PLR0917 - code generators take what the compiler gives them
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pipeline.matching.core.compiled.llvm import address, own_function

_I1, _I8, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
_EIGHT, _LINE = ir.VectorType(_I32, 8), ir.VectorType(_I8, 64)
_BYTE, _WORD, _LONG = (kind.as_pointer() for kind in (_I8, _I32, _I64))
LAY_OUT, NAME = "matching_lay_out", "matching_name"


def _at(builder: Any, start: Any, index: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(start, [index]), kind.as_pointer())


class _Copier:
    """Copies the words of one value after another to `target`; `filled` is where the end is kept."""

    def __init__(self, builder: Any, source: Any, target: Any) -> None:
        self.builder, self.source, self.target = builder, source, target
        self.filled = cgutils.alloca_once_value(builder, ir.Constant(_I64, 0))

    def copy(self, both: Any) -> None:
        builder = self.builder
        first = builder.and_(both, ir.Constant(_I64, 0xFFFFFFFF))
        count = builder.sub(builder.lshr(both, ir.Constant(_I64, 32)), first)
        filled = builder.load(self.filled)
        self._eight(filled, first)
        more = builder.icmp_signed(">", count, ir.Constant(_I64, 8))
        with builder.if_then(more, likely=False):
            steps = cgutils.for_range_slice(builder, ir.Constant(_I64, 8), count, ir.Constant(_I64, 8), _I64)
            with steps as (k, _):
                self._eight(builder.add(filled, k), builder.add(first, k))
        builder.store(builder.add(filled, count), self.filled)

    def _eight(self, to: Any, start: Any) -> None:
        value = self.builder.load(_at(self.builder, self.source, start, _EIGHT), align=4)
        self.builder.store(value, _at(self.builder, self.target, to, _EIGHT), align=4)


def _value(builder: Any, bucket: Any, masks: Any, offsets: Any, k: Any) -> Any:
    """First query and the one after the last, << 32, of the value that differs from `bucket` by mask `k`."""
    return _ends(builder, offsets, builder.xor(bucket, builder.load(builder.gep(masks, [k]))))


def _ends(builder: Any, offsets: Any, place: Any) -> Any:
    return builder.load(_at(builder, offsets, builder.shl(place, ir.Constant(_I64, 2)), _I64), align=4)


def _laying(function: Any, builder: Any) -> None:
    """bucket, masks, levels, how many, limits, offsets, occupied, words, block, bounds, near, sparse; the end, and the values noted << 32."""
    bucket, masks, levels, many, limits, offsets, occupied, words, block, bounds, near, sparse = function.args
    copier = _Copier(builder, words, block)
    noted = cgutils.alloca_once_value(builder, ir.Constant(_I64, 0))
    one, zero = ir.Constant(_I64, 1), ir.Constant(_I64, 0)

    def fill(at: Any, bound: Any) -> None:
        single = builder.insert_element(ir.Constant(_LINE, ir.Undefined), bound, ir.Constant(_I32, 0))
        lanes = ir.Constant(ir.VectorType(_I32, 64), [0] * 64)
        whole = builder.shuffle_vector(single, ir.Constant(_LINE, ir.Undefined), lanes)
        builder.store(whole, _at(builder, bounds, at, _LINE), align=1)

    with cgutils.for_range_slice(builder, zero, many, one, _I64) as (level, _):
        begin, before = builder.load(copier.filled), builder.load(noted)
        start, stop = (builder.load(builder.gep(levels, [k])) for k in (level, builder.add(level, one)))
        with builder.if_else(sparse) as (few, most):
            with few:
                with cgutils.for_range_slice(builder, start, stop, one, _I64) as (k, _):
                    place = builder.xor(bucket, builder.load(builder.gep(masks, [k])))
                    count = builder.load(noted)
                    builder.store(place, builder.gep(near, [count]))
                    bits = builder.load(builder.gep(occupied, [builder.lshr(place, ir.Constant(_I64, 3))]))
                    bit = builder.lshr(builder.zext(bits, _I64), builder.and_(place, ir.Constant(_I64, 7)))
                    builder.store(builder.add(count, builder.and_(bit, one)), noted)
                with cgutils.for_range_slice(builder, before, builder.load(noted), one, _I64) as (k, _):
                    both = _ends(builder, offsets, builder.load(builder.gep(near, [k])))
                    builder.store(both, builder.gep(near, [k]))
                    copier.copy(both)
            with most, cgutils.for_range_slice(builder, start, stop, one, _I64) as (k, _):
                copier.copy(_value(builder, bucket, masks, offsets, k))
        bound = builder.trunc(builder.add(builder.load(builder.gep(limits, [level])), ir.Constant(_I32, 1)), _I8)
        with cgutils.for_range_slice(builder, begin, builder.load(copier.filled), ir.Constant(_I64, 64), _I64) as (
            at,
            _,
        ):
            fill(at, bound)
    end = builder.load(copier.filled)
    fill(end, ir.Constant(_I8, 0))
    builder.ret(builder.or_(end, builder.shl(builder.load(noted), ir.Constant(_I64, 32))))


@intrinsic
def lay_out(typingctx, bucket, masks, levels, limits, q_offsets, occupied, q_words, block_words, bounds, near, sparse):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(place: int, element: Any) -> Any:
            return address(context, builder, signature.args[place], arguments[place], element)

        array = context.make_array(signature.args[3])(context, builder, arguments[3])
        many = builder.extract_value(array.shape, 0)
        taken = [_I64, _LONG, _LONG, _I64, _WORD, _BYTE, _BYTE, _WORD, _WORD, _BYTE, _LONG, _I1]
        function = own_function(builder.module, LAY_OUT, _I64, taken, _laying)
        given = [arguments[0], data(1, _I64), data(2, _I64), many, data(3, _I32), data(4, _I8), data(5, _I8)]
        given += [data(6, _I32), data(7, _I32), data(8, _I8), data(9, _I64), builder.trunc(arguments[10], _I1)]
        return builder.call(function, given)

    arrays = (masks, levels, limits, q_offsets, occupied, q_words, block_words, bounds, near)
    return types.int64(types.int64, *arrays, types.boolean), codegen


def _naming(function: Any, builder: Any) -> None:
    """bucket, how many masks, masks, offsets, index, block, near, noted."""
    bucket, stop, masks, offsets, index, block, near, noted = function.args
    copier = _Copier(builder, index, block)
    one, zero = ir.Constant(_I64, 1), ir.Constant(_I64, 0)
    with builder.if_else(builder.icmp_signed(">", noted, zero)) as (few, most):
        with few, cgutils.for_range_slice(builder, zero, noted, one, _I64) as (k, _):
            copier.copy(builder.load(builder.gep(near, [k])))
        with most, cgutils.for_range_slice(builder, zero, stop, one, _I64) as (k, _):
            copier.copy(_value(builder, bucket, masks, offsets, k))
    builder.ret_void()


@intrinsic
def name(typingctx, bucket, stop, masks, q_offsets, q_index, block_index, near, noted):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(place: int, element: Any) -> Any:
            return address(context, builder, signature.args[place], arguments[place], element)

        taken = [_I64, _I64, _LONG, _BYTE, _WORD, _WORD, _LONG, _I64]
        function = own_function(builder.module, NAME, ir.VoidType(), taken, _naming)
        given = [data(2, _I64), data(3, _I8), data(4, _I32), data(5, _I32), data(6, _I64)]
        builder.call(function, [arguments[0], arguments[1], *given, arguments[7]])
        return context.get_dummy_value()

    arrays = (masks, q_offsets, q_index, block_index, near)
    return types.void(types.int64, types.int64, *arrays, types.int64), codegen
