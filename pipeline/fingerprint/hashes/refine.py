"""Refinement: the geometry of a query picture under which it comes closest to one known PDQ hash.

Distinct photographs stay far apart under any small change of geometry, copies come close under the right one; so the refined
distance separates better than any fixed radius, and the geometry found is evidence that an investigator can read.
The search starts from the best frames of the variant grid in all eight flips, and moves the frame's sides and angle by ever smaller
steps while the distance falls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes import families, packed, pdq, sampling, variants
from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.pdq import Floats
from pipeline.fingerprint.hashes.planes import Plane
from pipeline.fingerprint.hashes.sampling import Geometry

SampledPicture = tuple[Floats, Floats, float]
"""Samples, edges and aspect of a `sampling.Base`, as kernels take them."""

MOVES = np.array(
    [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [1, 0, -1, 0, 0],
        [0, 1, 0, -1, 0],
        [1, 0, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [1, 1, 1, 1, 0],
    ],
    np.float64,
)
"""Directions tried, forwards and backwards: each side, the angle, shifts, and growing in one or both directions."""


@kernel
def _score(values: Floats, known: NDArray[np.uint8]) -> tuple[int, float]:
    """Bits that differ from `known` (32 bytes), and how far the differing coefficients lie from the median (mean, relative)."""
    median = pdq.lower_median(values)
    wrong, depth, scale = 0, 0.0, 1e-6
    for bit in range(256):
        offset = values[bit] - median
        scale += abs(offset)
        if (offset > 0) != ((known[31 - (bit >> 3)] >> (bit & 7)) & 1 == 1):
            wrong += 1
            depth += abs(offset)
    return wrong, depth / scale


@kernel
def _evaluate(source: SampledPicture, frame: Geometry, known: NDArray[np.uint8], code: int) -> tuple[int, float]:
    samples, edges, aspect = source
    coefs = sampling.coefficients_of(samples, edges, frame, aspect).reshape(16, 16)
    wrong, depth = _score(pdq.flipped(coefs, code), known)
    return wrong, wrong + depth


@kernel
def _starts(source: SampledPicture, frames: Geometry, known: NDArray[np.uint8]) -> Floats:
    """Score of every frame in every flip: (frames, 8)."""
    samples, edges, aspect = source
    out = np.empty((frames.shape[0], 8), np.float32)
    for k in range(frames.shape[0]):
        coefs = sampling.coefficients_of(samples, edges, frames[k], aspect).reshape(16, 16)
        for code in range(8):
            wrong, depth = _score(pdq.flipped(coefs, code), known)
            out[k, code] = wrong + depth
    return out


@kernel
def weighed(values: Floats, known: NDArray[np.uint8]) -> float:
    """Bits of 256 that differ from `known` (32 bytes), each counted by how firmly the picture says it: 128 is chance.

    A coefficient far from the median keeps its bit whatever the guessed part really holds, one near it may fall either way.
    Power falls with the square of the frequency, so that a coefficient is multiplied by its frequency first; what lies above the
    upper quartile counts as that.
    """
    median = pdq.lower_median(values)
    firm = np.empty(256, np.float32)
    for bit in range(256):
        down, across = bit // 16 + 1, bit % 16 + 1
        firm[bit] = abs(values[bit] - median) * np.sqrt(np.float32(down * down + across * across))
    most = np.sort(firm)[191]
    total, wrong = 1e-6, 0.0
    for bit in range(256):
        weight = min(firm[bit], most)
        total += weight
        if (values[bit] > median) != ((known[31 - (bit >> 3)] >> (bit & 7)) & 1 == 1):
            wrong += weight
    return 256 * wrong / total


@kernel
def _weighed_least(source: SampledPicture, frames: Geometry, known: NDArray[np.uint8]) -> float:
    samples, edges, aspect = source
    least = 256.0
    for k in range(frames.shape[0]):
        least = min(least, weighed(sampling.coefficients_of(samples, edges, frames[k], aspect), known))
    return least


@kernel
def _descend(
    source: SampledPicture, known: NDArray[np.uint8], code: int, start: Geometry, rules: tuple[Geometry, Geometry]
) -> tuple[int, Geometry]:
    """Best frame near `start`. Each round tries every move until none helps, then the steps shrink.

    `rules` are steps (rounds, 2): side and angle; and limits: largest side, largest angle, most frames tried.
    """
    steps, limits = rules
    best = start.copy()
    wrong, score = _evaluate(source, best, known, code)
    tried = 1
    for level in range(steps.shape[0]):
        improved = True
        while improved and tried < limits[2]:
            improved = False
            for move in range(2 * MOVES.shape[0]):
                sign = 1.0 - 2.0 * (move & 1)
                there = best.copy()
                for k in range(5):
                    there[k] += sign * MOVES[move >> 1, k] * steps[level, 1 if k == 4 else 0]
                if np.abs(there[:4]).max() > limits[0] or abs(there[4]) > limits[1]:
                    continue
                bits, value = _evaluate(source, there, known, code)
                tried += 1
                if value < score:
                    best, score, wrong, improved = there, value, bits, True
    return wrong, best


def search(plane: Plane, known: bytes, policy: dict[str, Any]) -> RefinedPlace:
    """Smallest distance (bits) of the picture to `known` (32 bytes), the geometry found in words, and the bits weighed
    (`weighed`, 256 where no frame is mostly guessed)."""
    return search_many(plane, [known], policy)[0]


def search_many(plane: Plane, knowns: list[bytes], policy: dict[str, Any]) -> list[RefinedPlace]:
    """`search` for several known hashes of one plane, in the order given."""
    starts, guesses = _places(plane, policy["variants"])
    found = []
    for known in knowns:
        distance, geometry, code, first = _search(starts, known, policy["refinement"])
        target = np.frombuffer(known, np.uint8)
        least = min((_weighed_least(source, frames, target) for source, frames in guesses), default=256.0)
        found.append((distance, words(geometry, code, first), round(least)))
    return found


RefinedPlace = tuple[int, str, int]
"""Distance in bits, geometry in words, weighed bits."""

Start = tuple[str, SampledPicture, Geometry]
"""What was done to the picture first, the source that is left, frames (n, 5) to start from."""


def _places(plane: Plane, policy: dict[str, Any]) -> tuple[list[Start], list[tuple[SampledPicture, Geometry]]]:
    """Every base that the families of variants know, each with its frames; and those frames of which a large part is guessed."""
    source = sampling.base(plane)
    trimmed = variants.trimmed(plane, policy)
    every = families.bases(plane, source, trimmed, policy)
    borders = np.array([geometry for _, geometry in trimmed]).reshape(-1, 5)
    whole = np.concatenate([np.zeros((1, 5)), borders, variants.frames(policy)[1], every[0].frames])
    sampled = [(b.source.samples, b.source.edges, b.source.aspect) for b in every]
    starts = [(b.first, s, whole if k == 0 else b.frames) for k, (b, s) in enumerate(zip(every, sampled, strict=True))]
    return starts, [(s, b.guessed) for b, s in zip(every, sampled, strict=True) if len(b.guessed)]


def _search(places: list[Start], known: bytes, rules: dict[str, Any]) -> tuple[int, Geometry, int, str]:
    """Distance, frame, flip, and what was done first, of the nearest that was found from the best starts of all places."""
    target = np.frombuffer(known, np.uint8)
    steps = np.array(rules["steps"], np.float64) * (0.01, 1.0)
    limits = np.array([rules["side_limit"] / 100, rules["angle_limit"], rules["evaluations"]], np.float64)
    scored = [
        (float(scores[flat]), place, *divmod(int(flat), 8))
        for place, (_, source, frames) in enumerate(places)
        for scores in [_starts(source, frames, target).ravel()]
        for flat in np.argsort(scores, kind="stable")[: rules["starts"]]
    ]
    best: tuple[int, Geometry, int, str] | None = None
    for _, place, frame, code in sorted(scored)[: rules["starts"]]:
        first, source, frames = places[place]
        around = np.maximum(limits, [np.abs(frames[frame][:4]).max() + 0.1, abs(frames[frame][4]) + 2, 0])
        distance, geometry = _descend(source, target, code, frames[frame], (steps, around))
        if best is None or distance < best[0]:
            best = (int(distance), geometry, code, first)
    if best is None:
        raise ValueError("refinement needs at least one start")
    return best


def words(geometry: Geometry, code: int, first: str = "") -> str:
    """A frame and flip as an investigator reads it, sides as the query shows them.

    What the frame adds was cut off the known picture (share of the known picture); what it takes off was added around it (share
    of the query). `first` names what was done to the query before: a frame or bar taken off, a part laid flat.
    """
    left, top, right, bottom, degrees = (float(value) for value in geometry)
    size = (1 + left + right, 1 + top + bottom)
    cut, added = [], []
    for place, (side, share) in enumerate(zip(families.SIDES, (left, top, right, bottom), strict=True)):
        if share >= 0.0075:
            cut.append(f"{100 * share / size[place % 2]:.0f} % at the {side}")
        elif share <= -0.0075:
            added.append(f"{-100 * share:.0f} % at the {side}")
    parts = [first] if first else []
    parts += [packed.FLIPS[code]] if code else []
    if cut:
        parts.append(f"about {_listed(cut)} cut off")
    if added:
        parts.append(f"about {_listed(added)} added around it")
    if abs(degrees) >= 0.4:
        parts.append(f"turned about {abs(degrees):.1f} degrees {'clockwise' if degrees > 0 else 'anticlockwise'}")
    return "known picture" + "".join(f", {part}" for part in parts)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
