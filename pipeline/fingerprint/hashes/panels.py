"""Finding pictures inside a picture: captions, screens, collages, stories, a picture laid over another.

What people put together has straight edges that no photograph has: a step that runs level for a long way, and stands out
from the pixels beside it. Measures over the small luma plane give boxes; a wrong box costs a few queries that find nothing.

| measure | finds |
|---|---|
| cuts | edges through the whole width or height, once more inside each part: captions, screens, pairs, collages |
| rectangles | boxes whose sides are edges of any length: a picture laid over another one, stories, posts |
| shaped | boxes of a usual shape between the picture's sides, that begin or end at a cut, stand in the middle or at an end |
| beside | what lies on either side of one cut, whatever others there are |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprint.hashes.kernels import kernel
from pipeline.fingerprint.hashes.planes import median
from pipeline.fingerprint.hashes.slants import Luma
from pipeline.fingerprint.hashes.trimming import Box

PARTS = 12
"""Parts of a line; a cut is a step in at least two thirds of them."""

CLIPPED = np.float32(8.0)
"""Grey levels at which one pixel's step counts in full: a black bar is no stronger evidence than a grey one."""

Scores = NDArray[np.float32]
PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the small plane."""


@kernel
def _profile(luma: Luma) -> Scores:
    """Step of each row from the one above: the mean step that two thirds of the line's parts reach (rows,)."""
    rows, columns = luma.shape
    out, steps = np.zeros(rows, np.float32), np.empty(PARTS, np.float32)
    sums, above = np.empty(PARTS, np.int32), np.empty(PARTS, np.int32)
    for row in range(rows):
        for part in range(PARTS):
            low, high = part * columns // PARTS, (part + 1) * columns // PARTS
            total = np.int32(0)
            for value in luma[row, low:high]:
                total += np.int32(value)
            above[part], sums[part] = sums[part], total
            step = np.float32(abs(total - above[part]) / max(high - low, 1))
            place = part
            while place > 0 and steps[place - 1] > step:  # in order, from the least on
                steps[place] = steps[place - 1]
                place -= 1
            steps[place] = step
        if row > 0:
            out[row] = steps[PARTS // 3]
    return out


def _cuts(luma: Luma, policy: dict[str, Any]) -> list[int]:
    """Rows at which a new picture may begin, strongest first taken, in order."""
    profile = _profile(np.ascontiguousarray(luma))
    rows = len(profile)
    least = max(policy["step"], policy["contrast"] * max(median(profile), 1.0))
    taken: list[int] = []
    for row in np.argsort(-profile, kind="stable"):
        if profile[row] < least or len(taken) >= policy["cuts"]:
            break
        inside = policy["nearest"] * rows <= row <= (1 - policy["nearest"]) * rows
        if inside and all(abs(row - other) > 0.015 * rows for other in taken):
            taken.append(int(row))
    return sorted(taken)


def _tiles(luma: Luma, policy: dict[str, Any], within: PixelBox | None = None) -> list[tuple[int, PixelBox]]:
    """Boxes between cuts, with how unlikely each is: between neighbouring cuts of the whole first, then of its parts."""
    height, width = luma.shape
    left, top, right, bottom = within or (0, 0, width, height)
    found: list[tuple[int, PixelBox]] = []
    for across in (False, True):
        part = luma[top:bottom, left:right]
        part = part.T if across else part
        cuts = [0, *_cuts(part, policy), part.shape[0]] if min(part.shape) >= 24 else []
        pairs = [(i, j) for i in range(len(cuts)) for j in range(i + 1, len(cuts)) if (i, j) != (0, len(cuts) - 1)]
        for i, j in pairs:
            low, high = cuts[i], cuts[j]
            box = (left + low, top, left + high, bottom) if across else (left, top + low, right, top + high)
            found.append((j - i + (2 if within else 0), box))
            if within is None and j - i == 1:
                found += _tiles(luma, policy, box)
    return found


@kernel
def _stand_out(luma: Luma) -> Scores:
    """How far the step across the edge above each pixel exceeds those beside it, clipped to -8 to 8 grey levels.

    The edge may be blurred over one row. Texture scatters around less than nothing, a laid-on edge stays positive.
    """
    rows, columns = luma.shape
    out = np.zeros((rows, columns), np.float32)
    for row in range(3, rows - 2):
        for column in range(columns):
            above, below = np.float32(luma[row - 2, column]), np.float32(luma[row + 1, column])
            beside = max(abs(np.float32(luma[row - 3, column]) - above), abs(np.float32(luma[row + 2, column]) - below))
            value = abs(below - above) - np.float32(1.5) * beside - np.float32(3)
            out[row, column] = max(-CLIPPED, min(CLIPPED, value))
    return out


@kernel
def _longest(scores: Scores) -> Scores:
    """The run of each row whose scores add up to most (Kadane): (rows, 2) length and sum."""
    rows, columns = scores.shape
    out = np.zeros((rows, 2), np.float32)
    for row in range(rows):
        total, start = np.float32(0), 0
        for column in range(columns):
            if total <= 0:
                total, start = np.float32(0), column
            total += scores[row, column]
            if total > out[row, 1]:
                out[row, 0], out[row, 1] = column + 1 - start, total
    return out


def _lines(scores: Scores, policy: dict[str, Any]) -> list[int]:
    """Rows with the strongest edges that are long enough, no two of them neighbours."""
    runs = _longest(scores)
    strength = np.where(runs[:, 0] >= policy["smallest"] * scores.shape[1], runs[:, 1], 0)
    taken: list[int] = []
    for row in np.argsort(-strength, kind="stable"):
        if strength[row] <= 0 or len(taken) >= policy["lines"]:
            break
        if all(abs(row - other) > 2 for other in taken):
            taken.append(int(row))
    return taken


@kernel
def _mean(sums: Scores, line: int, low: int, high: int) -> Any:
    return (sums[line, high] - sums[line, low]) / (high - low)


@kernel
def _search(
    across: NDArray[np.int64], down: NDArray[np.int64], sums: tuple[Scores, Scores], least: Any, keep: int
) -> Any:
    """The best boxes between lines: float32 (keep, 5) left, top, right, bottom, value (0: none).

    `sums` run along the rows and along the columns. A side on the picture's own edge needs no evidence; two sides have to.
    """
    along_rows, along_columns = sums
    rows, columns = along_rows.shape[0], along_columns.shape[0]
    best = np.zeros((keep, 5), np.float32)
    for top in across:
        for bottom in across:
            if bottom - top < least * rows:
                continue
            for left in down:
                for right in down:
                    if right - left < least * columns:
                        continue
                    low, total, real = np.float32(99), np.float32(0), 0
                    for side in range(4):
                        line = (left, top, right, bottom)[side]
                        if line == (0, 0, columns, rows)[side]:
                            continue
                        if side % 2:
                            mean = _mean(along_rows, line, left, right)
                        else:
                            mean = _mean(along_columns, line, top, bottom)
                        low, total, real = min(low, mean), total + mean, real + 1
                    if real >= 2 and low >= -1:
                        _keep(best, (left, top, right, bottom), low + total / 4 + np.float32(0.5) * real)
    return best


@kernel
def _keep(best: Scores, box: Any, value: Any) -> None:
    """Keep a box among the best; of boxes within four pixels of each other only the better one."""
    place, worst = -1, 0
    for k in range(best.shape[0]):
        near = best[k, 4] > 0
        for side in range(4):
            near = near and abs(best[k, side] - box[side]) <= 4
        if near:
            place = k
        if best[k, 4] < best[worst, 4]:
            worst = k
    place = worst if place < 0 else place
    if value > best[place, 4]:
        for side in range(4):
            best[place, side] = box[side]
        best[place, 4] = value


def _rectangles(luma: Luma, policy: dict[str, Any]) -> list[PixelBox]:
    """Boxes whose sides stand out, the best first."""
    height, width = luma.shape
    rows, columns = _stand_out(np.ascontiguousarray(luma)), _stand_out(np.ascontiguousarray(luma.T))
    across = np.array([0, *_lines(rows, policy), height])
    down = np.array([0, *_lines(columns, policy), width])
    sums = [np.zeros((len(s), s.shape[1] + 1), np.float32) for s in (rows, columns)]
    for total, scores, lines in zip(sums, (rows, columns), (across[1:-1], down[1:-1]), strict=True):
        total[lines, 1:] = np.cumsum(scores[lines], axis=1)  # no other line is asked about
    best = _search(across, down, (sums[0], sums[1]), policy["smallest"], policy["rectangles"])
    order = np.argsort(-best[:, 4], kind="stable")
    return [(int(b[0]), int(b[1]), int(b[2]), int(b[3])) for b in best[order] if b[4] > 0]


def boxes(luma: Luma, policy: dict[str, Any], known: list[Box]) -> list[Box]:
    """Boxes that may hold a picture of their own, likeliest first, at most `most`; none that is near one of `known`.

    `luma` is the small plane (uint8), `policy` the `panels` of policy/fingerprint.yaml.
    """
    height, width = luma.shape
    tiles = sorted(_tiles(luma, policy), key=lambda tile: (tile[0], -_area(tile[1])))
    chosen: list[Box] = []
    for places, most in (
        ([place for _, place in tiles], policy["tiles"]),
        (_rectangles(luma, policy), policy["rectangles"]),
    ):
        room = len(chosen) + most
        for left, top, right, bottom in places:
            box = (left / width, top / height, 1 - right / width, 1 - bottom / height)
            large = right - left >= policy["smallest"] * width and bottom - top >= policy["smallest"] * height
            if large and len(chosen) < room and all(differs(box, other) for other in (*known, *chosen)):
                chosen.append(box)
    return chosen


def shaped(luma: Luma, aspect: float, policy: dict[str, Any], known: list[Box]) -> list[Box]:
    """Boxes as wide (or as high) as the picture and of a usual shape, where only one of their two seams is seen, or none.

    First those at the picture's ends, whatever seams are seen: a caption of the picture's own colour or another picture has the rest.

    `aspect` is the whole picture's width / height, `policy` the `shaped` of policy/fingerprint.yaml.
    """
    chosen: list[Box] = []
    ends = [box for box in _ends(aspect, policy) if not _among(box, known)]
    for down in (True, False):
        lines = luma if down else np.ascontiguousarray(luma.T)
        cuts = [cut / lines.shape[0] for cut in _cuts(lines, policy)]
        for share in _shares(aspect, down, policy):
            for start in ((1 - share) / 2, *cuts, *(cut - share for cut in cuts)):
                end = 1 - start - share
                box = (0.0, start, 0.0, end) if down else (start, 0.0, end, 0.0)
                inside = min(start, end) > -0.004
                if inside and len(chosen) < policy["most"] and all(differs(box, other) for other in (*known, *chosen)):
                    chosen.append(box)
    return [*ends, *chosen]


def _shares(aspect: float, down: bool, policy: dict[str, Any]) -> Iterator[float]:
    """Share of the picture's height (`down`) or width that a box of each usual shape has that is as wide, or as high, as the picture."""
    for wide, high in policy["sides"]:
        share = aspect * high / wide if down else wide / high / aspect
        if policy["smallest"] <= share <= policy["largest"]:
            yield share


def _ends(aspect: float, policy: dict[str, Any]) -> Iterator[Box]:
    """Boxes of usual shapes at both ends of the picture: a caption was added at the other one, or another picture."""
    for down in (True, False):
        for share in _shares(aspect, down, policy):
            yield from _at_ends(share, down)


def _at_ends(share: float, down: bool) -> tuple[Box, Box]:
    """The first and the last `share` of the picture's height (`down`) or width."""
    rest = 1 - share
    return ((0.0, 0.0, 0.0, rest), (0.0, rest, 0.0, 0.0)) if down else ((0.0, 0.0, rest, 0.0), (rest, 0.0, 0.0, 0.0))


def beside(luma: Luma, policy: dict[str, Any], borders: list[Box], known: list[Box]) -> list[Box]:
    """What lies on either side of one seam through the whole picture: it without a caption at one end, or one of two pictures.

    Seams are the cuts, whatever others stand beside them, and each bar of the `borders` alone: plain ground at the picture's other
    end (a night sky, a white page) is the picture's own. None that is one of `known`; `policy` as for `boxes`.
    """
    found: list[Box] = []
    for border in borders:
        for place, share in enumerate(border):
            left, top, right, bottom = (share if k == place else 0.0 for k in range(4))
            found += [(left, top, right, bottom)] if share > 0 else []
    for down in (True, False):
        lines = luma if down else np.ascontiguousarray(luma.T)
        for cut in _cuts(lines, policy):
            before, after = _at_ends(cut / len(lines), down)[0], _at_ends(1 - cut / len(lines), down)[1]
            found += [before, after]
    chosen: list[Box] = []
    for box in found:
        if 1 - max(box) >= policy["smallest"] and not _among(box, [*known, *chosen]):
            chosen.append(box)
    return chosen


def _among(box: Box, others: list[Box]) -> bool:
    return any(not differs(box, other, 0.0005) for other in others)


def _area(place: PixelBox) -> int:
    return (place[2] - place[0]) * (place[3] - place[1])


def differs(box: Box, other: Box, by: float = 0.012) -> bool:
    """Written out: asked of many pairs, most of which differ in the first side."""
    return (
        abs(box[0] - other[0]) > by
        or abs(box[1] - other[1]) > by
        or abs(box[2] - other[2]) > by
        or abs(box[3] - other[3]) > by
    )
