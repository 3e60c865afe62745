"""More than one picture or film in one file: each is seen, or counted as unseen."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline.fingerprint.decode import embedded
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.outcome import BARE, Fingerprint, Reason, State
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_video import bits
from tests.pipeline.fingerprint.makers import decoded_here, rules


def jpeg(seed: int, **options: object) -> bytes:
    return samples.encoded(Image.fromarray(samples.scene(128, 96, seed)), "JPEG", quality=90, **options)


def pdq(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return picture.hash_picture(image, rules(), variants=False).pdq


def nearest(one: Fingerprint, data: bytes) -> int:
    return min((bits(frame.pdq, pdq(data)) for frame in one.video_frames), default=256)


def test_one_picture_has_no_frames() -> None:
    for data in (jpeg(1), samples.stills()["rgb.png"], samples.stills()["photo.heic"]):
        one = decoded_here(data)
        assert (one.state, one.video_frames, one.unseen) == (State.HASHED, (), 0)


def test_thumbnail_in_the_header_is_no_further_picture() -> None:
    exif = Image.Exif()
    exif[0x010E] = jpeg(2).decode("latin-1")[:20000]
    assert embedded.further(jpeg(1, exif=exif), "jpeg") == []


@pytest.mark.parametrize("between", [b"", b"\xff\xd9", b"MotionPhoto_Data", bytes(5000)])
def test_jpegs_end_to_end(between: bytes) -> None:
    one = decoded_here(jpeg(1) + between + jpeg(2) + jpeg(3, progressive=True))
    assert one.state is State.HASHED and one.hashes is not None
    assert one.hashes.pdq == pdq(jpeg(1))
    assert [nearest(one, jpeg(seed)) for seed in (1, 2, 3)] == [0, 0, 0]
    assert [frame.number for frame in one.video_frames] == [0, 1, 2]


@pytest.mark.parametrize("head", ["baseline.jpg", "rgb.png", "still.gif", "lossy.webp", "photo.heic", "photo.avif"])
def test_film_behind_a_picture(head: str) -> None:
    """A motion photo, and any other picture with a film appended."""
    film = samples.videos()["clip.mp4"]
    alone = decoded_here(film)  # first: what is compiled in the first decoding counts against the budget of that one
    one = decoded_here(samples.stills()[head] + film)
    assert one.state is State.HASHED
    for frame in alone.video_frames:
        assert min(bits(frame.pdq, seen.pdq) for seen in one.video_frames) == 0


def test_a_film_that_the_budget_cuts_short_is_counted() -> None:
    one = decoded_here(jpeg(1) + samples.videos()["clip.mp4"], limits={"cpu_seconds": 0})
    assert (one.state, one.reason, one.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)


def test_film_in_samsungs_box() -> None:
    film = samples.videos()["clip.mp4"]
    box = struct.pack(">I4s", 8 + len(film), b"mpvd") + film
    one = decoded_here(samples.stills()["photo.heic"] + box)
    assert len(one.video_frames) > 3


def test_what_is_beyond_the_limit_is_counted() -> None:
    one = decoded_here(b"".join(jpeg(seed) for seed in range(1, 5)), limits={"parts": 1})
    assert (one.state, one.reason, one.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 2)
    off = decoded_here(jpeg(1) + samples.videos()["clip.mp4"], formats={"mp4": False})
    assert (off.state, off.reason, off.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)


def test_a_broken_film_behind_a_picture_is_counted() -> None:
    film = samples.videos()["clip.mp4"]
    one = decoded_here(jpeg(1) + film[:200])
    assert (one.state, one.unseen) == (State.PARTIAL, 1)


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_each_picture_of_a_heic_once(primary: int) -> None:
    """The primary is what viewers show, wherever it stands; every other is a frame."""
    images = [Image.fromarray(samples.scene(128, 96, seed)) for seed in (1, 2, 3)]
    holder = pillow_heif.from_pillow(images[0])
    for image in images[1:]:
        holder.add_from_pillow(image)
    sink = io.BytesIO()
    holder.save(sink, quality=90, primary_index=primary)
    one = decoded_here(sink.getvalue())
    plain = [picture.hash_frame(np.asarray(image), rules()).pdq for image in images]
    assert one.hashes is not None and bits(one.hashes.pdq, plain[primary]) <= 20
    assert [frame.number for frame in one.video_frames] == [0, 1, 2]
    for frame, wanted in zip(one.video_frames, plain, strict=True):
        assert bits(frame.pdq, wanted) <= 20


def test_every_page_of_a_tiff() -> None:
    one = decoded_here(samples.stills()["pages.tif"])
    assert [frame.number for frame in one.video_frames] == [0, 1, 2, 3]
    few = decoded_here(samples.stills()["pages.tif"], limits={"parts": 2})
    assert (few.state, few.unseen, len(few.video_frames)) == (State.PARTIAL, 1, 3)


def raw(kind: str) -> bytes:
    """What stands in front of the previews in a camera's raw file, and data behind them."""
    begins = {
        "raf": b"FUJIFILMCCD-RAW 0201" + bytes(128),
        "rw2": b"IIU\0\x18\0\0\0" + bytes(512),
        "crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(64),
        "cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + struct.pack(">I4s", 4096, b"mdat"),
    }
    return begins[kind] + samples.encoded(Image.new("RGB", (32, 24)), "JPEG") + bytes(64) + jpeg(7) + bytes(3000)


