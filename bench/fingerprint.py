"""Speed and fidelity of fingerprinting, against imagehash and pdqhash on the full decode, in the same run.

    TRIAGE_CORPORA=... python -m bench.fingerprint

Ours: reading, MD5, SHA-1, SHA-256, decoding, PDQ, pHash 256, pHash 64, dHash 64. Peer: reading, full decoding,
imagehash.phash (16 x 16), imagehash.dhash, pdqhash.compute; no digests, and no pHash 64 unless the figure says so. Ours and the peer
alternate on each file; the least of the rounds counts, because a loaded machine only ever adds to it. The ratio is of all CPU
time; that of user-mode time stands beside it, because page faults cost the peer more on a loaded machine, and the pool's
section is the same work through isolated workers. `--only speed_12mp` measures the sections named again and keeps the others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pdqhash
from PIL import Image, ImageOps
from rich.progress import track

from bench.common import RESULTS, machine, save, versions
from pipeline import policy
from pipeline.fingerprint.hashes import packed, picture, planes, variants
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from pipeline.settings import Settings

ROUNDS = 2
GOOD_QUALITY = 80
"""PDQ quality from which the publishers ask for agreement within 10 bits."""


def photographs(corpora: Path) -> list[Image.Image]:
    """Photographs to make test JPEGs of: Kodak's, cid22's and immich's, RGB."""
    files = [f for name in ("kodak", "cid22", "immich_nature") for f in sorted((corpora / "photos" / name).iterdir())]
    return [Image.open(f).convert("RGB") for f in files]


def made(pictures: list[Image.Image], folder: Path, pixels: float) -> list[Path]:
    """JPEGs of `pixels`, each second one enlarged and each other tiled from several photographs (as detailed as a camera's)."""
    folder.mkdir()
    height = round((pixels * 3 / 4) ** 0.5)
    width = height * 4 // 3
    paths = []
    for number, source in enumerate(pictures):
        if number % 2:
            large = ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS)
        else:
            large = Image.new("RGB", (width, height))
            for place in range(1000):
                across, down = place % 10 * 512, place // 10 * 512
                if down < height and across < width:
                    tile = ImageOps.fit(pictures[(number + place) % len(pictures)], (512, 512))
                    large.paste(tile, (across, down))
        path = folder / f"{number}.jpg"
        large.save(path, "JPEG", quality=90)
        paths.append(path)
    return paths


def ours(path: Path, rules: dict[str, Any]) -> picture.PictureHashes:
    data = path.read_bytes()
    for name in ("md5", "sha1", "sha256"):
        hashlib.new(name, data, usedforsecurity=False).digest()
    with Image.open(io.BytesIO(data)) as image:
        return picture.hash_picture(image, rules, variants=False)


def peer(path: Path) -> tuple[bytes, int]:
    """PDQ and quality by the reference, after the peers' pHash 256 and dHash."""
    with Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        full = image if image.mode == "RGB" else image.convert("RGB")
        imagehash.phash(full, 16)
        imagehash.dhash(full, 8)
        bits, quality = pdqhash.compute(np.asarray(full))
    return np.packbits(bits).tobytes(), int(quality)


def peer_with_phash64(path: Path) -> None:
    """The peer with imagehash's pHash 64 as well: all that ours makes but the digests."""
    with Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        full = image if image.mode == "RGB" else image.convert("RGB")
        imagehash.phash(full, 16)
        imagehash.phash(full, 8)
        imagehash.dhash(full, 8)
        pdqhash.compute(np.asarray(full))


def cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def both(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds, and those of them outside the kernel."""
    start = resource.getrusage(resource.RUSAGE_SELF)
    work()
    end = resource.getrusage(resource.RUSAGE_SELF)
    user = end.ru_utime - start.ru_utime
    return user + end.ru_stime - start.ru_stime, user


def speed(paths: list[Path], rules: dict[str, Any]) -> dict[str, Any]:
    """CPU milliseconds per file of each: for each file the least of rounds that alternate, then the mean over files."""
    ways = {"ours": partial(ours, rules=rules), "peer": peer, "peer_with_phash64": peer_with_phash64}
    ours(paths[0], rules)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for path in track(paths):
        rounds = [{name: both(partial(way, path)) for name, way in ways.items()} for _ in range(ROUNDS)]
        for name in ways:
            taken[name].append((min(r[name][0] for r in rounds), min(r[name][1] for r in rounds)))
    mean = {name: np.mean(values, axis=0) for name, values in taken.items()}
    result: dict[str, Any] = {
        "files": len(paths),
        "mean_bytes": round(statistics.mean(path.stat().st_size for path in paths)),
        "ratio": round(float(mean["peer"][0] / mean["ours"][0]), 1),
        "ratio_user_mode": round(float(mean["peer"][1] / mean["ours"][1]), 1),
        "ratio_with_phash64": round(float(mean["peer_with_phash64"][0] / mean["ours"][0]), 1),
        "load_average_at_end": round(os.getloadavg()[0], 1),
    }
    return result | {f"{name}_cpu_ms_per_file": round(1e3 * float(value[0]), 2) for name, value in mean.items()}


def through_the_pool(paths: list[Path], *, alone: bool) -> dict[str, Any]:
    """CPU milliseconds per file of isolated workers and of the parent; the start of the pool apart.

    As in a night: digests first, then fingerprints by a worker per package (here: one). `alone` gives every file a process of
    its own, which makes all digests too.
    """
    with tempfile.TemporaryDirectory() as home:
        pool = Pool(Settings(home=Path(home), landing=paths[0].parent), workers=2)
        locators = [Locator(path.name) for path in paths] * 4
        with pool:
            pool.start()
            started = pool.report.cpu_seconds
            parent = time.process_time()
            held = [None for _ in locators] if alone else [digests_of(found) for _, found in pool.identified(locators)]
            items = [Item(locator, digests, variants=False) for locator, digests in zip(locators, held, strict=True)]
            outcomes = [outcome for _, outcome in pool.fingerprints(items)]
            parent = time.process_time() - parent
        if not all(isinstance(outcome, Fingerprint) for outcome in outcomes):
            sys.exit("a file of the bench was not hashed")
    return {
        "files": len(outcomes),
        "processes": pool.report.workers,
        "start_cpu_seconds": round(started, 2),
        "workers_cpu_ms_per_file": round(1e3 * (pool.report.cpu_seconds - started) / len(outcomes), 2),
        "parent_cpu_ms_per_file": round(1e3 * parent / len(outcomes), 2),
    }


def digests_of(found: tuple[Digests, str] | Failure) -> Digests:
    if isinstance(found, Failure):
        sys.exit("a file of the bench could not be read")
    return found[0]


def fidelity(paths: list[Path], rules: dict[str, Any]) -> dict[str, Any]:
    """Bits between our PDQ of the reduced decode and the reference's of the full one, at quality 80 or more."""
    distances = []
    for path in paths:
        reference, quality = peer(path)
        if quality >= GOOD_QUALITY:
            distances.append(packed.distance(ours(path, rules).pdq, reference))
    return spread(distances)


def spread(distances: list[int]) -> dict[str, Any]:
    values = np.array(distances)
    return {
        "pictures": len(values),
        "median": float(np.median(values)),
        "percentile_99": float(np.percentile(values, 99)),
        "largest": int(values.max()),
        "share_within_8": round(float((values <= 8).mean()), 4),
    }


def golden(corpora: Path, rules: dict[str, Any]) -> dict[str, Any]:
    """Bits from the published PDQ values, and whether imagehash's golden values come out."""
    with (corpora / "vectors" / "pdq_golden.csv").open() as file:
        rows = list(csv.DictReader(file))
    distances, low = [], []
    for row in rows:
        with Image.open(corpora / row["file"]) as image:
            found = picture.hash_picture(image, rules, variants=False)
        far = packed.distance(found.pdq, bytes.fromhex(row["pdq_hex"]))
        (distances if found.pdq_quality >= GOOD_QUALITY else low).append(far)
    with Image.open(corpora / "photos" / "imagehash" / "imagehash.png") as image:
        found = picture.hash_picture(image, rules, variants=False)
    identical = (found.phash64.hex(), found.dhash64.hex()) == ("ba8c84536bd3c366", "0026273b2b19550e")
    return {"quality_80": spread(distances), "below_80": low, "imagehash_golden_identical": identical}


def same_as_imagehash(corpora: Path) -> dict[str, Any]:
    """Pictures whose pHash 256, pHash 64 and dHash of the full decode equal imagehash's, of every third photograph."""
    from pipeline.fingerprint.hashes import imagehashes

    equal = total = 0
    for source in photographs(corpora)[::3]:
        plane = planes.from_array(np.asarray(source))
        found = (imagehashes.phash(plane, 16), imagehashes.phash(plane, 8), imagehashes.dhash(plane))
        asked = (imagehash.phash(source, 16), imagehash.phash(source, 8), imagehash.dhash(source, 8))
        equal += found == tuple(np.packbits(value.hash).tobytes() for value in asked)
        total += 1
    return {"pictures": total, "identical": equal}


def variant_cost(paths: list[Path], rules: dict[str, Any]) -> dict[str, Any]:
    """CPU milliseconds of all variants of a picture, beyond its decode, and of one refinement."""
    costs, counts, refined = [], [], []
    for path in paths:
        with Image.open(path) as image:
            plane = planes.decode(image, rules["canonical"])
        counts.append(len(variants.all_variants(plane, rules["variants"])))
        work = partial(variants.all_variants, plane, rules["variants"])
        costs.append(statistics.median(cpu(work) for _ in range(3)))
        with Image.open(path) as image:
            refined.append(cpu(partial(picture.refine_picture, image, bytes(range(32)), rules)))
    return {
        "pictures": len(paths),
        "median_ms": round(1e3 * statistics.median(costs), 2),
        "percentile_90_ms": round(1e3 * float(np.percentile(costs, 90)), 2),
        "median_variants": statistics.median(counts),
        "refinement_median_ms_with_decode": round(1e3 * statistics.median(refined), 1),
    }


def main() -> None:
    if "TRIAGE_CORPORA" not in os.environ:
        sys.exit("TRIAGE_CORPORA is not set: this bench needs the real test files.")
    corpora = Path(os.environ["TRIAGE_CORPORA"])
    rules = policy.load(Settings(), "fingerprint").data
    picture.prepare(rules)
    pictures = photographs(corpora)
    with tempfile.TemporaryDirectory() as name:
        large = made(pictures[::20], Path(name) / "large", 12e6)
        small = made(pictures[::12], Path(name) / "small", 1.5e6)
        small += sorted((corpora / "photos" / "exif_orientation").glob("*.jpg"))[::3]
        sections: dict[str, Callable[[], Any]] = {
            "speed_12mp": lambda: speed(large, rules),
            "speed_1_to_2mp": lambda: speed(small, rules),
            "pool_12mp": lambda: through_the_pool(large, alone=False),
            "pool_1_to_2mp": lambda: through_the_pool(small[: len(pictures[::12])], alone=False),
            "pool_12mp_process_a_file": lambda: through_the_pool(large, alone=True),
            "pool_1_to_2mp_process_a_file": lambda: through_the_pool(small[: len(pictures[::12])], alone=True),
            "pdq_reduced_against_full_decode": lambda: fidelity(large + small, rules),
            "golden": lambda: golden(corpora, rules),
            "imagehash_full_decode": lambda: same_as_imagehash(corpora),
            "variants": lambda: variant_cost(large + small, rules),
        }
        only = sys.argv[2:] if sys.argv[1:2] == ["--only"] else list(sections)
        result = json.loads((RESULTS / "fingerprint.json").read_text()) if sys.argv[1:2] == ["--only"] else {}
        result |= {"machine": machine(), "versions": versions("pillow", "imagehash", "pdqhash", "numba", "numpy")}
        result |= {name: sections[name]() for name in only}
    save("fingerprint", result)
    for key, value in result.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
