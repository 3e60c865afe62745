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
    import llvmlite.binding as ll
    import numba
    import numba.core.typing.cffi_utils
    import numba.np.arraymath
    from numba import config
    from numba.core import entrypoints
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler
    from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]

IN_IMAGE = kernelfamilies.adopt()
"""Whether kernels come from the image."""

entrypoints._already_initialized = True
"""Extensions of Numba are not looked for: no kernel uses one, and it reads what is said of every installed package."""


class _Stored(JITCodeLibrary):
    """The code of a kernel that was found compiled.

    Numba parses the form that other kernels are compiled against, and lists its symbols, whenever it loads one: half the
    time of loading. Here that is done when another kernel is compiled against it.
    """

    _bitcode: bytes

    @classmethod
    def _unserialize(cls, codegen: Any, state: Any) -> _Stored:
        name, kind, code = state
        if kind != "object":
            raise ValueError(f"the kernel {name} was stored as {kind}, not as machine code")
        machine_code, bitcode = code
        library: _Stored = codegen.create_library(name)
        library._bitcode = bitcode
        library.enable_object_caching()  # type: ignore[no-untyped-call]
        library._set_compiled_object(machine_code)  # type: ignore[no-untyped-call]
        library._finalize_final_module()  # type: ignore[no-untyped-call]
        return library

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            self._shared_module = ll.parse_bitcode(self._bitcode)
        return self._shared_module

    def get_pointer_to_function(self, name: str) -> int:
        """The address of a function that the machine code has: its entry from Python, the only one that is asked for."""
        return int(self._codegen._engine.get_function_address(name))


class _Entries(CompileResultCacheImpl):
    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Load a compiled form as `_Stored`; Numba takes the class from where it generates code."""
        codegen = target_context.codegen()
        usual = codegen._library_class
        codegen._library_class = _Stored
        try:
            return super().rebuild(target_context, payload)  # type: ignore[no-untyped-call]
        finally:
            codegen._library_class = usual


class KernelCache(FunctionCache):
    """Loads compiled forms without making the compiler ready, and stores what is compiled."""

    _impl_class: type[_Entries] = _Entries

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is compiled for a signature, or None: only then all that can be compiled is registered, a tenth of a second."""
        _name_helpers()
        found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        if found is None:
            target_context.refresh()
        return found


@cache
def _name_helpers() -> None:
    """Tell LLVM where the functions of Numba's runtime are that machine code calls. Numba compiles the other part of it in the same
    breath, a third of the time of loading; machine code has that part in it, and a compiler makes it when it is made ready."""
    for name, address in _nrt_python.c_helpers.items():
        ll.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


class _Filled(UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR, only to be read."""

    def ensure_cache_path(self) -> None:
        """It is there, or nothing is found in it."""


class _FilledEntries(_Entries):
    _locator_classes = [_Filled]  # noqa: RUF012 - as in the class it is of


class ReadOnlyCache(KernelCache):
    """Loads compiled forms and stores none."""

    _impl_class = _FilledEntries

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
    made = numba.njit(**{**_OPTIONS, **options})(function)
    if made is function:  # nothing is compiled under NUMBA_DISABLE_JIT=1
        return made
    named: Any = vars(config)["CACHE_DIR"]
    filled = named and Path(named).is_dir() and (_complete(named) or not os.access(named, os.W_OK))
    try:
        kept = (ReadOnlyCache if filled else KernelCache)(function)  # type: ignore[no-untyped-call]
    except RuntimeError:  # no folder can be written, as in a closed sandbox: compiled in each process
        return made
    kept._cache_file._source_stamp = (_text(function.__code__.co_filename), stamp)
    made._cache = kept
    return made


def _complete(folder: str) -> bool:
    """Whether an image's kernels are in the folder: they are never added to, whoever runs."""
    return (Path(folder) / kernelfamilies.LISTED).is_file()


@cache
def _text(path: str) -> str:
    """SHA-256 of a source file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
