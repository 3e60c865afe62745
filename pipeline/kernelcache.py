"""Where compiled kernels are kept between processes: one function for the kernels of every room.

Numba keeps them in NUMBA_CACHE_DIR when that is set, else beside the source, else (read-only source) in the user's cache
folder. It leaves a folder out that it cannot write to, and compiles anew although all is there. An image that was
filled when it was built is such a folder: here it is read, and what it lacks is compiled in the process that needs it.
`pipeline/kernelfamilies.py` says which folder of an image, and for which processors.
A compiled form belongs to the text of its source file, not to that file's time: copying an image's layers may change times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import kernelfamilies
from pipeline.leftout import left_out

with left_out("scipy", "scipy.linalg", "coverage", "cffi"):
    # Numba looks for a BLAS to link dot products to, for counters of lines that are compiled and for declarations of C: half
    # the time that it takes to load, and no kernel has any of them
    import numba
    import numba.core.typing.cffi_utils
    import numba.np.arraymath
    from numba import config
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler

IN_IMAGE = kernelfamilies.adopt()
"""Whether kernels come from the image."""


class _Filled(UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR, only to be read."""

    def ensure_cache_path(self) -> None:
        """It is there, or nothing is found in it."""


class _Entries(CompileResultCacheImpl):
    _locator_classes = [_Filled]  # noqa: RUF012 - as in the class it is of


class ReadOnlyCache(FunctionCache):
    """Loads compiled forms and stores none."""

    _impl_class = _Entries

    def save_overload(self, sig: Any, data: Any) -> None:
        """Nothing can be written."""


class _Code(JITCodeLibrary):
    """The code of a kernel: optimised once, with all that it calls, and not each function for itself before."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout


class _Compiler(Compiler):
    """Numba's, with that: a fifth of a first compilation less."""

    def define_pipelines(self) -> Any:
        self.state.library = _Code(self.state.targetctx.codegen(), self.state.func_id.func_qualname)  # type: ignore[no-untyped-call]
        self.state.library.enable_object_caching()
        return super().define_pipelines()  # type: ignore[no-untyped-call]


_OPTIONS: dict[str, Any] = {"no_cfunc_wrapper": True, "pipeline_class": _Compiler}
"""No entry from C is made: nothing comes that way, and it takes a fifteenth of a first compilation."""


def compiled(function: Callable[..., Any], stamp: str = "", **options: Any) -> Any:
    """Compile on first use, with Numba's `options` and ours; kept where a folder can be written, loaded where one was filled.

    `stamp` says what else than the function's own file a compiled form depends on: one with another stamp is not used.
    """
    options = {**_OPTIONS, **options}
    named: Any = vars(config)["CACHE_DIR"]
    if named and Path(named).is_dir() and (_complete(named) or not os.access(named, os.W_OK)):
        made = numba.njit(**options)(function)
        vars(made)["_cache"] = ReadOnlyCache(function)  # type: ignore[no-untyped-call]
    else:
        try:
            made = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder can be written, as in a closed sandbox: compiled in each process
            return numba.njit(**options)(function)
    file = getattr(vars(made).get("_cache"), "_cache_file", None)
    if file is not None:  # nothing is compiled under NUMBA_DISABLE_JIT=1
        file._source_stamp = (_text(function.__code__.co_filename), stamp)
    return made


def _complete(folder: str) -> bool:
    """Whether an image's kernels are in the folder: they are never added to, whoever runs."""
    return (Path(folder) / kernelfamilies.LISTED).is_file()


@cache
def _text(path: str) -> str:
    """SHA-256 of a source file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
