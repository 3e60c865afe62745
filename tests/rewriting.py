"""Test modules with their assertions rewritten, made once for all workers of a run instead of once in each.

pytest keeps what it has rewritten beside the module, under the hash of its source, but not where Python is told to write no
compiled modules, and at first every worker of a new checkout would rewrite all: two thirds of what collecting takes. Each worker
makes its share of what is missing before it collects; what another has not made yet by then it rewrites for itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.assertion import rewrite

TESTS = Path(__file__).resolve().parent


def ahead(config: pytest.Config, number: int, workers: int, folder: Path = TESTS) -> int:
    """Rewrite every `workers`-th test module from the `number`-th on, where that is not done yet. How many were written; none where
    the checkout is not to be written to."""
    state = config.stash[rewrite.assertstate_key]
    written = 0
    for module in sorted(folder.rglob("test_*.py"))[number::workers]:
        kept = rewrite.get_cache_dir(module) / f"{module.stem}{rewrite.PYC_TAIL}"
        if rewrite._read_pyc(module, kept) is None and rewrite.try_makedirs(kept.parent):
            of_source, code = rewrite._rewrite_test(module, config)
            written += rewrite._write_pyc(state, code, of_source, kept)
    return written
