"""Kernels that were compiled when an image was built, for families of processors: which one this machine can use.

    kernels/                 beside the packages; made by `python -m deploy.kernels`, only read afterwards
        families.json        names of the families whose kernels are in it
        <package>_<hash>/    Numba's files: one index per kernel, one file per compiled form

Numba keeps compiled kernels apart by the processor's exact name and features, so that what one machine compiled no other model
would use. Here a family is compiled for what all its processors have. A machine whose best family is not in the image uses
NUMBA_CACHE_DIR as before, and compiles for itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

IMAGE = Path(__file__).resolve().parents[1] / "kernels"
"""Where an image has its compiled kernels. A checkout has none."""

LISTED = "families.json"

_BASE = "cmov cx16 cx8 fxsr mmx popcnt sahf sse sse2 sse3 sse4.1 sse4.2 ssse3 xsave"
_AVX2 = f"{_BASE} avx avx2 bmi bmi2 f16c fma lzcnt movbe"
_AVX512 = (
    f"{_AVX2} avx512f avx512bw avx512cd avx512dq avx512vl avx512ifma avx512vbmi avx512vbmi2 avx512vnni avx512bitalg "
    "avx512vpopcntdq gfni vaes vpclmulqdq aes pclmul"
)

NAME = "x86-64-v3"
"""What LLVM is told of the processor: which instructions to prefer, where features leave a choice."""

FAMILIES: Mapping[str, tuple[str, ...]] = {"avx512": tuple(_AVX512.split()), "avx2": tuple(_AVX2.split())}
"""Features of each family as LLVM names them, the best family first. avx512: Intel from Ice Lake on, AMD from Zen 4 on. avx2: the
x86-64-v3 level, Intel from Haswell on, AMD from Zen on (psABI for x86-64, table of micro-architecture levels)."""


def of_this_machine() -> str | None:
    """The best family that this processor belongs to; None for one without AVX2 and for other architectures."""
    from llvmlite import binding  # only for who has a folder of kernels: it is slow to load

    features = dict(binding.get_host_cpu_features())
    return next((name for name, needed in FAMILIES.items() if all(features.get(f) for f in needed)), None)


def environment(family: str) -> dict[str, str]:
    """Environment variables with which Numba compiles, and looks for, the kernels of a family."""
    features = ",".join(f"+{name}" for name in FAMILIES[family])
    return {"NUMBA_CPU_NAME": NAME, "NUMBA_CPU_FEATURES": features}


def adopt(folder: Path = IMAGE) -> bool:
    """Use the kernels in `folder` from now on if they fit this machine: in this process and in those that it starts.

    Leaves everything as it is where a person has named a processor (NUMBA_CPU_NAME), as tests and benches do. Must come before
    anything is compiled.
    """
    listed = folder / LISTED
    if not listed.is_file() or os.environ.get("NUMBA_CPU_NAME", NAME) != NAME:
        return False
    family = of_this_machine()
    if family is None or family not in json.loads(listed.read_text()):
        return False
    os.environ.update(environment(family), NUMBA_CACHE_DIR=str(folder))
    from numba import config  # only now: it reads the environment when it is imported

    vars(config).update(CPU_NAME=NAME, CPU_FEATURES=environment(family)["NUMBA_CPU_FEATURES"], CACHE_DIR=str(folder))
    return True