@pytest.mark.parametrize("kind", ["raf", "rw2", "crw", "cr3"])
def test_raw_file_by_its_largest_preview(kind: str) -> None:
    one = decoded_here(raw(kind))
    assert (one.state, one.media_type) == (State.HASHED, "image/x-raw")
    assert one.hashes is not None and one.hashes.pdq == pdq(jpeg(7))
    assert decoded_here(raw(kind), formats={"raw": False}).reason is Reason.FORMAT_OFF


def test_bare_colours_under_transparency_are_asked_too() -> None:
    """Other makers of PDQ drop the alpha channel; what we lay on white is asked by its bare colours as well."""
    colours = Image.fromarray(samples.scene(128, 96, 3))
    for alpha in (Image.new("L", colours.size, 128), Image.new("L", colours.size, 0)):
        shown = colours.copy()
        shown.putalpha(alpha)
        with Image.open(io.BytesIO(samples.encoded(shown, "PNG"))) as image:
            hashes = picture.hash_picture(image, rules(), variants=True)
        bare = next(code for name, code, _ in hashes.variants if name == BARE)
        assert bare == picture.hash_frame(np.asarray(colours), rules()).pdq
    with Image.open(io.BytesIO(samples.stills()["rgb.png"])) as image:
        assert BARE not in {name for name, *_ in picture.hash_picture(image, rules(), variants=True).variants}


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.jpg", jpeg(3))
    return made.getvalue()


@pytest.mark.parametrize("tail", ["clip.avi", "clip.wmv", "clip.mpg", "rgb.bmp", "rgb.tif"])
def test_a_picture_or_film_of_any_kind_behind_a_picture_is_seen(tail: str) -> None:
    """Also without one of the long marks that are searched for: what begins where the picture ends is recognised as a file is."""
    data = {**samples.stills(), **samples.videos(), **appended()}[tail]
    one = decoded_here(jpeg(1) + data)
    assert (one.state, one.unseen) == (State.HASHED, 0)
    assert len(one.video_frames) > 1


def appended() -> dict[str, bytes]:
    scene = Image.fromarray(samples.scene(128, 96, 5))
    return {
        "clip.avi": samples.video("avi", "mpeg4", seconds=1, cuts=()),
        "clip.wmv": samples.video("asf", "wmv2", seconds=1, cuts=()),
        "clip.mpg": samples.video("mpeg", "mpeg1video", seconds=1, cuts=(), rate=25),
        "rgb.bmp": samples.encoded(scene, "BMP"),
        "rgb.tif": samples.encoded(scene, "TIFF"),
    }


