"""Near-duplicate files of one case, grouped into one row: pictures whose PDQ hashes lie within the matching threshold.

Groups are connected components: two copies of a copy belong together. A picture of low information groups with exact
copies only, because its hash says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def groups(hashes: Sequence[str | None], usable: Sequence[bool], threshold: int) -> list[int]:
    """Group number of each file, numbered from 0 by first appearance.

    `hashes`: PDQ in hex (64 characters) or None; `usable`: whether the hash means anything; `threshold` in bits.
    """
    count = len(hashes)
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    picked = [i for i in range(count) if hashes[i] and usable[i]]
    if picked:
        bits = np.unpackbits(
            np.frombuffer(bytes.fromhex("".join(hashes[i] or "" for i in picked)), np.uint8).reshape(-1, 32), axis=1
        ).astype(np.int16)
        ones = bits.sum(axis=1)
        for row in range(len(picked)):
            distance = ones + ones[row] - 2 * (bits @ bits[row])
            for other in np.flatnonzero(distance <= threshold):
                if other > row:
                    parent[root(picked[int(other)])] = root(picked[row])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(count)]
