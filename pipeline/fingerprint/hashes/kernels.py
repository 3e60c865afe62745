"""How the fingerprint kernels are compiled: one decorator, so that caching and float rules are stated once.

Kernels are cached on disk, see `pipeline/kernelcache.py`.
Floating-point sums are never reordered (no fastmath), so that every machine computes the same hash; loops are written
to run over contiguous rows, which vectorises without reordering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pipeline.kernelcache import compiled

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` with Numba: no Python objects, no GIL, cached on disk where a place can be written."""
    return cast(F, compiled(function, nogil=True, error_model="numpy"))
