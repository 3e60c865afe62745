"""What the kernels are compiled for: the processor as LLVM is told of it, and the family of vector instructions.

Numba compiles for the processor it runs on. `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` say otherwise, which is how the
AVX2 family is tested and measured on a machine with AVX-512: see `environment`. The cache of compiled kernels keeps
the families apart.
"""

from __future__ import annotations

from functools import cache

FAMILIES = ("avx512", "avx2", "plain")
"""avx512: popcount of whole registers (VPOPCNTDQ). avx2: look-up of nibbles (see `nibbles.py`). plain: all others."""


@cache
def target() -> tuple[str, str, frozenset[str]]:
    """Triple, processor and features that LLVM compiles the kernels of this process for."""
    from numba.core.registry import cpu_target  # Numba is loaded when something is compiled, not before

    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, name, frozenset(f[1:] for f in features.split(",") if f.startswith("+"))


@cache
def family() -> str:
    """The family of FAMILIES that the kernels are compiled for."""
    features = target()[2]
    if "avx512vpopcntdq" in features:
        return "avx512"
    return "avx2" if "avx2" in features else "plain"


def environment(wanted: str) -> dict[str, str]:
    """Environment variables with which a new process compiles for a family: this processor with features switched off.

    Raises ValueError for a family that this processor does not have.
    """
    from llvmlite import binding  # as above

    features = dict(binding.get_host_cpu_features())
    off = {"avx512": (), "avx2": ("avx512", "gfni"), "plain": ("avx", "f16c", "fma", "vaes", "vpclmulqdq", "gfni")}[
        wanted
    ]
    needed = {"avx512": "avx512vpopcntdq", "avx2": "avx2", "plain": None}[wanted]
    if needed is not None and not features.get(needed):
        raise ValueError(f"This processor has no {needed}.")
    kept = {name: on and not name.startswith(off) for name, on in features.items()} if off else features
    text = ",".join(("+" if on else "-") + name for name, on in sorted(kept.items()))
    return {"NUMBA_CPU_NAME": binding.get_host_cpu_name(), "NUMBA_CPU_FEATURES": text}
