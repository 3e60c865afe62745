"""What is asked about a file that no plain hash found: its variants by family, each at the family's own radius.

Wide radii are what costs (at 10 M known hashes one query at 47 bits costs fourteen times one at 31), so that each family of
`variants.families` in policy/matching.yaml says how far it is asked, and in which flips. Flips come from the hashes alone
(`packed.flipped_codes`), so that nothing more has to be hashed or stored for them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import records
from pipeline.fingerprint.hashes import packed
from pipeline.fingerprint.outcome import Fingerprint
from pipeline.matching.evidence import MatchRow
from pipeline.matching.known import KnownSide
from pipeline.matching.pairs import Pairs, codes, first_of, reduced

PICTURE, INVERTED = "picture as it is", "colours inverted"
"""Names of two queries that need no variant: the plain hash at a wide radius, and the complement of its bits."""

Codes = NDArray[np.uint8]

TIME = re.compile(r", at [\d.]+ s$")
"""What the name of a video frame's variant ends with: the frame's time, no part of what the variant guesses."""


@dataclass(frozen=True)
class AskedFamilies:
    """Queries at one radius: rows (n,) of the table asked about, hashes uint8 (n, 32), and the flips made from them."""

    radius: int
    rows: NDArray[np.int64]
    codes: Codes
    flips: list[str]

    def name(self, place: int, names: pa.ChunkedArray) -> str:
        """Name of a query: of its variant, and the flip made from it."""
        name: str = names[int(self.rows[place])].as_py()
        return f"{name}, {self.flips[place]}" if self.flips[place] else name


def queries(variants: pa.Table, prints: pa.Table, quality: int) -> pa.Table:
    """Rows (sha256, variant, pdq, quality) to ask: variants of enough detail, and the pictures themselves and inverted."""
    columns = ["sha256", "variant", "pdq", "quality"]
    usable = variants.filter(pc.greater_equal(variants["quality"], quality)).select(columns)
    plain = prints.filter(pc.and_(pc.is_valid(prints["pdq"]), pc.greater_equal(prints["pdq_quality"], quality)))
    if not plain.num_rows:
        return usable
    hashes = matrix(plain["pdq"])
    pieces = [usable]
    for name, values in ((PICTURE, hashes), (INVERTED, ~hashes)):
        rows = {
            "sha256": plain["sha256"],
            "variant": pa.array([name], pa.string()).take(pa.array(np.zeros(len(hashes), np.int64))),
            "pdq": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), len(values), [None, pa.py_buffer(values.tobytes())]
            ),
            "quality": plain["pdq_quality"],
        }
        pieces.append(pa.table(rows).cast(usable.schema))
    return pa.concat_tables(pieces)


def tables_of(found: Fingerprint) -> tuple[pa.Table, pa.Table]:
    """Variants and print of one fingerprinted picture, as `queries` takes them."""
    content = found.digests.sha256
    variants = [
        {"sha256": content, "variant": v.name, "pdq": v.pdq, "quality": v.quality, "algorithm_version": ""}
        for v in found.variants
    ]
    schema = records.arrow_schema("fingerprints")
    columns: dict[str, Any] = {"sha256": content}
    columns |= {"pdq": found.hashes.pdq, "pdq_quality": found.hashes.pdq_quality} if found.hashes else {}
    plain = {name: pa.array([columns.get(name)], schema.field(name).type) for name in ("sha256", "pdq", "pdq_quality")}
    return records.build("variants", variants), pa.table(plain)


def frames_of(found: Fingerprint) -> pa.Table:
    """Frames of one fingerprinted video, or further pictures of one file, as rows of the lake's table `video_frames`."""
    version = {"sha256": found.digests.sha256, "algorithm_version": ""}
    rows = [
        {**version, "frame": f.number, "seconds": f.seconds, "pdq": f.pdq, "quality": f.quality}
        for f in found.video_frames
    ]
    return records.build("video_frames", rows)


def asked(table: pa.Table, families: list[dict[str, Any]]) -> list[AskedFamilies]:
    """The queries of `queries`, by radius, widest last. A name that no family begins is a fault of the policy."""
    if not table.num_rows:
        return []
    names = table["variant"].combine_chunks().dictionary_encode()
    texts = [TIME.sub("", text) for text in names.dictionary.to_pylist()]
    fitting = list(map(_fitting(families), texts))
    of_name = names.indices.to_numpy(zero_copy_only=False)
    family = _of_quality(fitting, of_name, table["quality"].to_numpy(), families)
    hashes = matrix(table["pdq"])
    found: dict[int, list[tuple[NDArray[np.int64], Codes, str]]] = {}
    for number, rules in enumerate(families):
        rows = np.flatnonzero(family == number)
        if not len(rows):
            continue
        if rules["radius"]:  # 0: asked in its flips only
            found.setdefault(int(rules["radius"]), []).append((rows, hashes[rows], ""))
        for flips in rules.get("flips", []):
            endings = tuple(flips.get("ending", ()))
            chosen = rows
            if endings:
                fits = np.array([text.endswith(endings) for text in texts])
                chosen = rows[fits[names.indices.to_numpy(zero_copy_only=False)[rows]]]
            for flip in flips["names"]:
                part = (chosen, packed.flipped_codes(hashes[chosen], flip), flip)
                found.setdefault(int(flips["radius"]), []).append(part)
    return [_together(radius, parts) for radius, parts in sorted(found.items())]


def _together(radius: int, parts: list[tuple[NDArray[np.int64], Codes, str]]) -> AskedFamilies:
    flips = [flip for rows, _, flip in parts for _ in range(len(rows))]
    return AskedFamilies(radius, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), flips)


