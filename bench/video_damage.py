"""Videos with damaged packets: nothing dies, and whatever a player shows behind the damage is seen by the fingerprint worker too.

    python -m bench.video_damage [--mutants 20000] [--seed 2026] [--players 400] [--no-save]

Tiny films of generated pictures in every common container and codec are damaged by a generator with a seed: one to six packets,
never the first, have bits turned, are overwritten, blanked, or filled with another packet's bytes. Every mutant goes through the
isolated worker, as in a night. The reference is FFmpeg as a player uses it, each packet tried by itself, in a plain process
of its own; a share of the mutants is also played by the `ffprobe` of the machine, which is of another version, where there is one.

Two bars: no worker dies; and for every mutant of which the reference shows a frame an interval (a second) or more after the last damaged packet,
the worker has a frame from behind it. Families of variants of key frames are left out (they concern pixels, not packets).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av

from bench import common
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import settings_with

FILMS = (
    ("mp4", "libx264"), ("mp4", "libx265"), ("mp4", "libsvtav1"), ("mp4", "mpeg4"), ("mov", "mjpeg"), ("matroska", "libx264"),
    ("matroska", "mpeg4"), ("webm", "libvpx"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("avi", "mjpeg"),
    ("mpegts", "mpeg2video"), ("mpeg", "mpeg1video"), ("flv", "flv"), ("asf", "wmv2"),
)  # fmt: skip
"""Container and codec of each film."""
BATCH = 1000
INTERVAL = 1.0
"""Seconds between two regular samples of a film (policy/fingerprint.yaml)."""


@dataclass(frozen=True)
class Film:
    """An intact film and where its packets lie: place, size and time in seconds."""

    name: str
    data: bytes
    packets: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True)
class Mutant:
    """A damaged film. `damaged_until` is the time of the last damaged packet in seconds."""

    name: str
    data: bytes
    damaged_until: float


@cache
def films() -> tuple[Film, ...]:
    """The intact films: seven seconds, five frames a second, another picture each second."""
    found = []
    for container, codec in FILMS:
        rate = 25 if codec in ("mpeg1video", "mpeg2video") else 5
        data = samples.video(container, codec, seconds=7, rate=rate, cuts=tuple(range(1, 7)), size=64)
        with av.open(io.BytesIO(data)) as opened:
            stream = opened.streams.video[0]
            listed = [
                (int(p.pos), int(p.size), float(p.pts * p.time_base))
                for p in opened.demux(stream)
                if p.size and p.pts is not None and p.pos is not None and p.pos >= 0
            ]
        found.append(Film(f"{container}-{codec}", data, tuple(listed)))
    return tuple(found)


def mutant(number: int, seed: int) -> Mutant:
    """The mutant of that number: the same for the same seed on every machine with the same encoders."""
    film = films()[number % len(FILMS)]
    rng = random.Random(f"{seed} {number}")
    data = bytearray(film.data)
    first = rng.randrange(1, max(2, len(film.packets) * 2 // 3))
    chosen = film.packets[first : first + rng.randrange(1, 7)]
    for place, size, _ in chosen:
        at = place + rng.randrange(max(1, size))
        length = min(rng.randrange(1, 200), place + size - at)
        kind = rng.randrange(4)
        if kind == 0:
            for _ in range(rng.randrange(1, 8)):
                data[place + rng.randrange(size)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            data[at : at + length] = bytes(length)
        else:
            other, most, _ = film.packets[rng.randrange(len(film.packets))]
            taken = film.data[other : other + min(length, most)]
            data[at : at + len(taken)] = taken
    return Mutant(film.name, bytes(data), max(seconds for _, _, seconds in chosen))


def played(data: bytes) -> float | None:
    """Time of the latest frame (seconds) that FFmpeg gives when each packet is tried by itself and reading goes on after an error;
    None without any."""
    latest: float | None = None
    try:
        with av.open(io.BytesIO(data), metadata_errors="ignore") as opened:
            if not opened.streams.video:
                return None
            packets = opened.demux(opened.streams.video[0])
            errors = 0
            while errors < 64:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except (av.FFmpegError, IndexError):  # a stream that begins in mid-file is none that was there at first
                    errors += 1
                    packets = opened.demux(opened.streams.video[0])
                    continue
                try:
                    times = [frame.time for frame in packet.decode() if frame.time is not None]
                except av.FFmpegError:
                    continue
                latest = max([*times, *([] if latest is None else [latest])], default=None)
    except (av.FFmpegError, ValueError):
        return latest
    return latest


def unseen(one: Mutant, latest: float | None, found: Fingerprint | Failure) -> bool:
    """Whether a player shows something behind the damage of which the worker has no frame."""
    if latest is None or latest < one.damaged_until + INTERVAL:
        return False
    if isinstance(found, Failure):
        return True
    return not any(frame.seconds > one.damaged_until for frame in found.video_frames)


def references(numbers: list[int], seed: int) -> list[float | str | None]:
    """`played` of some mutants in a plain process of its own; "died" for one that ends that process."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            return list(process.submit(_played_all, numbers, seed).result())
    except BrokenProcessPool:
        if len(numbers) == 1:
            return ["died"]
        half = len(numbers) // 2
        return references(numbers[:half], seed) + references(numbers[half:], seed)


