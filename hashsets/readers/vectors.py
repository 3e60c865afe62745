"""Vector primitives of the reading kernels: 16 or 32 bytes of a file at a time, each with a plain Python twin.

They take addresses (int64): handing arrays from kernel to kernel would count references for every byte. Written as LLVM
IR with explicit vector types, as those of `pipeline/matching` are; LLVM lowers them to what the processor has. The
twins run when the JIT is switched off. Loads are unaligned and reach beyond the value that is asked about: the caller
sees to it that 32 bytes more can be read (and, for `copy32` and `base64_12`, written).
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pipeline.matching.core.compiled.jit import JIT

_I1, _I8, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
_V16, _V32, _WORDS = ir.VectorType(_I8, 16), ir.VectorType(_I8, 32), ir.VectorType(_I32, 4)
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


# -- plain twins -----------------------------------------------------------------------------------------------------


def _bytes(p: int, n: int) -> bytes:
    return ctypes.string_at(int(p), n)


def _byte(p: int) -> int:
    """The byte at `p`, from 0 to 255."""
    return _bytes(p, 1)[0]


def _special(p: int) -> int:
    """Bit k is set when byte k of 32 ends the plain part of a string: quote, backslash, control, beyond ASCII."""
    return sum(1 << k for k, c in enumerate(_bytes(p, 32)) if c < 32 or c > 126 or c in b'"\\')


def _same(p: int, q: int) -> int:
    """Bit k is set when byte k of 32 is the same at both places."""
    pairs = zip(_bytes(p, 32), _bytes(q, 32), strict=True)
    return sum(1 << k for k, (a, b) in enumerate(pairs) if a == b)


def _lowest(mask: int) -> int:
    """Position of the lowest set bit; `mask` is not 0."""
    return (int(mask) & -int(mask)).bit_length() - 1


def _copy32(target: int, source: int) -> None:
    """Copy 32 bytes."""
    ctypes.memmove(int(target), _bytes(source, 32), 32)


def _hex_digits(p: int) -> int:
    """Bit k is set when byte k of 16 is a hex digit."""
    return sum(1 << k for k, c in enumerate(_bytes(p, 16)) if c in b"0123456789abcdefABCDEF")


def _hex8(p: int) -> np.uint64:
    """Eight bytes from sixteen hex digits, as one big-endian number; a byte that is no digit gives anything there."""
    text = bytes(c if c in b"0123456789abcdefABCDEF" else 48 for c in _bytes(p, 16))
    return np.uint64(int(text, 16))


def _base64_12(p: int, target: int) -> int:
    """Decode sixteen base64 characters to twelve bytes (four more are overwritten); bit k: byte k was a character."""
    text = _bytes(p, 16)
    known = sum(1 << k for k, c in enumerate(text) if c in BASE64)
    if known == 0xFFFF:
        ctypes.memmove(int(target), base64.b64decode(text), 12)
    return known


# -- LLVM ------------------------------------------------------------------------------------------------------------


def _load(builder: Any, address: Any, kind: Any) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def _all(vector: ir.VectorType, value: int) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _lanes(builder: Any, value: Any, order: list[int]) -> Any:
    indices = ir.Constant(ir.VectorType(_I32, len(order)), order)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), indices)


def _mask(builder: Any, lanes: Any) -> Any:
    return builder.zext(builder.bitcast(lanes, ir.IntType(lanes.type.count)), _I64)


def _range(builder: Any, value: Any, first: str, length: int) -> tuple[Any, Any]:
    """Whether each byte is among `length` characters from `first`, and its place there."""
    place = builder.sub(value, _all(value.type, ord(first)))
    return builder.icmp_unsigned("<", place, _all(value.type, length)), place


def _nibbles(builder: Any, address: Any) -> tuple[Any, Any]:
    value = _load(builder, address, _V16)
    digit, low = _range(builder, value, "0", 10)
    letter, high = _range(builder, builder.or_(value, _all(_V16, 32)), "a", 6)
    return builder.or_(digit, letter), builder.select(digit, low, builder.add(high, _all(_V16, 10)))


def _byte_ir(builder: Any, p: Any) -> Any:
    return builder.zext(_load(builder, p, _I8), _I64)


def _special_ir(builder: Any, p: Any) -> Any:
    value = _load(builder, p, _V32)
    plain, _ = _range(builder, value, " ", 95)
    quote, slash = (builder.icmp_unsigned("==", value, _all(_V32, ord(c))) for c in '"\\')
    return _mask(builder, builder.or_(builder.not_(plain), builder.or_(quote, slash)))


def _same_ir(builder: Any, p: Any, q: Any) -> Any:
    return _mask(builder, builder.icmp_unsigned("==", _load(builder, p, _V32), _load(builder, q, _V32)))


def _lowest_ir(builder: Any, mask: Any) -> Any:
    return builder.cttz(mask, ir.Constant(_I1, 1))


def _copy32_ir(builder: Any, target: Any, source: Any) -> Any:
    _store(builder, _load(builder, source, _V32), target)


def _hex_digits_ir(builder: Any, p: Any) -> Any:
    return _mask(builder, _nibbles(builder, p)[0])


def _hex8_ir(builder: Any, p: Any) -> Any:
    nibbles = _nibbles(builder, p)[1]
    high, low = (_lanes(builder, nibbles, list(range(k, 16, 2))) for k in (0, 1))
    return builder.bswap(builder.bitcast(builder.or_(builder.shl(high, _all(high.type, 4)), low), _I64))


def _base64_12_ir(builder: Any, p: Any, target: Any) -> Any:
    value = _load(builder, p, _V16)
    known, code = ir.Constant(ir.VectorType(_I1, 16), [0] * 16), _all(_V16, 0)
    for first, length, base in (("A", 26, 0), ("a", 26, 26), ("0", 10, 52), ("+", 1, 62), ("/", 1, 63)):
        hit, place = _range(builder, value, first, length)
        code = builder.select(hit, builder.add(place, _all(_V16, base)), code)
        known = builder.or_(known, hit)
    words, joined = builder.bitcast(code, _WORDS), _all(_WORDS, 0)
    for k in range(4):  # character k of four is byte k of a little-endian word
        six = builder.and_(builder.lshr(words, _all(_WORDS, 8 * k)), _all(_WORDS, 63))
        joined = builder.or_(joined, builder.shl(six, _all(_WORDS, 18 - 6 * k)))
    order = [4 * w + b for w in range(4) for b in (2, 1, 0)] + [3, 7, 11, 15]
    _store(builder, _lanes(builder, builder.bitcast(joined, _V16), order), target)
    return _mask(builder, known)


def _compiled(generate: Any, result: Any, arguments: int) -> Any:
    """The primitive that `generate` writes, over int64 arguments, as a kernel can call it."""
    signature = result(*[types.int64] * arguments)

    def codegen(context: Any, builder: Any, signature_: Any, values: Any) -> Any:
        made = generate(builder, *values)
        return context.get_dummy_value() if made is None else made

    def one(typingctx, p):  # type: ignore[no-untyped-def]
        return signature, codegen

    def two(typingctx, p, q):  # type: ignore[no-untyped-def]
        return signature, codegen

    return intrinsic(one if arguments == 1 else two)


byte: Any = _compiled(_byte_ir, types.int64, 1) if JIT else _byte
special: Any = _compiled(_special_ir, types.int64, 1) if JIT else _special
same: Any = _compiled(_same_ir, types.int64, 2) if JIT else _same
lowest: Any = _compiled(_lowest_ir, types.int64, 1) if JIT else _lowest
copy32: Any = _compiled(_copy32_ir, types.void, 2) if JIT else _copy32
hex_digits: Any = _compiled(_hex_digits_ir, types.int64, 1) if JIT else _hex_digits
hex8: Any = _compiled(_hex8_ir, types.uint64, 1) if JIT else _hex8
base64_12: Any = _compiled(_base64_12_ir, types.int64, 2) if JIT else _base64_12
