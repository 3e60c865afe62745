"""Recall of altered copies, per edit, and false hits: plain PDQ, plain pHash 256, and PDQ with variants and refinement.

    TRIAGE_CORPORA=... python -m bench.recall             # every photograph, about fifteen CPU minutes
    TRIAGE_CORPORA=... python -m bench.recall --every 8   # a sample: each eighth photograph is asked about, all are known

Known set: every distinct photograph of the corpora with PDQ quality 50 or more (hashed with pdqhash and imagehash at full decode, as
other tools would have), 1,000,000 random hashes with 128 set bits, and 12,914 real PDQ hashes of video frames.
Queries: each photograph under each edit of pipeline/validation/edits.py, encoded to a file and hashed as the worker does. A hit on any
known hash but the photograph's own is a false hit. "Ours" is what the night's run calls a match with the thresholds of
policy/matching.yaml; the plain methods are also given the widest radius at which they, too, have no false hit here.
Writes bench/results/recall.json, docs/recall.svg and the table in docs/recall.md.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track

from bench.common import machine, save, versions
from bench.recall_report import write_docs
from pipeline import policy
from pipeline.fingerprint.hashes import pdq, picture
from pipeline.settings import Settings
from pipeline.validation.edits import EDITS

Codes = NDArray[np.uint8]
RADIUS, WIDE = 31, 47
"""The publishers' radius, and that of candidates for refinement; the product's are read from policy/matching.yaml."""

FARTHEST = 79
"""Radius up to which plain hashes are asked for their nearest false hit."""

SAME = 70
"""Photographs nearer than this in any flip are the same picture, and only the first is kept."""

OTHERS = 1_000_000
PROBES = 3
"""Nearest other photographs that each photograph is refined against, to see how near a wrong one can be brought."""

Rules = dict[str, Any]


def photographs(corpora: Path) -> Iterator[tuple[Image.Image, bytes, bytes]]:
    """Distinct photographs of the corpora: upright RGB, reference PDQ, imagehash pHash 256."""
    seen: list[bytes] = []
    for path in sorted((corpora / "photos").rglob("*")):
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except OSError:
            continue  # folders, and the two files of the corpora that are broken on purpose
        flips, quality = pdqhash.compute_dihedral(np.asarray(upright))
        codes = [np.packbits(bits).tobytes() for bits in flips]
        if min(upright.size) < 200 or quality < 50:
            continue
        if any(pdq.distance(code, other) < SAME for code in codes for other in seen):
            continue
        seen.append(codes[0])
        yield upright, codes[0], np.packbits(imagehash.phash(upright, 16).hash).tobytes()


def random_codes(count: int) -> Codes:
    """Random hashes with exactly 128 set bits, as PDQ's median rule makes them: (count, 32)."""
    random = np.random.default_rng(20)
    rows = [np.argsort(random.random((10_000, 256)), axis=1) < 128 for _ in range(count // 10_000)]
    return np.concatenate([np.packbits(row, axis=1) for row in rows])


def video_codes(corpora: Path) -> Codes:
    """PDQ hashes of the published video frames: (n, 32)."""
    lines = [
        line for f in sorted((corpora / "vectors" / "vpdq_frames").glob("*.txt")) for line in f.read_text().split()
    ]
    distinct = sorted({line.split(",")[2] for line in lines if line.count(",") == 3})
    return np.array([np.frombuffer(bytes.fromhex(code), np.uint8) for code in distinct])


def bits(codes: Codes, others: Codes) -> NDArray[np.int64]:
    """Distances (n, m) of two sets of hashes."""
    left, right = codes.view(np.uint64), others.view(np.uint64)
    return np.bitwise_count(left[:, None, :] ^ right[None, :, :]).sum(axis=2).astype(np.int64)


def ask(place: int, *, pictures: list[Image.Image], known: Codes, knowns_phash: Codes, rules: Rules) -> list[Rules]:
    """One photograph under every edit: distances to itself and to the nearest other photograph, and the query hashes."""
    rows = []
    others = np.delete(np.arange(len(known)), place)
    for name, (_, edit) in EDITS.items():
        data = edit(pictures[place], np.random.default_rng([place, len(name)]))
        with Image.open(io.BytesIO(data)) as image:
            found = picture.hash_picture(image, rules, variants=True)
        usable = [code for _, code, quality in found.variants if quality >= rules["quality"]["low_information_below"]]
        codes = np.frombuffer(b"".join([found.pdq, *usable]), np.uint8).reshape(-1, 32)
        far = bits(codes, known)
        phash = bits(np.frombuffer(found.phash256, np.uint8).reshape(1, 32), knowns_phash)[0]
        row = {
            "edit": name,
            "plain": int(far[0, place]),
            "phash": int(phash[place]),
            "variant": int(far[:, place].min()),
            "plain_other": int(far[0, others].min()),
            "phash_other": int(phash[others].min()),
            "variant_other": int(far[:, others].min()),
            "codes": codes,
            "phash256": found.phash256,
        }
        if RADIUS < row["variant"] <= WIDE:
            with Image.open(io.BytesIO(data)) as image:
                row["refined"] = picture.refine_picture(image, known[place].tobytes(), rules).distance
        if name == "JPEG quality 90" or (place % 4 == 0 and name in ("crop 10 % corner", "turned 4 degrees")):
            nearest = others[np.argsort(far[:, others].min(axis=0), kind="stable")[:PROBES]]
            with Image.open(io.BytesIO(data)) as image:
                probes = picture.refine_many(image, [known[k].tobytes() for k in nearest], rules)
            row["refined_others"] = [probe.distance for probe in probes]
        rows.append(row)
    return rows


_SHARED: list[Callable[[int], list[Rules]]] = []
"""What the forked processes inherit: sent with each task, the photographs would be copied every time."""


def ask_shared(place: int) -> list[Rules]:
    return _SHARED[0](place)


def false_hits(rows: list[list[Rules]], every: int, known: Codes, others: Codes) -> dict[str, Any]:
    """Every query hash of every edit against all known hashes through the matching core, at the wide radius."""
    from pipeline.matching.core import build_index, join, open_index

    stored = np.concatenate([known, others])
    asked = [(place * every, row["codes"]) for place, group in enumerate(rows) for row in group]
    owner = np.concatenate([np.full(len(codes), place, np.int64) for place, codes in asked])
    query = np.concatenate([np.full(len(codes), number, np.int64) for number, (_, codes) in enumerate(asked)])
    codes = np.concatenate([codes for _, codes in asked])
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "index"
        batches = [(np.arange(len(stored), dtype=np.int64), stored)]
        build_index(batches, target, algorithm="pdq", hasher_version="bench", release="1")
        start = time.process_time()
        found = join(open_index(target), codes, np.arange(len(codes), dtype=np.int64), radius=WIDE, cap=100, threads=2)
        seconds = time.process_time() - start
    query_ids = found.table.column("query_id").to_numpy()
    wrong = found.table.column("known_id").to_numpy() != owner[query_ids]
    distance = found.table.column("distance").to_numpy()[wrong]
    files = len(asked)
    return {
        "known_hashes": len(stored),
        "query_hashes": len(codes),
        "query_files": files,
        "files_with_false_candidate_at_47": len(np.unique(query[query_ids[wrong]])),
        "files_with_false_hit_at_31": len(np.unique(query[query_ids[wrong]][distance <= RADIUS])),
        "false_hits_per_million_files_at_47": round(1e6 * len(np.unique(query[query_ids[wrong]])) / files, 1),
        "upper_bound_95_per_million_if_none": round(3e6 / files, 1),
        "matching_cpu_seconds": round(seconds, 1),
    }


def widest(rows: list[list[Rules]], others: Codes) -> dict[str, int]:
    """Largest radius of each plain method at which no query has a false hit, all queries and known hashes considered."""
    from pipeline.matching.core import join_arrays

    every = [row for group in rows for row in group]
    codes = {
        "pdq": np.array([row["codes"][0] for row in every]),
        "phash256": np.array([np.frombuffer(row["phash256"], np.uint8) for row in every]),
    }
    near = {"pdq": "plain_other", "phash256": "phash_other"}
    found = {}
    for name, asked in codes.items():
        known = others if name == "pdq" else others[:OTHERS]  # the video frames are published as PDQ only
        sides = [(np.arange(len(side), dtype=np.int64), side) for side in (known, asked)]
        pairs = join_arrays(*sides, algorithm=name, radius=FARTHEST, cap=1, threads=2).table
        nearest = min([FARTHEST + 1, *pairs.column("distance").to_pylist()])
        found[name] = min(nearest, *(row[near[name]] for row in every)) - 1
    return found


def ours(row: Rules, limits: Rules) -> bool:
    """Whether the night's run would call this copy a match, by the thresholds of policy/matching.yaml."""
    plain = limits["algorithms"]
    return bool(
        row["plain"] <= plain["pdq"]["radius"]
        or row["phash"] <= plain["phash256"]["radius"]
        or row["variant"] <= limits["variants"]["radius"]
        or row.get("refined", 256) <= limits["refinement"]["radius"]
    )


def summary(rows: list[list[Rules]], limits: Rules, same_rate: dict[str, int]) -> dict[str, Any]:
    """Recall per edit, for each method."""
    table = {}
    for number, (name, (kind, _)) in enumerate(EDITS.items()):
        of_edit = [group[number] for group in rows]
        refined = np.array([row.get("refined", row["variant"]) for row in of_edit])
        value = {key: np.array([row[key] for row in of_edit]) for key in ("plain", "phash", "variant")}
        table[name] = {
            "class": kind,
            "pdq_31": share(value["plain"] <= RADIUS),
            "pdq_47": share(value["plain"] <= WIDE),
            "pdq_widest": share(value["plain"] <= same_rate["pdq"]),
            "phash256_31": share(value["phash"] <= RADIUS),
            "phash256_47": share(value["phash"] <= WIDE),
            "phash256_widest": share(value["phash"] <= same_rate["phash256"]),
            "variants_31": share(value["variant"] <= RADIUS),
            "refined_31": share(refined <= RADIUS),
            "refined_39": share(refined <= 39),
            "candidates_47": share(value["variant"] <= WIDE),
            "ours": share(np.array([ours(row, limits) for row in of_edit])),
        }
    return table


def missed_bars(table: dict[str, Any]) -> dict[str, float]:
    """Edits whose recall is below the bar that was set for them."""
    return {name: row["ours"] for name, row in table.items() if row["ours"] < bar(name, row["class"])}


def bar(name: str, kind: str) -> float:
    """Least recall asked of an edit; 0 where none was."""
    number = next((float(word) for word in name.split() if word.replace(".", "").isdigit()), 0.0)
    if kind in ("colour", "flip") or (kind == "border" and number <= 20):
        return 0.95
    if kind == "crop" and "each side" not in name and number <= 10:
        return 0.95 if number <= 5 else 0.85
    return 0.8 if kind == "turn" and number <= 4 else 0.0


def share(hits: NDArray[np.bool_]) -> float:
    return round(float(hits.mean()), 3)


def margins(rows: list[list[Rules]]) -> dict[str, Any]:
    """How near the nearest other photograph comes, over all queries, for each method; refined: those probed."""
    every = [row for group in rows for row in group]
    probes = [distance for row in every for distance in row.get("refined_others", [])]
    return {
        "plain_pdq": min(row["plain_other"] for row in every),
        "plain_phash256": min(row["phash_other"] for row in every),
        "variants": min(row["variant_other"] for row in every),
        "refined_pairs": len(probes),
        "refined": min(probes),
        "refined_percentile_1": float(np.percentile(probes, 1)),
        "refined_median": float(np.median(probes)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    every = parser.parse_args().every
    if "TRIAGE_CORPORA" not in os.environ:
        sys.exit("TRIAGE_CORPORA is not set: this bench needs the real test files.")
    corpora = Path(os.environ["TRIAGE_CORPORA"])
    rules = policy.load(Settings(), "fingerprint").data
    limits = policy.load(Settings(), "matching").data
    picture.prepare(rules)
    found = list(photographs(corpora))
    known = np.array([np.frombuffer(code, np.uint8) for _, code, _ in found])
    knowns_phash = np.array([np.frombuffer(code, np.uint8) for _, _, code in found])
    work = partial(ask, pictures=[p for p, _, _ in found], known=known, knowns_phash=knowns_phash, rules=rules)
    places = range(0, len(found), every)
    _SHARED.append(work)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        rows = list(track(pool.imap(ask_shared, places), "asking", len(places)))
    others = np.concatenate([random_codes(OTHERS), video_codes(corpora)])
    same_rate = widest(rows, others)
    table = summary(rows, limits, same_rate)
    result = {
        "machine": machine(),
        "versions": versions("pillow", "imagehash", "pdqhash", "numpy"),
        "photographs_known": len(found),
        "photographs": len(rows),
        "recall": table,
        "below_their_bar": missed_bars(table),
        "widest_radius_without_false_hit": same_rate,
        "thresholds": {
            "plain": limits["algorithms"]["pdq"]["radius"],
            "variant": limits["variants"]["radius"],
            "candidate": limits["algorithms"]["pdq"]["wide_radius"],
            "refined": limits["refinement"]["radius"],
        },
        "false_hits": false_hits(rows, every, known, others),
        "nearest_other_photograph": margins(rows),
    }
    save("recall", result)
    write_docs(result)
    for key in ("photographs", "false_hits", "nearest_other_photograph", "below_their_bar"):
        print(f"{key}: {result[key]}")
    for name, row in result["recall"].items():
        print(f"{name:34} {row}")


if __name__ == "__main__":
    main()
