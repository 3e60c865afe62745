"""Known videos as frames with order and time: one match that says which part, where, and in which order."""

from __future__ import annotations

import numpy as np

from hashsets.importing import landing
from hashsets.release import building, releases
from pipeline.lake import Lake
from pipeline.matching import knownvideos, stage
from pipeline.matching.pairs import Pairs
from pipeline.matching.stated import KnownFrame, StatedMedia, stated
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.pipeline.matching.synthetic_night import fingerprint, fingerprinted, flipped, frame, known, start


def deliver(settings: Settings, film: str, count: int, quality: int = 90) -> list[bytes]:
    """A vPDQ file with one frame every two seconds from 0; returns the frames' hashes."""
    folder = settings.landing_dir / "hashsets" / "vpdq"
    folder.mkdir(parents=True, exist_ok=True)
    hashes = [known(900 + k).pdq for k in range(count)]
    lines = [f"{60 * k},{quality},{code.hex()},{2 * k}.000" for k, code in enumerate(hashes)]
    (folder / f"{film}.txt").write_text("\n".join(lines) + "\n")
    tonight = start(settings)
    assert landing.run(settings, tonight).rejected == {}
    building.run(settings, tonight)
    return hashes


def deliver_vics(settings: Settings, film: str, count: int) -> list[bytes]:
    """A VICS file whose items are frames of one video, each with its PDQ hash and its place in the member `frames`."""
    folder = settings.landing_dir / "hashsets" / "caid"
    folder.mkdir(parents=True, exist_ok=True)
    hashes = [known(900 + k).pdq for k in range(count)]
    items = [
        samples.media(
            f"{film} {k}",
            MediaID=k + 1,
            AlternativeHashes=[{"HashName": "PDQ", "HashValue": code.hex()}],
            frames=[{"video": film, "seconds": 2.0 * k, "quality": 90, "pdq": code.hex()}],
        )
        for k, code in enumerate(hashes)
    ]
    samples.vics(folder / "frames.json", items, country="UK")
    tonight = start(settings)
    assert landing.run(settings, tonight).rejected == {}
    building.run(settings, tonight)
    return hashes


def test_a_frame_list_in_vics_is_a_known_video_with_order_and_time(settings: Settings) -> None:
    hashes = deliver_vics(settings, "film", 40)
    (row,) = asked(settings, hashes[20:27])
    assert (row["kind"], row["frames_matched"], row["known_in_order"], row["known_quality"]) == ("video", 7, True, 90)
    assert knownvideos.words(row) == "12 s of the known video film from 0:40"


def asked(settings: Settings, frames: list[bytes]) -> list[dict[str, object]]:
    rows = [frame(1, at, flipped(code, 8, at)) for at, code in enumerate(frames)]
    print_of = fingerprint(1, pdq=None, phash256=None, media_type="video/mp4")
    unit = fingerprinted(settings, "a", [print_of], None, rows)
    assert stage.run(settings, start(settings), unit).balanced
    found: list[dict[str, object]] = Lake(settings.lake_dir).read("matches").to_pylist()
    return found


def test_frames_of_one_known_video_are_one_match_with_its_times(settings: Settings) -> None:
    hashes = deliver(settings, "film", 40)
    (row,) = asked(settings, hashes[20:27])
    assert (row["kind"], row["frames_matched"], row["first_seconds"], row["last_seconds"]) == ("video", 7, 0.0, 6.0)
    assert (row["known_video"], row["known_first_seconds"], row["known_last_seconds"]) == ("film", 40.0, 52.0)
    assert row["known_in_order"] is True and row["known_quality"] == 90 and row["low_information"] is False
    assert knownvideos.words(row) == "12 s of the known video film from 0:40"


def test_another_order_is_said_and_so_is_a_known_frame_of_little_detail(settings: Settings) -> None:
    hashes = deliver(settings, "film", 10, quality=12)
    (row,) = asked(settings, hashes[6:2:-1])
    assert row["known_in_order"] is False and row["known_quality"] == 12 and row["low_information"] is True
    assert knownvideos.words(row).endswith("from 0:06, not in its order")


def test_what_sets_say_is_read_by_media_item_and_what_they_do_not_is_not_known(settings: Settings) -> None:
    hashes = deliver(settings, "film", 3)
    release = releases.current(settings)
    said = stated(release, [1, 2, 3, 99])
    assert sorted(said) == [1, 2, 3] and said[2].frames == [KnownFrame("film", 2.0, 90, hashes[1])]
    assert said[2].quality_of(hashes[1]) == 90 and said[2].quality_of(hashes[0]) is None
    assert stated(release, []) == {}


def test_media_without_frames_stay_apart() -> None:
    code = known(1).pdq
    said = {
        1: StatedMedia([KnownFrame("film", 4.0, 80, code)]),
        2: StatedMedia([KnownFrame("film", 0.0, 80, code)]),
        3: StatedMedia(quality=70),
        4: StatedMedia([KnownFrame("", 1.0, None, code)]),
    }
    videos = knownvideos.among(said)
    assert videos.stands_for == {1: 1, 2: 1, 4: 4}
    numbers = np.array([0, 1, 2, 3], np.int64)
    pairs = Pairs(numbers, np.array([2, 3, 4, 7]), numbers, numbers)
    assert videos.together(pairs).media.tolist() == [1, 3, 4, 7]
    alone = Pairs(*(column[1:2] for column in pairs.columns()))
    assert knownvideos.spanned(alone, np.array([3]), np.array([0.0]), said) is None
    assert knownvideos.words({"known_first_seconds": None}) == ""
    assert knownvideos.clock(3725.9) == "1:02:05"