def _fitting(families: list[dict[str, Any]]) -> Callable[[str], tuple[int, ...]]:
    """Says of a variant's name the places of the families that it fits by its beginning and its ending, up to the first that takes any
    quality. What it said is kept: the variants of all contents have the same few thousand names."""
    return _fitting_of(
        tuple((_words(f["begins"]), _words(f.get("ending", "")), bool(f.get("quality"))) for f in families)
    )


@lru_cache(maxsize=4)
def _fitting_of(
    families: tuple[tuple[tuple[str, ...], tuple[str, ...], bool], ...],
) -> Callable[[str], tuple[int, ...]]:
    @lru_cache(maxsize=65536)
    def places(name: str) -> tuple[int, ...]:
        fitting = []
        for place, (begins, ending, of_quality) in enumerate(families):
            if name.startswith(begins) and name.endswith(ending):
                fitting.append(place)
                if not of_quality:
                    return tuple(fitting)
        raise ValueError(f"no family of variants in policy/matching.yaml begins {name!r}")

    return places


def _family(name: str, families: list[dict[str, Any]]) -> int:
    """Place of the family of a variant of full detail: the first that its name fits."""
    return _fitting(families)(name)[0]


def _of_quality(
    fitting: Sequence[tuple[int, ...]],
    of_name: NDArray[np.int64],
    quality: NDArray[np.int64],
    families: list[dict[str, Any]],
) -> NDArray[np.int64]:
    """Family (n,) of each variant: of those that fit its name, the first whose PDQ quality it has.

    `fitting` are the families of each name, `of_name` (n,) says which name a variant has.
    """
    longest = max(len(places) for places in fitting)
    places = np.array([[*one, *one[-1:] * (longest - len(one))] for one in fitting])[of_name]
    enough = quality[:, None] >= np.array([rules.get("quality", 0) for rules in families])[places]
    found: NDArray[np.int64] = places[np.arange(len(places)), enough.argmax(axis=1)]
    return found


def confirmed(variant: str, distance: int, weighed: int, rules: dict[str, Any]) -> int | None:
    """The radius within which a refined candidate of a variant is a match, or None where it is none.

    `distance` and `weighed` are the least that refinement found (bits). Where a large part of the frame is guessed (`refine.weighed`)
    the whole distance stays wide, and the firm bits decide; the radius is then that of the variant's family.
    """
    if distance <= rules["refinement"]["radius"]:
        return int(rules["refinement"]["radius"])
    families = rules["variants"]["families"]
    asked_within = int(families[_family(TIME.sub("", variant), families)]["radius"])
    return asked_within if weighed <= rules["refinement"]["weighed"] and distance <= asked_within else None


def _words(rule: str | list[str]) -> tuple[str, ...]:
    return (rule,) if isinstance(rule, str) else tuple(rule)


def candidates(
    known: KnownSide, table: pa.Table, families: list[dict[str, Any]], cap: int, counts: Counter[str]
) -> list[MatchRow]:
    """The nearest query of each file and known media item, each family within its own radius, as rows of kind `variant`.

    `table` is that of `queries`; pairs stay in columns until it is known which of them are the nearest.
    """
    every = asked(table, families)
    pieces: list[tuple[int, Pairs]] = []
    for place, one in enumerate(every):
        join = known.near("pdq", one.codes, radius=one.radius, cap=cap)
        counts["pdq_queries"] += len(one.rows)
        counts[f"pdq_queries_within_{one.radius}"] += len(one.rows)
        if join is not None:
            pieces.append((place, reduced(join, np.arange(len(one.rows)))))
    if not any(len(pairs.place) for _, pairs in pieces):
        return []
    owner = codes(table["sha256"])
    number = np.concatenate([np.full(len(pairs.place), n, np.int64) for n, pairs in pieces])
    pairs = Pairs(*(np.concatenate(column) for column in zip(*(p.columns() for _, p in pieces), strict=True)))
    owners = np.concatenate([owner[every[n].rows[p.place]] for n, p in pieces])
    chosen = first_of(owners, pairs.media, pairs.distance, number, pairs.place)
    kept = pairs.take(chosen)
    hashes = known.hashes("pdq", pa.array(np.unique(kept.media), pa.int64()))
    rows = []
    for n, place, media, distance, total in zip(
        number[chosen].tolist(), *(column.tolist() for column in kept.columns()), strict=True
    ):
        one = every[n]
        row, value = int(one.rows[place]), one.codes[place].tobytes()
        query = {"sha256": table["sha256"][row].as_py(), "variant": one.name(place, table["variant"])}
        pair = {"media_key": media, "kind": "variant", "algorithm": "pdq", "distance": distance, "total_hits": total}
        bits = {"query_hash": value.hex(), "known_hash": nearest(value, hashes[media]).hex()}
        rows.append(MatchRow({**query, **pair, **bits, "quality": table["quality"][row].as_py()}))
    return rows


def matrix(values: pa.ChunkedArray) -> Codes:
    """Fixed-width binary values that are not null, as uint8 (n, width)."""
    flat = pa.concat_arrays(values.drop_null().chunks)
    width = values.type.byte_width
    data = np.frombuffer(flat.buffers()[1], np.uint8)[flat.offset * width : (flat.offset + len(flat)) * width]
    return data.reshape(len(flat), width)


def nearest(query: bytes, known: list[bytes]) -> bytes:
    """The known hash nearest to the query: a media item can have several of one algorithm."""
    return min(known, key=lambda c: (packed.distance(query, c), c))
