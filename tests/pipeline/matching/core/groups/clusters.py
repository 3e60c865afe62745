"""Hashes that are near-identical to many others, and queries at the edge of what is near to them."""

from __future__ import annotations

import numpy as np

from tests.pipeline.matching.core.support import Hashes, random_hashes


def spread(count: int, most: int, seed: int) -> Hashes:
    """Copies of one hash, each with 0 to `most` of its bits changed."""
    rng = np.random.default_rng(seed)
    bits = np.repeat(np.unpackbits(random_hashes(1, 32, seed), axis=1), count, axis=0)
    order = rng.random(bits.shape).argsort(axis=1)
    bits ^= (order < rng.integers(0, most + 1, (count, 1))).astype(np.uint8)
    return np.packbits(bits, axis=1)


def chain(count: int, step: int, seed: int) -> Hashes:
    """Hashes of which each differs in `step` bits from the one before."""
    rng = np.random.default_rng(seed)
    bits = np.unpackbits(random_hashes(1, 32, seed), axis=1)
    rows = [bits[0]]
    for _ in range(count - 1):
        row = rows[-1].copy()
        row[rng.choice(256, step, replace=False)] ^= 1
        rows.append(row)
    return np.packbits(np.array(rows), axis=1)


def beyond(centre: Hashes, member: Hashes, bits: int) -> Hashes:
    """A query `bits` from a member, and as much farther from its centre as there are bits that lead away."""
    one, other = np.unpackbits(centre), np.unpackbits(member)
    out = other.copy()
    out[np.argsort(one != other, kind="stable")[:bits]] ^= 1
    return np.packbits(out)
