"""A validation run: known pictures and videos, their edited copies, hard negatives, exactness; figures with their intervals.

Nothing that is read is stored: the result holds names of edits and numbers only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import UsageError
from pipeline.matching import core, levels
from pipeline.validation import composed, edits, measuring, templates, videos

LEAST_SIDE, LARGEST_SIDE = 200, 1600
SAME = 70
"""Pictures nearer than this in any flip are the same one, and only the first is known."""

VIDEO_NAMES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
COMPANIONS = 16
"""Other pictures that collages, stories and insets are composed with."""

TellProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


@dataclass
class Data:
    """What a folder holds: distinct pictures, videos, and what could not be used by reason."""

    pictures: list[Image.Image] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(folder: Path) -> Data:
    """Pictures and videos of a folder. Raises UsageError when there are fewer than eight distinct pictures."""
    data = Data()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix.lower() in VIDEO_NAMES:
            data.videos.append(path)
            continue
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, ValueError, SyntaxError):
            data.left_out["not a picture that can be read"] += 1
            continue
        if min(upright.size) < LEAST_SIDE:
            data.left_out[f"smaller than {LEAST_SIDE} pixels"] += 1
            continue
        upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        data.pictures.append(upright)
    known = measuring.reference(data.pictures)
    kept = [place for place in measuring.distinct(data.pictures, known, SAME) if known.quality[place] >= 50]
    data.left_out["the same as another, or of too little detail"] += len(data.pictures) - len(kept)
    data.pictures = [data.pictures[place] for place in kept]
    if len(data.pictures) < 8:
        raise UsageError(
            f"The folder has {len(data.pictures)} distinct pictures of enough detail.",
            "A validation needs eight at least.",
        )
    return data


def names(only: Sequence[str] = ()) -> list[str]:
    """Edits in the order of the report, all or those that contain one of some words."""
    every = [*edits.EDITS, *composed.EDITS]
    return [name for name in every if not only or any(word in name for word in only)]


def edited(name: str, picture: Image.Image, place: int, others: Sequence[Image.Image]) -> bytes:
    """The file of a picture under an edit; the same for the same place."""
    random = np.random.default_rng([place, len(name)])
    if name in edits.EDITS:
        return edits.EDITS[name][1](picture, random)
    return composed.EDITS[name][1](picture, random, others)


def measure(
    data: Data, rules: measuring.ValidationRules, every: int, chosen: Sequence[str], step: TellProgress
) -> dict[str, Any]:
    """All figures of a run. Every `every`-th picture is asked about, under each edit; all are known."""
    known = measuring.reference(data.pictures)
    places = range(0, len(data.pictures), every)
    total, done = len(places) * len(chosen), 0
    recall: dict[str, Any] = {}
    queries: Counter[int] = Counter()
    wrong: Counter[str] = Counter()
    nearest, began = 256, time.process_time()
    for name in chosen:
        hits: Counter[str] = Counter()
        for place in places:
            step(name, done, total)
            done += 1
            others = _companions(data.pictures, place)
            asked = measuring.ask(edited(name, data.pictures[place], place, others), known, rules)
            queries.update(asked.queries)
            own = [f for f in asked.found if f.place == place]
            shown = {place, *others.places}
            hits.update([min((f.level for f in own), key=levels.LEVELS.index)] if own else [])
            wrong.update({f.level for f in asked.found if f.place not in shown})
            strange = np.delete(asked.nearest, sorted(shown))
            nearest = min(nearest, int(strange.min()) if len(strange) else 256)
        found = sum(hits.values())
        recall[name] = {"n": len(places), "found": found, **share(found, len(places)), "levels": dict(hits)}
    seconds = time.process_time() - began
    return {
        "pictures_known": len(data.pictures),
        "pictures_asked": len(places),
        "left_out": dict(data.left_out),
        "recall": recall,
        "queries_per_file": {str(r): round(n / max(total, 1), 1) for r, n in sorted(queries.items())},
        "cpu_ms_per_file": round(1000 * seconds / max(total, 1), 1),
        "false_hits": {
            level: {"files": total, "wrong": wrong[level], **rate(wrong[level], total)} for level in levels.LEVELS[1:]
        },
        "nearest_other_picture_bits": nearest,
        "exactness": exactness(known),
    }


class _Others(list[Image.Image]):
    """Companions of a picture, with their places among the known: a collage shows them too, so that they are no false hits."""

    places: tuple[int, ...] = ()


def _companions(pictures: Sequence[Image.Image], place: int) -> _Others:
    chosen = [(place + 1 + k) % len(pictures) for k in range(min(COMPANIONS, len(pictures) - 1))]
    others = _Others(pictures[k] for k in chosen)
    others.places = tuple(chosen)
    return others


def hard_negatives(
    rules: measuring.ValidationRules, series: dict[str, list[Image.Image]], step: TellProgress
) -> dict[str, Any]:
    """False hits by class: different pictures of one template, and pictures of one series against each other."""
    classes = {
        **{f"template: {n}": p for n, p in templates.all_templates().items()},
        **{f"series: {n}": p for n, p in series.items()},
    }
    found: dict[str, Any] = {}
    for number, (name, pictures) in enumerate(classes.items()):
        step(name, number, len(classes))
        known = measuring.reference(pictures)
        pairs = len(pictures) * (len(pictures) - 1)
        hit: Counter[str] = Counter()
        files = 0
        for place, picture in enumerate(pictures):
            asked = measuring.ask(edits.encoded(picture), known, rules)
            wrong = [f.level for f in asked.found if f.place != place]
            hit.update(wrong)
            files += bool(wrong)
        found[name] = {
            "pairs": pairs,
            "files": {"asked": len(pictures), "wrong": files, **rate(files, len(pictures))},
            **{level: {"wrong": hit[level], **rate(hit[level], pairs)} for level in levels.LEVELS[1:]},
        }
    return found


def exactness(known: measuring.KnownSet) -> dict[str, Any]:
    """The matching core (canaries included) against plain comparison, over all pairs of the known hashes, at radii up to the widest asked."""
    ids = np.arange(len(known), dtype=np.int64)
    found = {}
    for radius in (31, 47, 63, 79):
        side = (ids, known.pdq)
        joined = core.join_arrays(side, side, algorithm="pdq", radius=radius, cap=len(known), threads=1).table
        by_core = set(
            zip(
                joined["query_id"].to_pylist(),
                joined["known_id"].to_pylist(),
                joined["distance"].to_pylist(),
                strict=True,
            )
        )
        apart = measuring.bits(known.pdq, known.pdq)
        plain = {(int(a), int(b), int(apart[a, b])) for a, b in np.argwhere(apart <= radius)}
        found[str(radius)] = {"pairs": len(plain), "differences": len(by_core ^ plain)}
    return found


def moving(paths: Sequence[Path], rules: measuring.ValidationRules, step: TellProgress) -> dict[str, Any]:
    """Recall of edited videos: each asked under each edit against the frames of all."""
    known = [videos.known_frames(path, rules) for path in paths]
    usable = [place for place, frames in enumerate(known) if len(frames)]
    table: dict[str, Any] = {}
    for number, name in enumerate(videos.EDITS):
        step(f"video: {name}", number, len(videos.EDITS))
        found = wrong = 0
        for place in usable:
            hits = videos.matched(videos.edited(paths[place], name, place), known, rules)
            found += place in hits
            wrong += bool(hits - {place})
        table[name] = {"n": len(usable), "found": found, **share(found, len(usable)), "wrong": wrong}
    return table


def share(hits: int, n: int) -> dict[str, Any]:
    """Share with its 95 % interval by Wilson (1927)."""
    if n == 0:
        return {"share": None, "low": None, "high": None}
    z, p = 1.96, hits / n
    centre, spread = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n),
    )
    return {
        "share": round(p, 3),
        "low": round(max(0.0, centre - spread), 3),
        "high": round(min(1.0, centre + spread), 3),
    }


def rate(wrong: int, n: int) -> dict[str, Any]:
    """False hits per million, and the upper 95 % bound."""
    interval = share(wrong, n)
    upper = 3e6 / n if n and not wrong else 1e6 * (interval["high"] or 0.0)
    return {"per_million": round(1e6 * wrong / n, 1) if n else None, "upper_95": round(upper, 1) if n else None}


def series_of(folder: Path) -> Iterator[tuple[str, list[Image.Image]]]:
    """Pictures of each subfolder, as a series of one scene; of at most sixteen each."""
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        pictures = []
        for file in sorted(path.iterdir())[:16]:
            try:
                with Image.open(file) as image:
                    pictures.append(ImageOps.exif_transpose(image).convert("RGB"))
            except (OSError, ValueError, SyntaxError):
                continue
            pictures[-1].thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        if len(pictures) > 1:
            yield path.name, pictures
