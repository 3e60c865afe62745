"""Whether a picture is mostly text, a drawing or a template: few grey levels, and even ground between few edges.

Letters on one letterhead, logos and drawn portraits share most of their area, so that a perceptual hash cannot tell them apart.
Both measures are taken on the small luma plane. Of 117 pictures of the corpora two are marked (one is a diagram), of the drawn
templates of `pipeline/validation/templates.py` all but the photograph-like memes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.planes import histogram

WINDOWS, REACH = 4, 4
"""Windows of grey levels that are counted: four, each from four levels below its commonest level to four above."""

EVEN = np.int32(2)
"""Most grey levels to the pixel above and to the one at the left of a pixel that counts as even."""


@kernel
def _even(luma: NDArray[np.uint8]) -> float:
    """Share of pixels that are hardly different from the one above and the one at the left."""
    rows, columns = luma.shape
    count = np.int64(0)
    for row in range(1, rows):
        for column in range(1, columns):
            value = np.int32(luma[row, column])
            above, beside = abs(value - np.int32(luma[row - 1, column])), abs(value - np.int32(luma[row, column - 1]))
            count += np.int64(above <= EVEN and beside <= EVEN)
    share: float = count / max((rows - 1) * (columns - 1), 1)
    return share


def few_levels(luma: NDArray[np.uint8]) -> float:
    """Share of pixels within the `WINDOWS` commonest windows of grey levels, taken greedily."""
    share = histogram(luma) / luma.size
    total = 0.0
    for _ in range(WINDOWS):
        held = np.convolve(share, np.ones(2 * REACH + 1), "same")
        place = int(held.argmax())
        total += float(held[place])
        share[max(place - REACH, 0) : place + REACH + 1] = 0
    return total


def mostly_flat(luma: NDArray[np.uint8], policy: dict[str, Any]) -> bool:
    """The mark of a picture's small plane (uint8); `policy` is `flat` of policy/fingerprint.yaml."""
    even = _even(luma)  # always, so that preparing a worker loads this kernel: behind its sandbox it could not
    return bool(even >= policy["even"] and few_levels(luma) >= policy["levels"])
