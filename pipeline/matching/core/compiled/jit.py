"""How the kernels are compiled: once, cached on disk, without the interpreter's lock, and never in secret.

`pipeline/kernelcache.py` says where compiled code is kept. Where no folder can be written or was filled before, the
kernels still work and are compiled in every process. Numba looks only at the file of a kernel when it judges whether the cache is out of date; here every module of the
package counts, because kernels contain code of other modules.
With NUMBA_DISABLE_JIT=1 the same functions run as plain Python: slow, used by the coverage run of the tests.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.kernelcache import compiled

# Numba after it, because it has Numba load less
# isort: split
import numba
from numba import config
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

JIT = not bool(vars(config)["DISABLE_JIT"])
"""Whether kernels are compiled; False under NUMBA_DISABLE_JIT=1."""


class _NoEnvironment:
    """Where Numba notes what a function needs that runs by itself."""

    def set_env(self, *_: Any) -> None:
        """A helper runs within kernels alone."""


class _HelperCode(JITCodeLibrary):
    """The code of a helper: only linked into kernels, where it is optimised with them and becomes machine code.

    Numba does both for every function, also for one that nothing calls by itself: an eighth of a first compilation.
    """

    @property
    def codegen(self) -> _NoEnvironment:
        return _NoEnvironment()

    def _optimize_final_module(self) -> None:
        """In the kernel."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True


class _HelperCompiler(Compiler):
    """Numba's, for functions that only become part of others."""

    def define_pipelines(self) -> Any:
        self.state.library = _HelperCode(self.state.targetctx.codegen(), self.state.func_id.func_qualname)  # type: ignore[no-untyped-call]
        return super().define_pipelines()  # type: ignore[no-untyped-call]


_OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False}
_BARE: dict[str, Any] = {**_OPTIONS, "_nrt": False}
_HELPER: dict[str, Any] = {
    **_BARE, "forceinline": True, "no_cfunc_wrapper": True, "no_cpython_wrapper": True, "pipeline_class": _HelperCompiler
}  # fmt: skip

KERNELS: list[Any] = []


@cache
def source_digest() -> str:
    """SHA-256 of all modules of the core."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` on first use: nopython, no GIL, wrapping integers, cached where a cache can be written."""
    return _compiled(function, counting=True)


def bare(function: Callable[..., Any]) -> Any:
    """A kernel that allocates nothing (else it does not compile), and so needs no counts of references to its arrays.

    Numba counts them, atomically, at every call of another compiled function and in many branches: a fifth of the time
    of a join of near-duplicates.
    """
    return _compiled(function, counting=False)


def _compiled(function: Callable[..., Any], *, counting: bool) -> Any:
    if not JIT:
        return function
    options = _OPTIONS if counting else _BARE
    made = compiled(function, source_digest(), **options)
    KERNELS.append(made)
    return made


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small helper that only other kernels call, and that becomes part of them; it allocates nothing.

    No entry from Python is made either: taking a dozen arrays out of their objects is more code than most helpers.
    """
    return numba.njit(**_HELPER)(function) if JIT else function


def compiled_signatures() -> int:
    """How many kernel specialisations this process holds so far."""
    return sum(len(k.signatures) for k in KERNELS)


def cached() -> bool:
    """Whether compiled kernels are kept on disk between processes."""
    return JIT and all(not isinstance(k._cache, NullCache) for k in KERNELS)


class Compilation:
    """Context manager that measures the seconds spent on warming the kernels up: `seconds` (wall), 0.0 when warm."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Compilation:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
