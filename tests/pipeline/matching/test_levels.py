"""Levels: what a match is worth; and the families by which variants are asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline import policy, records
from pipeline.fingerprint.hashes import families, packed
from pipeline.matching import altered, levels
from pipeline.settings import Settings

RULES = policy.load(Settings(), "matching").data


@pytest.mark.parametrize(
    ("kind", "distance", "plain", "level"),
    [
        ("exact", 0, None, "exact"),
        ("claimed", 0, None, "exact"),
        ("near", 31, 31, "near"),
        ("variant", 12, 128, "altered"),
        ("refined", 31, 47, "altered"),
        ("refined", 32, 128, "similar"),  # beyond the radius
        (
            "variant",
            30,
            40,
            "similar",
        ),  # the alteration explains little: a neighbour in a series is as far with as without
        ("refined", 20, None, "similar"),
        ("unrefined", 40, 128, "similar"),
    ],
)
def test_level_of_a_match(kind: str, distance: int, plain: int | None, level: str) -> None:
    assert levels.of(kind, distance, plain, RULES) == level


def table(names: list[str], seed: int = 1) -> pa.Table:
    codes = np.random.default_rng(seed).integers(0, 256, (len(names), 32), np.uint8)
    rows = [
        {"sha256": bytes(32), "variant": n, "pdq": c.tobytes(), "quality": 100, "algorithm_version": ""}
        for n, c in zip(names, codes, strict=True)
    ]
    return records.build("variants", rows).select(["sha256", "variant", "pdq", "quality"])


FAMILIES = [
    {"begins": "padded", "radius": 47, "flips": [{"names": ["mirrored"], "radius": 31, "ending": [" 5 %"]}]},
    {"begins": "", "radius": 39},
]


def test_each_family_is_asked_at_its_radius_and_in_its_flips() -> None:
    queries = table(["padded left 5 %", "padded left 10 %", "mirrored"])
    by_radius = {one.radius: one for one in altered.asked(queries, FAMILIES)}
    asked = {r: [one.name(k, queries["variant"]) for k in range(len(one.rows))] for r, one in by_radius.items()}
    assert asked == {
        31: ["padded left 5 %, mirrored"],
        39: ["mirrored"],
        47: ["padded left 5 %", "padded left 10 %"],
    }
    mirrored = packed.flipped_codes(altered.matrix(queries["pdq"])[:1], "mirrored")
    assert by_radius[31].codes.tobytes() == mirrored.tobytes()


def test_a_name_of_no_family_is_a_fault_of_the_policy() -> None:
    with pytest.raises(ValueError, match="begins 'cropped"):
        altered.asked(table(["cropped all sides 2 %"]), FAMILIES[:1])


def test_the_picture_itself_and_its_inverse_are_asked() -> None:
    prints = pa.table(
        {
            "sha256": pa.array([bytes(32), bytes(31) + b"1"], pa.binary(32)),
            "pdq": pa.array([bytes(range(32)), None], pa.binary(32)),
            "pdq_quality": pa.array([80, None], pa.int16()),
        }
    )
    found = altered.queries(table([]), prints, 50).to_pylist()
    assert [(row["variant"], row["pdq"]) for row in found] == [
        (altered.PICTURE, bytes(range(32))),
        (altered.INVERTED, bytes(255 - value for value in range(32))),
    ]
    assert altered.queries(table([]), prints, 90).num_rows == 0


def test_a_family_can_be_the_names_that_end_so_and_a_frame_of_a_video_fits_as_a_still_does() -> None:
    families = [
        {"begins": ["padded left", "padded top"], "ending": [" 5 %", " 8 %"], "radius": 43},
        {"begins": "", "radius": 33},
    ]
    queries = table(["padded left 5 %", "padded top 8 %, at 12.0 s", "padded top 25 %", "padded right 5 %"])
    by_radius = {one.radius: sorted(one.rows.tolist()) for one in altered.asked(queries, families)}
    assert by_radius == {43: [0, 1], 33: [2, 3]}


def test_a_piece_of_little_detail_falls_to_a_narrower_family() -> None:
    families = [
        {"begins": "cell", "ending": ["less 3 %"], "quality": 90, "radius": 43},
        {"begins": "cell", "quality": 60, "radius": 35},
        {"begins": "", "radius": 31},
    ]
    queries = table(["cell, less 3 %", "cell, less 3 %", "cell, less 3 %", "cell", "cell", "mirrored"])
    quality = pa.array([90, 89, 59, 100, 59, 50], queries.schema.field("quality").type)
    queries = queries.set_column(3, queries.schema.field("quality"), quality)
    by_radius = {one.radius: sorted(one.rows.tolist()) for one in altered.asked(queries, families)}
    assert by_radius == {43: [0], 35: [1, 3], 31: [2, 4, 5]}
    with pytest.raises(
        ValueError, match="begins 'cell"
    ):  # whatever quality such a variant has, it has to be asked somehow
        altered.asked(queries, families[:2])


@pytest.mark.parametrize(
    ("variant", "distance", "weighed", "within"),
    [
        ("padded left 25 %", 43, 256, 43),
        ("padded left 25 %", 44, 256, None),
        ("opened from 16.9 to 1.1", 70, 46, 71),
        ("opened from 16.9 to 1.1", 70, 47, None),  # the firm bits do not agree
        ("opened from 16.9 to 1.1", 72, 10, None),  # beyond the family's radius
        ("opened from 9.16 to 4.3", 60, 10, None),
        ("uncovered plain bar at the top 25 %", 55, 30, 55),
        ("uncovered at the top 25 %", 55, 30, None),
    ],
)
def test_what_is_mostly_guessed_is_confirmed_by_its_firm_bits(
    variant: str, distance: int, weighed: int, within: int | None
) -> None:
    assert altered.confirmed(variant, distance, weighed, RULES) == within


def test_only_families_whose_firm_bits_are_weighed_are_asked_beyond_the_wide_radius() -> None:
    wide = [f for f in RULES["variants"]["families"] if f["radius"] > RULES["algorithms"]["pdq"]["wide_radius"]]
    begins = [word for family in wide for word in altered._words(family["begins"])]
    assert begins and all(word.startswith(families.GUESSED) for word in begins)
