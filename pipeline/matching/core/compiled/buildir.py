"""LLVM IR of building: the stored order of bits (said in `index/bitorder.py`, with its twin), and lines written past the caches."""

# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pipeline.matching.core.index.bitorder import STEP

_I8, _I32, _I64 = (ir.IntType(n) for n in (8, 32, 64))


def _reordered(builder: Any, value: Any, width: int) -> Any:
    """Bit j of all bytes at once: STEP * (8 b + j) falls on the same bit of a byte, whatever b is."""
    vector = ir.VectorType(_I8, width)
    whole = ir.Constant(vector, [0] * width)
    for j in range(8):
        sources = [STEP * (8 * b + j) % (8 * width) for b in range(width)]
        lanes = ir.Constant(ir.VectorType(_I32, width), [source // 8 for source in sources])
        bytes_ = builder.shuffle_vector(value, value, lanes)
        shift = 7 - sources[0] % 8 - j  # bits of a hash are numbered from the most significant of each byte
        by = ir.Constant(vector, [abs(shift)] * width)
        moved = builder.lshr(bytes_, by) if shift > 0 else builder.shl(bytes_, by)
        whole = builder.or_(whole, builder.and_(moved, ir.Constant(vector, [1 << j] * width)))
    return whole


def _codegen(context: Any, builder: Any, signature: Any, arguments: Any, width: int) -> Any:
    hashes, out, row = arguments
    at = builder.mul(row, ir.Constant(_I64, width))
    pointers = []
    for array_type, array in zip(signature.args[:2], (hashes, out), strict=True):
        data = context.make_array(array_type)(context, builder, array).data
        pointers.append(builder.bitcast(builder.gep(data, [at]), ir.VectorType(_I8, width).as_pointer()))
    builder.store(_reordered(builder, builder.load(pointers[0], align=1), width), pointers[1], align=1)
    return context.get_dummy_value()


@intrinsic
def reorder32(typingctx, hashes, out, row):  # type: ignore[no-untyped-def]
    """Row `row` of hashes, uint8 (n, 32), into that row of out."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _codegen(context, builder, signature, arguments, 32)

    return types.void(hashes, out, types.int64), codegen


@intrinsic
def reorder8(typingctx, hashes, out, row):  # type: ignore[no-untyped-def]
    """Row `row` of hashes, uint8 (n, 8), into that row of out."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _codegen(context, builder, signature, arguments, 8)

    return types.void(hashes, out, types.int64), codegen


@intrinsic
def write_line(typingctx, source, first, target, at):  # type: ignore[no-untyped-def]
    """Eight int64 of `source` from `first` on to `target` from `at` on, past the caches: `target` is not read for it.

    Both arrays begin at a multiple of 64 bytes, both positions are multiples of 8.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        source, first, target, at = arguments
        line = ir.VectorType(_I64, 8).as_pointer()
        places = []
        for array_type, array, position in ((signature.args[0], source, first), (signature.args[2], target, at)):
            data = context.make_array(array_type)(context, builder, array).data
            places.append(builder.bitcast(builder.gep(data, [position]), line))
        store = builder.store(builder.load(places[0], align=64), places[1], align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_I32, 1)]))
        return context.get_dummy_value()

    return types.void(source, types.uint64, target, types.uint64), codegen


@intrinsic
def written(typingctx):  # type: ignore[no-untyped-def]
    """All lines written before are seen by all that is read after."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
