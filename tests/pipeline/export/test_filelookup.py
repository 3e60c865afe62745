"""Looking a file up asks what a night asks: variants, parts that are guessed, and the frames of a video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from hashsets.release import releases
from pipeline import policy
from pipeline.export import filelookup
from pipeline.fingerprint.hashes import families, packed, pdq, picture, planes, sampling
from pipeline.settings import Settings
from pipeline.validation import measuring, videos
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene
from tests.pipeline.matching.synthetic_night import flipped, known, publish


def released(settings: Settings, *codes: bytes) -> releases.Release:
    publish(settings, "known", [replace(known(n), pdq=code) for n, code in enumerate(codes)])
    return releases.current(settings)


def code_of(image: Image.Image) -> bytes:
    return picture.hash_picture(reopened(image), RULES, variants=False).pdq


def test_a_mirrored_copy_is_the_same_picture_altered(settings: Settings, tmp_path: Path) -> None:
    ImageOps.mirror(scene()).save(tmp_path / "copy.png")
    release = released(settings, code_of(scene(seed=40)), code_of(scene()))
    hashed = filelookup.hash_file(settings, tmp_path / "copy.png", release)
    (row,) = filelookup.altered_rows(release, "copy.png", hashed.altered)
    assert (row["result"], row["threshold"]) == ("altered", 31) and row["distance"] <= 8
    assert row["known_hash"] == code_of(scene()).hex()


@pytest.mark.parametrize("found", [True, False])
def test_a_square_cut_to_16_by_9_is_a_similar_scene(settings: Settings, tmp_path: Path, found: bool) -> None:
    square = scene(seed=1).resize((512, 512))
    cut = ImageOps.fit(square, (512, 288))
    cut.save(tmp_path / "cut.png")
    names = {n: c for n, c, _ in picture.hash_picture(reopened(cut), RULES, variants=True).variants}
    guess = names["opened from 16.9 to 1.1"]
    release = released(
        settings, _least_firm(cut, guess, 66) if found else flipped(guess, 66, 1)
    )  # any bits: another picture
    hashed = filelookup.hash_file(settings, tmp_path / "cut.png", release)
    rows = filelookup.altered_rows(release, "cut.png", hashed.altered)
    assert [(r["result"], r["threshold"]) for r in rows] == ([("similar", 71)] if found else [])


def _least_firm(cut: Image.Image, guess: bytes, bits: int) -> bytes:
    """The guess with every other of its less firm bits changed: what is missing decides them."""
    plane = planes.decode(reopened(cut), RULES["canonical"])
    source = sampling.base(plane)
    size = (plane.width, plane.height)
    frame = dict(families._shapes(source.aspect, size, RULES["variants"]["shapes"]))["opened from 16.9 to 1.1"]
    values = sampling.coefficients_of(source.samples, source.edges, np.array(frame), source.aspect)
    rank = np.argsort(np.abs(values - pdq.lower_median(values)))
    unpacked = np.unpackbits(np.frombuffer(guess, np.uint8)[::-1], bitorder="little")
    unpacked[rank[: 2 * bits : 2]] ^= 1
    return np.packbits(unpacked, bitorder="little")[::-1].tobytes()


@pytest.mark.parametrize("flip", ["", "mirrored"])
def test_frames_of_a_video_are_asked_as_they_are_and_mirrored(settings: Settings, tmp_path: Path, flip: str) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(videos.panned([scene(seed=k) for k in (5, 6)]))
    codes = videos.known_frames(film, measuring.ValidationRules(RULES, policy.load(settings, "matching").data))
    shown = packed.flipped_codes(codes, flip) if flip else codes
    release = released(settings, shown[0].tobytes())
    hashed = filelookup.hash_file(settings, film, release)
    rows = filelookup.altered_rows(release, "film.mp4", hashed.altered)
    assert [r["result"] for r in rows] == ["altered" if flip else "near"]
    assert "frames, from" in rows[0]["note"] and ("mirrored" in rows[0]["note"]) == bool(flip)
    assert "frames were asked about" in hashed.note
