"""More than 20,000 truncations and bit flips of every format, through the real workers, with good files in between."""

from __future__ import annotations

import random
import zipfile
from collections import Counter
from collections.abc import Iterator

import pytest

from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item, Reason, State
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_hostile import DECIDED
from tests.pipeline.fingerprint.makers import settings_with

TOTAL = 20_400
DEAR = {"photo.heic", "photo.avif", "clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.avi"}
"""Formats that cost several times the others: fewer mutants of each."""
VARIED = 8
"""Of every so many mutants one is hashed in all query variants too: these see a decoded picture, whatever damage it had."""


def mutants(name: str, whole: bytes, number: int) -> Iterator[bytes]:
    """Every kind of damage in turn: cut off, flipped bits, zeroed, repeated, removed, shuffled and random stretches."""
    rng = random.Random(f"{name} 20261121")
    for turn in range(number):
        data = bytearray(whole)
        at = rng.randrange(len(data))
        size = 1 + rng.randrange(1 + min(64, len(data) // 4))
        kind = turn % 8
        if kind <= 1:
            del data[at:]
        elif kind <= 4:
            for _ in range(1 if kind == 2 else rng.randrange(2, 12)):
                place = rng.randrange(len(data)) if kind < 4 else rng.randrange(min(200, len(data)))
                data[place] ^= 1 << rng.randrange(8)
        elif kind == 5:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 6:
            data[at:at] = data[at : at + size] if turn % 16 == 6 else rng.randbytes(size)
        else:
            del data[at : at + size]
        yield bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_mutant_stops_a_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = settings_with(tmp_path_factory.mktemp("mutants"))
    whole = {**samples.stills(40, 30), **samples.videos()}
    weights = {name: 1 if name in DEAR else 4 for name in whole}
    share = TOTAL / sum(weights.values())
    order: list[tuple[str, bool]] = []
    with zipfile.ZipFile(settings.landing_dir / "mutants.zip", "w") as archive:
        good = [name for name in whole if name not in DEAR or name == "photo.heic"]
        for name, data in whole.items():
            for number, mutant in enumerate(mutants(name, data, round(weights[name] * share + 1))):
                member = f"{number:05}-{name}"
                archive.writestr(member, mutant)
                order.append((member, False))
        for number in range(400):
            member = f"good/{number:05}-{good[number % len(good)]}"
            archive.writestr(member, whole[good[number % len(good)]])
            order.append((member, True))
    random.Random(7).shuffle(order)
    locators = [Locator("mutants.zip", member) for member, _ in order]
    with Pool(settings) as pool:
        # as in a night: digests first, by workers that decode nothing, and what is fingerprinted is held against them
        digests = enumerate(pool.digests(locators))
        wanted = [
            Item(place, found, variants=order[number][1] or number % VARIED == 0)
            for number, (place, found) in digests
            if isinstance(found, Digests)
        ]
        assert len(wanted) == len(order)
        alone = [item for item, (_, ok) in zip(wanted, order, strict=True) if ok]
        clean = {str(item.locator).split("-")[1]: one for item, one in pool.fingerprints(alone)}
        counted = check(pool, wanted, dict(order), clean)
        report = pool.report
    assert sum(counted.values()) == len(order)
    assert sum(not ok for _, ok in order) >= 20_000
    assert min(counted["hashed"], counted["partial"], counted["rejected"]) > 500
    assert report.resident_kib <= 1 << 20


def check(
    pool: Pool, wanted: list[Item], good: dict[str, bool], clean: dict[str, Fingerprint | Failure]
) -> Counter[str]:
    """Look at every outcome; how many there are of each state."""
    counted: Counter[str] = Counter()
    for (item, one), expected in zip(pool.fingerprints(wanted), wanted, strict=True):
        assert item is expected, "the order of the input is kept"
        member = item.locator.member or ""
        if good[member]:
            assert one == clean[member.split("-")[1]], (member, one.reason, one.detail)
        assert one.digests is not None
        if isinstance(one, Failure):
            assert one.reason in DECIDED, (member, one)
            counted["rejected"] += 1
        else:
            assert one.state in (State.HASHED, State.PARTIAL, State.DIGESTS_ONLY)
            assert (one.state is State.HASHED) == (one.reason is Reason.NONE)
            counted[one.state.value] += 1
    return counted
