"""LLVM IR that lays queries out; what it does is said at its Python twin in `laying.py`.

It is a function of its own that is not inlined, and takes plain addresses: within the kernel its loops would find no register free.
"""

# ruff: noqa: PLR0917 - code generators take what the compiler gives them
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

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


def _own(module: Any, name: str, result: Any, arguments: list[Any]) -> tuple[Any, Any]:
    """A function of the module that is not inlined, and a builder at its begin."""
    function = ir.Function(module, ir.FunctionType(result, arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def _function(module: Any) -> Any:
    """bucket, masks, levels, how many, limits, offsets, occupied, words, block, bounds, near, sparse; the end, and the values noted << 32."""
    arguments = [_I64, _LONG, _LONG, _I64, _WORD, _BYTE, _BYTE, _WORD, _WORD, _BYTE, _LONG, _I1]
    function, builder = _own(module, LAY_OUT, _I64, arguments)
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
    return function


@intrinsic
def lay_out(typingctx, bucket, masks, levels, limits, q_offsets, occupied, q_words, block_words, bounds, near, sparse):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(place: int, kind: Any) -> Any:
            array = context.make_array(signature.args[place])(context, builder, arguments[place])
            return builder.bitcast(array.data, kind)

        array = context.make_array(signature.args[3])(context, builder, arguments[3])
        many = builder.extract_value(array.shape, 0)
        module = builder.module
        function = module.globals[LAY_OUT] if LAY_OUT in module.globals else _function(module)
        given = [arguments[0], data(1, _LONG), data(2, _LONG), many, data(3, _WORD), data(4, _BYTE), data(5, _BYTE)]
        given += [data(6, _WORD), data(7, _WORD), data(8, _BYTE), data(9, _LONG), builder.trunc(arguments[10], _I1)]
        return builder.call(function, given)

    arrays = (masks, levels, limits, q_offsets, occupied, q_words, block_words, bounds, near)
    return types.int64(types.int64, *arrays, types.boolean), codegen


def _naming(module: Any) -> Any:
    """bucket, how many masks, masks, offsets, index, block, near, noted."""
    function, builder = _own(module, NAME, ir.VoidType(), [_I64, _I64, _LONG, _BYTE, _WORD, _WORD, _LONG, _I64])
    bucket, stop, masks, offsets, index, block, near, noted = function.args
    copier = _Copier(builder, index, block)
    one, zero = ir.Constant(_I64, 1), ir.Constant(_I64, 0)
    with builder.if_else(builder.icmp_signed(">", noted, zero)) as (few, most):
        with few, cgutils.for_range_slice(builder, zero, noted, one, _I64) as (k, _):
            copier.copy(builder.load(builder.gep(near, [k])))
        with most, cgutils.for_range_slice(builder, zero, stop, one, _I64) as (k, _):
            copier.copy(_value(builder, bucket, masks, offsets, k))
    builder.ret_void()
    return function


@intrinsic
def name(typingctx, bucket, stop, masks, q_offsets, q_index, block_index, near, noted):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(place: int, kind: Any) -> Any:
            array = context.make_array(signature.args[place])(context, builder, arguments[place])
            return builder.bitcast(array.data, kind)

        module = builder.module
        function = module.globals[NAME] if NAME in module.globals else _naming(module)
        given = [data(2, _LONG), data(3, _BYTE), data(4, _WORD), data(5, _WORD), data(6, _LONG)]
        builder.call(function, [arguments[0], arguments[1], *given, arguments[7]])
        return context.get_dummy_value()

    arrays = (masks, q_offsets, q_index, block_index, near)
    return types.void(types.int64, types.int64, *arrays, types.int64), codegen
