"""Recall of altered copies, per edit and level, and false hits: plain hashes, the grid of before, and the families.

    TRIAGE_CORPORA=... python -m bench.recall             # every photograph, about an hour of one core
    TRIAGE_CORPORA=... python -m bench.recall --processes 2
    TRIAGE_CORPORA=... python -m bench.recall --every 5   # a sample: each fifth photograph is asked about, all are known

Known set: every distinct photograph of the corpora with PDQ quality 50 or more (hashed with pdqhash and imagehash at full decode, as
other tools would have), 1,000,000 random hashes with 128 set bits, and 12,914 real PDQ hashes of video frames.
Queries: each photograph under each edit of pipeline/validation (plain, composed and combined), encoded to a file and hashed as the
worker does; videos that are made from photographs, under the edits of pipeline/validation/videos.py; drawn templates and series
as hard negatives. A hit on any known hash but those that the file shows is a false hit. What a query costs at 10 million
known hashes is measured in the same run. Writes bench/results/recall.json, docs/recall.svg and the table in docs/recall.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track

from bench import recall_asking, recall_series
from bench.common import machine, save, versions
from bench.recall_report import BARS, write_docs
from pipeline import policy
from pipeline.fingerprint.hashes import picture
from pipeline.matching import levels
from pipeline.matching.core import build_index, join, join_arrays, open_index
from pipeline.settings import Settings
from pipeline.validation import composed, edits, measuring, videos
from pipeline.validation import run as runs

Codes = NDArray[np.uint8]
Rows = list[recall_asking.AskedFile]
RADIUS = 31
"""The publishers' radius."""

FARTHEST = 79
"""Radius up to which plain hashes are asked for their nearest false hit."""

SAME = 70
"""Photographs nearer than this in any flip are the same picture, and only the first is kept."""

OTHERS, NATIONAL = 1_000_000, 10_000_000
"""Random known hashes for false hits, and for what a query costs."""

LISTED = 50
"""Files with a false candidate that the result names, by their photograph's place."""

FILMS, SHOTS = 12, 3
"""Videos made, and photographs that each pans over, four seconds each."""


def photographs(corpora: Path) -> list[Image.Image]:
    """Distinct photographs of the corpora, upright RGB."""
    found = []
    for path in sorted((corpora / "photos").rglob("*")):
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except OSError:
            continue  # folders, and the two files of the corpora that are broken on purpose
        if min(upright.size) >= runs.LEAST_SIDE:
            upright.thumbnail((runs.LARGEST_SIDE, runs.LARGEST_SIDE))
            found.append(upright)
    known = measuring.reference(found)
    return [found[k] for k in measuring.distinct(found, known, SAME) if known.quality[k] >= 50]


