"""Digests that were made before ingest, in shards beside each other, where a night brings many packages.

    runs/<run>/digest/<shard>.json        names of the shard's packages, in the order in which ingest takes them
    runs/<run>/digest/<shard>.answers     one line per package: container, its key (names, sizes, times), digests by locator

Ingest takes an answer over only for a package whose key is the one it was made for, and only what is there: a failure is asked
about again. What a file really holds is looked at once more when it is fingerprinted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from pipeline import files
from pipeline.contract import Night, run_dir
from pipeline.fingerprint.outcome import Digests
from pipeline.settings import Settings

STAGE = "digest"

Answered = Mapping[str, tuple[str, Mapping[str, Digests]]]
"""By container: the key of the package, and digests by locator text."""


def folder(settings: Settings, night: Night) -> Path:
    """Where the run's shards and their answers lie."""
    return run_dir(settings, night.run_id) / STAGE


def held(settings: Settings, night: Night, packages: Sequence[tuple[str, str]]) -> dict[str, Digests]:
    """Digests by locator text that were made ahead for some packages (container and key)."""
    place = folder(settings, night)
    shards = files.finished(place, "*.answers") if place.is_dir() else []
    if not shards:
        return {}
    of = _shards(place, len(shards))
    found: dict[str, Digests] = {}
    for container, key in packages:
        if container in of:
            made_for, digests = _answers(place / f"{of[container]}.answers").get(container, ("", {}))
            if made_for == key:
                found.update(digests)
    return found


def line(container: str, key: str, digests: Mapping[str, Digests]) -> bytes:
    """What was found of one package, as a line of a shard's answers."""
    made = {name: [d.sha256.hex(), d.md5.hex(), d.sha1.hex(), d.size, d.sha512.hex()] for name, d in digests.items()}
    return orjson.dumps({"container": container, "key": key, "digests": made}) + b"\n"


def containers(path: Path) -> list[str]:
    """Packages of a shard file."""
    found: list[str] = orjson.loads(path.read_bytes())["containers"]
    return found


@lru_cache(maxsize=1)
def _shards(place: Path, _answered: int) -> dict[str, str]:
    """Which answered shard has a package."""
    names = [path.stem for path in files.finished(place, "*.answers")]
    return {container: name for name in names for container in containers(place / f"{name}.json")}


@lru_cache(maxsize=2)
def _answers(path: Path) -> Answered:
    """Ingest goes through the packages in the shards' order: the last shards read are the ones that are asked for."""
    rows: list[Any] = [orjson.loads(text) for text in path.read_bytes().splitlines()]
    return {row["container"]: (row["key"], {n: _digests(d) for n, d in row["digests"].items()}) for row in rows}


def _digests(row: list[Any]) -> Digests:
    sha256, md5, sha1, size, sha512 = row
    return Digests(bytes.fromhex(sha256), bytes.fromhex(md5), bytes.fromhex(sha1), size, bytes.fromhex(sha512))