def _played_all(numbers: Iterable[int], seed: int) -> list[float | None]:
    av.logging.set_level(av.logging.PANIC)
    return [played(mutant(number, seed).data) for number in numbers]


def ffprobe(path: Path) -> float | None:
    """Time of the latest frame that the machine's own ffprobe shows; None without any."""
    words = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time",
             "-of", "csv=p=0", str(path)]  # fmt: skip
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout
    times = [float(word) for line in said.splitlines() if (word := line.strip(",")).replace(".", "", 1).isdigit()]
    return max(times, default=None)


def outcomes(numbers: list[int], seed: int, folder: Path, died: Counter[str]) -> Iterator[tuple[Mutant, Any]]:
    """Every mutant with what new isolated workers say of it. `died` counts deaths of workers by reason."""
    settings = settings_with(folder, video={"key_frames": {"most": 0, "apart": 31, "families": []}})
    with Pool(settings) as pool:
        yield from through(pool, settings.landing_dir, numbers, seed)
        died.update({str(reason): times for reason, times in pool.report.deaths.items() if times})


def through(pool: Pool, landing: Path, numbers: list[int], seed: int) -> Iterator[tuple[Mutant, Any]]:
    """Every mutant with what the workers of a pool say of it."""
    listed = []
    with zipfile.ZipFile(landing / "mutants.zip", "w") as archive:
        for number in numbers:
            one = mutant(number, seed)
            archive.writestr(f"{number:06}", one.data)
            listed.append((one, Item(Locator("mutants.zip", f"{number:06}"), _digests(one.data))))
    for (one, item), (given, found) in zip(listed, pool.fingerprints([i for _, i in listed]), strict=True):
        if given is not item:
            raise SystemExit("the order of the input was not kept")
        yield one, found


def _digests(data: bytes) -> Digests:
    return Digests(
        hashlib.sha256(data).digest(),
        hashlib.md5(data, usedforsecurity=False).digest(),
        hashlib.sha1(data, usedforsecurity=False).digest(),
        len(data),
    )


def measure(count: int, seed: int, players: int) -> dict[str, Any]:
    states: Counter[str] = Counter()
    died: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    missed: list[str] = []
    began = time.monotonic()
    probing = shutil.which("ffprobe") is not None
    every = max(1, count // players) if probing and players else 0
    for start in range(0, count, BATCH):
        numbers = list(range(start, min(start + BATCH, count)))
        latest = references(numbers, seed)
        with tempfile.TemporaryDirectory(prefix="bench-video-") as folder:
            for number, last, (one, found) in zip(
                numbers, latest, outcomes(numbers, seed, Path(folder), died), strict=True
            ):
                states[found.reason.value if isinstance(found, Failure) else found.state.value] += 1
                counted["reference_died"] += last == "died"
                seconds = None if isinstance(last, str) else last
                counted["shown_behind_the_damage"] += seconds is not None and seconds >= one.damaged_until + INTERVAL
                if unseen(one, seconds, found):
                    missed.append(f"{number} {one.name}")
                if every and number % every == 0:
                    path = Path(folder) / "probed"
                    path.write_bytes(one.data)
                    counted["probed_by_ffprobe"] += 1
                    if unseen(one, ffprobe(path), found):
                        counted["unseen_but_shown_by_ffprobe"] += 1
        print(
            f"{numbers[-1] + 1} of {count}: {len(missed)} unseen, {sum(died.values())} deaths",
            file=sys.stderr,
            flush=True,
        )
    return {
        "mutants": count,
        "seed": seed,
        "films": [f.name for f in films()],
        "outcomes": dict(sorted(states.items())),
        "workers_died": dict(died),
        **{
            name: counted[name]
            for name in (
                "shown_behind_the_damage",
                "reference_died",
                "probed_by_ffprobe",
                "unseen_but_shown_by_ffprobe",
            )
        },
        "shown_and_not_seen": len(missed),
        "shown_and_not_seen_first": missed[:20],
        "bar_no_death_met": not died,
        "bar_seen_behind_damage_met": not missed,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--players", type=int, default=400, help="mutants that ffprobe plays too, where there is one")
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/video_damage.json")
    options = parser.parse_args()
    result = measure(options.mutants, options.seed, options.players)
    for name, value in result.items():
        print(f"{name:36} {value}")
    if not options.no_save:
        common.save("video_damage", {**result, "machine": common.machine(), "versions": common.versions("av")})


if __name__ == "__main__":
    main()
