"""Refinement: the geometry of a query picture under which it comes closest to one known PDQ hash."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.fingerprint import pdq
from pipeline.fingerprint.variants import Base, all_variants, sample


def search(source: Base, known: bytes, policy: dict[str, Any]) -> tuple[int, str]:
    """Smallest distance (bits) of the picture to `known` over the variants, and that variant's name."""
    grid = sample(source.samples, np.zeros(5), source.aspect)
    best = (pdq.distance(pdq.hash_grid(grid)[0], known), "as it is")
    return min(
        [best, *((pdq.distance(code, known), name) for name, code, _ in all_variants(source, policy["variants"]))]
    )