def random_codes(count: int) -> Codes:
    """Random hashes with exactly 128 set bits, as PDQ's median rule makes them: (count, 32)."""
    random = np.random.default_rng(20)
    rows = [np.argsort(random.random((10_000, 256)), axis=1) < 128 for _ in range(count // 10_000)]
    return np.concatenate([np.packbits(row, axis=1) for row in rows])


def video_frames(corpora: Path) -> tuple[Codes, list[int]]:
    """Distinct PDQ hashes of the published video frames (n, 32), and the best quality that is stated of each."""
    stated: dict[str, int] = {}
    for file in sorted((corpora / "vectors" / "vpdq_frames").glob("*.txt")):
        for line in file.read_text().split():
            if line.count(",") == 3:
                _, quality, code, _ = line.split(",")
                stated[code] = max(int(quality), stated.get(code, 0))
    distinct = sorted(stated)
    return np.array([np.frombuffer(bytes.fromhex(c), np.uint8) for c in distinct]), [stated[c] for c in distinct]


_everything: tuple[Any, ...] = ()
"""Photographs, what is known of them, and the rules: processes that are started by a fork have them."""


def _ask(task: tuple[str, int]) -> tuple[recall_asking.AskedFile, float]:
    began = time.process_time()
    return recall_asking.ask(*task, *_everything), time.process_time() - began


def asked_by(processes: int, tasks: list[tuple[str, int]], everything: tuple[Any, ...]) -> tuple[Rows, float]:
    """Every edited file asked about, in the order of the tasks, and the CPU seconds that other processes spent on it."""
    global _everything  # noqa: PLW0603 - what a fork hands on
    _everything = everything
    if processes == 1:
        return [_ask(task)[0] for task in track(tasks, "asking")], 0.0
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        found = list(track(pool.imap(_ask, tasks, chunksize=8), "asking", total=len(tasks)))
    return [row for row, _ in found], sum(seconds for _, seconds in found)


def _numbered(codes: Codes) -> tuple[NDArray[np.int64], Codes]:
    return np.arange(len(codes), dtype=np.int64), codes


def false_hits(rows: Rows, others: Codes, quality: list[int]) -> dict[str, Any]:
    """Every query of every file against the other known hashes through the matching core, each family at its own radius.

    `quality` is that of the last known hashes, which are of frames; the others are random.
    """
    files: dict[str, set[int]] = {}
    found: dict[int, dict[str, Any]] = {}
    asked: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "index"
        build_index([_numbered(others)], target, algorithm="pdq", hasher_version="bench", release="1")
        index = open_index(target)
        for radius in sorted({r for row in rows for r, _, _ in row.codes}):
            parts = [(n, f, c) for n, row in enumerate(rows) for r, f, c in row.codes if r == radius]
            codes = np.concatenate([c for _, _, c in parts])
            owner = np.repeat([n for n, _, _ in parts], [len(c) for _, _, c in parts])
            family = np.repeat([f for _, f, _ in parts], [len(c) for _, _, c in parts])
            asked.update(family.tolist())
            table = join(index, codes, np.arange(len(codes), dtype=np.int64), radius=radius, cap=10, threads=1).table
            columns = (table[name].to_pylist() for name in ("query_id", "known_id", "distance"))
            for place, known, distance in zip(*columns, strict=True):
                file = int(owner[place])
                files.setdefault(str(family[place]), set()).add(file)
                frame = known - (len(others) - len(quality))
                one = {
                    "photograph": rows[file].place,
                    "edit": rows[file].edit,
                    "family": str(family[place]),
                    "bits": distance,
                    "quality_of_known": quality[frame] if frame >= 0 else None,
                }
                found[file] = min(one, found.get(file, one), key=lambda hit: hit["bits"])
    wrong = len(set().union(*files.values())) if files else 0
    return {
        "known_hashes": len(others),
        "query_files": len(rows),
        "query_hashes": sum(asked.values()),
        "files_with_a_false_candidate": wrong,
        "nearest_false_candidates": [found[file] for file in sorted(found)][:LISTED],
        "files_wrong_by_level": {level: sum(level in row.wrong for row in rows) for level in levels.LEVELS[1:]},
        "per_family": {
            str(name): {"queries_per_file": round(count / len(rows), 1), "files_wrong": len(files.get(str(name), ()))}
            for name, count in sorted(asked.items())
        },
        **runs.rate(wrong, len(rows)),
    }


def prices(radii: list[int]) -> dict[str, float]:
    """CPU microseconds of one query at each radius, against ten million uniform random known hashes."""
    random = np.random.default_rng(5)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "index"
        known = random.integers(0, 256, (NATIONAL, 32), np.uint8)
        build_index([_numbered(known)], target, algorithm="pdq", hasher_version="bench", release="1")
        index = open_index(target)
        every = random.integers(0, 256, (20_000, 32), np.uint8)
        for radius in radii:
            ids, codes = _numbered(every if radius <= recall_asking.WIDE else every[:2_000])
            join(index, codes[:100], ids[:100], radius=radius, cap=10, threads=1)
            began = time.process_time()
            join(index, codes, ids, radius=radius, cap=10, threads=1)
            found[str(radius)] = round(1e6 * (time.process_time() - began) / len(codes), 2)
    return found


def widest(rows: Rows, others: Codes) -> dict[str, int]:
    """Largest radius of each plain method at which no query has a false hit, all queries and known hashes considered."""
    found = {}
    for name, place, near in (("pdq", 0, "plain"), ("phash256", 1, "phash")):
        asked = np.array([np.frombuffer(row.plain_codes[place], np.uint8) for row in rows])
        known = others if name == "pdq" else others[:OTHERS]  # the video frames are published as PDQ only
        pairs = join_arrays(_numbered(known), _numbered(asked), algorithm=name, radius=FARTHEST, cap=1, threads=1).table
        nearest = min([FARTHEST + 1, *pairs.column("distance").to_pylist()])
        found[name] = min(nearest, *(row.others[near] for row in rows)) - 1
    return found


def summary(rows: Rows, limits: dict[str, Any], same_rate: dict[str, int]) -> dict[str, Any]:
    """Recall per edit, for each method, with the interval of ours and its levels."""
    table = {}
    for name in runs.names():
        of_edit = [row for row in rows if row.edit == name]
        n = len(of_edit)
        found = sum(row.found(limits) for row in of_edit)
        kind = (edits.EDITS.get(name) or composed.EDITS[name])[0]
        table[name] = {
            "class": kind,
            "n": n,
            "pdq_31": round(sum(row.plain <= RADIUS for row in of_edit) / n, 3),
            "phash256_31": round(sum(row.phash <= RADIUS for row in of_edit) / n, 3),
            "pdq_widest": round(sum(row.plain <= same_rate["pdq"] for row in of_edit) / n, 3),
            "before": round(sum(row.found_before(limits) for row in of_edit) / n, 3),
            "variants_31": round(sum(min(row.plain, row.families) <= RADIUS for row in of_edit) / n, 3),
            "ours": round(found / n, 3),
            **{bound: runs.share(found, n)[bound] for bound in ("low", "high")},
            "levels": {level: sum(row.level == level for row in of_edit) for level in levels.LEVELS[1:]},
        }
    return table


def costs(rows: Rows, price: dict[str, float]) -> dict[str, Any]:
    """Queries of a file by radius, their price at ten million known, and what hashing costs."""
    radii: Counter[str] = Counter()
    for row in rows:
        radii.update(row.queries)
    per_file = {radius: count / len(rows) for radius, count in radii.items()}
    return {
        "queries_per_file": {radius: round(per_file[radius], 1) for radius in sorted(per_file, key=int)},
        "microseconds_of_a_query_at_10_million": price,
        "matching_ms_per_file_at_10_million": round(sum(price[r] * n for r, n in per_file.items()) / 1000, 2),
        "matching_ms_per_file_before": round(177 * price["47"] / 1000, 2),
        "hashing_ms_per_file": round(float(np.mean([row.hash_ms for row in rows])), 2),
    }


def won_alone(rows: Rows, limits: dict[str, Any]) -> dict[str, int]:
    """Files found by a family and not as they are: how often each family was the nearest within its radius."""
    plain = limits["algorithms"]["pdq"]["radius"]
    return dict(Counter(row.family for row in rows if row.family and row.plain > plain).most_common())


def margins(rows: Rows) -> dict[str, Any]:
    """How near the nearest other photograph comes, over all queries, for each method; refined: those probed."""
    probes = [distance for row in rows for distance in row.refined_others]
    return {
        "plain_pdq": min(row.others["plain"] for row in rows),
        "plain_phash256": min(row.others["phash"] for row in rows),
        "variants": min(row.others["variant"] for row in rows),
        "refined_pairs": len(probes),
        "refined": min(probes),
        "refined_median": float(np.median(probes)),
        "weighed_pairs": sum(len(row.weighed_others) for row in rows),
        "weighed": min(distance for row in rows for distance in row.weighed_others),
    }


def films(pictures: list[Image.Image], folder: Path) -> Iterator[Path]:
    """Videos that pan and zoom over photographs, no photograph in two of them."""
    for film in range(FILMS):
        chosen = pictures[film::FILMS][:SHOTS]
        path = folder / f"film-{film}.mp4"
        path.write_bytes(videos.panned(chosen))
        yield path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    every = given.every
    if "TRIAGE_CORPORA" not in os.environ:
        sys.exit("TRIAGE_CORPORA is not set: this bench needs the real test files.")
    corpora = Path(os.environ["TRIAGE_CORPORA"])
    loaded = {name: policy.load(Settings(), name).data for name in ("fingerprint", "matching")}
    rules = measuring.ValidationRules(loaded["fingerprint"], loaded["matching"])
    limits = rules.matching
    began = time.process_time()
    picture.prepare(rules.fingerprint)
    pictures = photographs(corpora)
    known = measuring.reference(pictures)
    tasks = [(name, place) for place in range(0, len(pictures), every) for name in runs.names()]
    rows, spent = asked_by(given.processes, tasks, (pictures, known, rules))
    frames, quality = video_frames(corpora)
    others = np.concatenate([random_codes(OTHERS), frames])
    same_rate = widest(rows, others)
    quiet = lambda *_: None  # noqa: E731 - a step that says nothing
    with tempfile.TemporaryDirectory() as folder:
        moving = runs.moving(list(films(pictures, Path(folder))), rules, quiet)
    real = corpora / "vectors" / "vpdq_frames"
    negatives = runs.hard_negatives(rules, recall_series.standpoints(pictures), quiet) | recall_series.neighbours(real)
    recall = summary(rows, limits, same_rate)
    result = {
        "machine": machine(),
        "versions": versions("pillow", "imagehash", "pdqhash", "numpy"),
        "made": time.strftime("%-d %B %Y", time.gmtime()),
        "photographs_known": len(pictures),
        "photographs": len({place for _, place in tasks}),
        "recall": recall,
        "below_their_bar": {n: r["ours"] for n, r in recall.items() if r["ours"] < BARS.get(n, bar(n, r["class"]))},
        "less_than_before": {n: [r["before"], r["ours"]] for n, r in recall.items() if r["ours"] < r["before"]},
        "widest_radius_without_false_hit": same_rate,
        "false_hits": false_hits(rows, others, quality),
        "nearest_other_photograph": margins(rows),
        "cost": costs(rows, prices(sorted({int(r) for row in rows for r in row.queries}))),
        "nearest_by_family": won_alone(rows, limits),
        "videos": moving,
        "real_videos": recall_series.versions(real),
        "hard_negatives": negatives,
        "cpu_minutes": round((spent + time.process_time() - began) / 60, 1),
    }
    save("recall", result)
    write_docs(result)
    for key in ("photographs", "false_hits", "nearest_other_photograph", "cost", "below_their_bar", "less_than_before"):
        print(f"{key}: {result[key]}")


def bar(name: str, kind: str) -> float:
    """Least recall asked of a plain edit; 0 where none was."""
    number = next((float(word) for word in name.split() if word.replace(".", "").isdigit()), 0.0)
    if kind in ("colour", "flip") or (kind == "border" and number <= 20):
        return 0.95
    if kind == "crop" and "each side" not in name and number <= 10:
        return 0.95 if number <= 5 else 0.85
    return 0.8 if kind == "turn" and number <= 4 else 0.0


if __name__ == "__main__":
    main()
