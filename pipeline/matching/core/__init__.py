"""The matching core: all pairs of query and known hashes within a Hamming distance, exact, proven in every run.

    build_index, extend_index, compact_index     write an index folder from known hashes
    warm_build                                   compile for it beforehand
    open_index                                   map it into memory
    join, check_canaries                         match against it
    join_arrays                                  match two sets of hashes, indexing the cheaper side

Names are loaded when they are first used, so that importing this package does not load Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.matching.core.index.build import build_index, compact_index, extend_index, warm_build
    from pipeline.matching.core.index.manifest import Manifest
    from pipeline.matching.core.index.store import Index, open_index
    from pipeline.matching.core.joining import Join, JoinReport, check_canaries, join
    from pipeline.matching.core.pairwise import join_arrays

_HOMES = {
    "build_index": "index.build",
    "extend_index": "index.build",
    "compact_index": "index.build",
    "warm_build": "index.build",
    "open_index": "index.store",
    "Index": "index.store",
    "Manifest": "index.manifest",
    "join": "joining",
    "Join": "joining",
    "JoinReport": "joining",
    "check_canaries": "joining",
    "join_arrays": "pairwise",
}

__all__ = [
    "Index",
    "Join",
    "JoinReport",
    "Manifest",
    "build_index",
    "check_canaries",
    "compact_index",
    "extend_index",
    "join",
    "join_arrays",
    "open_index",
    "warm_build",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
