"""Synthetic nights for the match stages: a release from plain hashes, and fingerprints that were never pictures."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

from hashsets.importing import landing
from hashsets.release import building
from pipeline import contract as night
from pipeline import records
from pipeline.contract import Night
from pipeline.lake import Lake
from pipeline.settings import Settings

AS_OF = datetime(2026, 11, 21, 1, tzinfo=UTC)
CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/Default/$metadata#Media"


@dataclass
class Known:
    """One known picture of a hash set."""

    md5: bytes
    pdq: bytes
    category: int = 1
    victim: str = "false"


def known(number: int, **more: object) -> Known:
    """Known picture `number`, with balanced random bits as real PDQ hashes have them."""
    chance = random.Random(number)
    bits = [1] * 128 + [0] * 128
    chance.shuffle(bits)
    pdq = int("".join(map(str, bits)), 2).to_bytes(32)
    return Known(hashlib.md5(b"%d" % number, usedforsecurity=False).digest(), pdq, **more)  # type: ignore[arg-type]


def flipped(value: bytes, bits: int, seed: int = 0) -> bytes:
    """`value` with exactly `bits` bits changed."""
    number = int.from_bytes(value)
    for place in random.Random(seed).sample(range(len(value) * 8), bits):
        number ^= 1 << place
    return number.to_bytes(len(value))


def publish(settings: Settings, name: str, items: list[Known], run: str = "n") -> int:
    """Deliver a hash set and publish the release that contains it; returns its number."""
    write_set(settings, name, items)
    tonight = start(settings, run)
    assert landing.run(settings, tonight).rejected == {}
    return int(building.run(settings, tonight).counts["release"])


def write_set(settings: Settings, name: str, items: list[Known]) -> None:
    """A hash set in the landing folder."""
    folder = settings.landing_dir / "hashsets" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    media = [
        {
            "MediaID": i + 1,
            "Category": item.category,
            "MD5": item.md5.hex().upper(),
            "VictimIdentified": item.victim,
            "AlternativeHashes": [{"MD5": item.md5.hex().upper(), "HashName": "PDQ", "HashValue": item.pdq.hex()}],
        }
        for i, item in enumerate(items)
    ]
    (folder / f"{name}.json").write_text(json.dumps({"@odata.context": CONTEXT, "value": media}))


def start(settings: Settings, run: str = "n") -> Night:
    return night.start(settings, run, AS_OF)


def content(number: int) -> bytes:
    return hashlib.sha256(b"content %d" % number).digest()


def fingerprint(number: int, **columns: object) -> dict[str, object]:
    """One row of the fingerprints table: hashes are random unless they are given."""
    chance = random.Random(1_000_000 + number)
    row: dict[str, object] = {
        "sha256": content(number),
        "md5": chance.randbytes(16),
        "sha1": chance.randbytes(20),
        "size": 1000 + number,
        "media_type": "image/jpeg",
        "state": "hashed",
        "width": 640,
        "height": 480,
        "frames": 1,
        "pdq": chance.randbytes(32),
        "pdq_quality": 100,
        "phash256": chance.randbytes(32),
        "phash64": chance.randbytes(8),
        "dhash64": chance.randbytes(8),
        "low_information": False,
        "algorithm_version": "1",
        "decoder_version": "1",
        "sandbox": "test",
        "run_id": "n",
    }
    return {**row, **columns}


def variant(number: int, name: str, pdq: bytes, quality: int = 100) -> dict[str, object]:
    return {"sha256": content(number), "variant": name, "pdq": pdq, "quality": quality, "algorithm_version": "1"}


def frame(number: int, at: int, pdq: bytes, quality: int = 100) -> dict[str, object]:
    return {
        "sha256": content(number),
        "frame": at,
        "seconds": at * 1.0,
        "pdq": pdq,
        "quality": quality,
        "algorithm_version": "1",
    }


def media(name: str, **columns: object) -> dict[str, object]:
    """One row of the media_files table: described, not sent."""
    row: dict[str, object] = {
        "file_id": name,
        "referral_id": "R-1",
        "package_id": "p",
        "state": "hash_only",
        "viewed_by_provider": "unknown",
        "publicly_available": "unknown",
        "annotations": [],
    }
    return {**row, **columns}


def fingerprinted(
    settings: Settings,
    key: str,
    prints: list[dict[str, object]],
    variants: list[dict[str, object]] | None = None,
    frames: list[dict[str, object]] | None = None,
    *,
    run: str = "n",
) -> str:
    """Commit fingerprints as the fingerprint stage does; returns the unit's name."""
    tables = {
        "fingerprints": records.build("fingerprints", prints),
        "variants": records.build("variants", variants or []),
        "video_frames": records.build("video_frames", frames or []),
    }
    Lake(settings.lake_dir).commit("fingerprint", key, tables, run_id=run)
    return f"content-{key}"
