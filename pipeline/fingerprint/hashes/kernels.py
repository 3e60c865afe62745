"""How the fingerprint kernels are compiled: one decorator, so that caching and float rules are stated once.

Kernels are cached on disk: in `NUMBA_CACHE_DIR` where set, else beside the source, else (source tree read-only) in the
user's cache folder. Where none of these can be written the kernels are compiled afresh in each process.
Floating-point sums are never reordered (no fastmath), so that every machine computes the same hash; loops are written
to run over contiguous rows, which vectorises without reordering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` with Numba: no Python objects, no GIL, cached on disk where a place can be written."""
    try:
        compiled: Any = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # "cannot cache function: no locator available": nowhere to write, as in a closed sandbox
        compiled = numba.njit(function, nogil=True, error_model="numpy")
    return cast(F, compiled)