@pytest.mark.parametrize(
    "archive", [b"Rar!\x1a\x07\1\0".ljust(400, b"x"), b"7z\xbc\xaf\x27\x1c".ljust(400, b"x"), None]
)
def test_an_archive_behind_a_picture_is_counted(archive: bytes | None) -> None:
    one = decoded_here(jpeg(1) + (archive or zipped()))
    assert (one.state, one.reason, one.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)


@pytest.mark.parametrize("film", ["mp4", "avi", "matroska", "asf"])
@pytest.mark.parametrize("tail", ["picture", "film", "archive"])
def test_what_lies_behind_a_film_is_counted(film: str, tail: str) -> None:
    codec = "wmv2" if film == "asf" else "mpeg4"
    data = samples.video(film, codec, seconds=1, cuts=())
    alone = decoded_here(data)
    assert (alone.state, alone.unseen) == (State.HASHED, 0)
    one = decoded_here(
        data
        + {"picture": jpeg(1), "film": samples.video("mp4", "mpeg4", seconds=1, cuts=()), "archive": zipped()}[tail]
    )
    assert (one.state, one.reason, one.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)


def test_a_picture_behind_a_bitmap_is_seen() -> None:
    bitmap = samples.encoded(Image.fromarray(samples.scene(128, 96, 5)), "BMP")
    assert decoded_here(bitmap).video_frames == ()
    assert nearest(decoded_here(bitmap + jpeg(1)), jpeg(1)) == 0


@pytest.mark.parametrize("tail", [bytes(900), b"a trailer of text, as some cameras write it" * 9, b"SEFH" + bytes(300)])
def test_what_is_no_picture_behind_one_changes_nothing(tail: bytes) -> None:
    one = decoded_here(jpeg(1) + tail)
    assert (one.state, one.unseen, one.video_frames) == (State.HASHED, 0, ())


def test_an_archive_inside_a_package_is_not_looked_at_and_neither_is_a_document_with_a_picture() -> None:
    one = decoded_here(zipped())
    assert (one.state, one.reason) == (State.DIGESTS_ONLY, Reason.FORMAT_OFF)
    document = decoded_here(zipped().replace(b"a.jpg", b"xl/aa"))
    assert (document.state, document.reason) == (State.DIGESTS_ONLY, Reason.UNSEEN_CONTENT)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_every_picture_of_a_slide_show_is_seen(kind: str) -> None:
    """An animation is a few pictures of one scene, or as many pictures as anybody likes."""
    slides = [Image.fromarray(samples.scene(96, 64, seed)) for seed in range(9)]
    show = samples.encoded(slides[0], kind, save_all=True, append_images=slides[1:], duration=500)
    one = decoded_here(show)
    assert (one.state, one.unseen, len(one.video_frames)) == (State.HASHED, 0, 9)
    still = decoded_here(samples.encoded(slides[3], "PNG"))
    assert still.hashes is not None
    assert min(bits(frame.pdq, still.hashes.pdq) for frame in one.video_frames) <= 16


def test_a_scene_that_hardly_moves_is_hashed_three_times_and_a_long_show_is_counted() -> None:
    moving = [Image.fromarray(np.roll(samples.scene(96, 64, 1), n, 1)) for n in range(12)]
    shaken = decoded_here(samples.encoded(moving[0], "PNG", save_all=True, append_images=moving[1:], duration=40))
    assert (shaken.state, len(shaken.video_frames)) == (State.HASHED, 3)
    slides = [Image.fromarray(samples.scene(48, 32, seed)) for seed in range(70)]
    many = decoded_here(samples.encoded(slides[0], "PNG", save_all=True, append_images=slides[1:], duration=40))
    assert (many.state, many.reason, many.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)
    assert len(many.video_frames) == 60
