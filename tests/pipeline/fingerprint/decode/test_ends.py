"""Where a picture or film ends in its file, and what lies behind that: pictures are seen, behind films they are counted."""

from __future__ import annotations

import io
import random
import struct
import tempfile
from functools import cache

import av
import pytest
from PIL import Image

from pipeline.fingerprint.decode import embedded, ends, filmends
from pipeline.fingerprint.decode.sniff import HEAD, media_type
from pipeline.fingerprint.outcome import Reason, State
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_further import jpeg, nearest, zipped
from tests.pipeline.fingerprint.makers import decoded_here

FILMS = {
    "flv": ("flv", "flv"),
    "mpegps": ("vob", "mpeg2video"),
    "mpegts": ("mpegts", "mpeg2video"),
    "mxf": ("mxf", "mpeg2video"),
    "ogg": ("ogg", "libvpx"),
    "asf": ("asf", "wmv2"),
    "matroska": ("matroska", "mpeg4"),
    "mp4": ("mp4", "mpeg4"),
    "avi": ("avi", "mpeg4"),
}
PICTURES = ("TIFF", "ICO", "TGA", "PPM", "BMP")
UNTOLD = ("PCX", "DDS")
"""Formats whose own structure does not tell where they end (run-length codes, compressed blocks)."""


@cache
def film(family: str) -> bytes:
    if family == "dv":
        return camcorder()
    container, codec = FILMS[family]
    return samples.video(container, codec, seconds=0.4, cuts=(), rate=25)


def camcorder() -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="dv") as out:
        stream = out.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(samples.scene(720, 576, 3), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
    return sink.getvalue()


def still(kind: str) -> bytes:
    return samples.encoded(Image.fromarray(samples.scene(128, 96, 5)), kind)


def family_of(data: bytes) -> str | None:
    return media_type(data[:HEAD]).family


@pytest.mark.parametrize("family", [*FILMS, "dv"])
def test_a_film_ends_where_its_container_says(family: str) -> None:
    data = film(family)
    assert family_of(data) == family
    for tail in (b"", jpeg(1), bytes(5000), bytes(300) + jpeg(1), b"a trailer of text " * 90):
        assert ends.end_of(data + tail, family) == len(data)


@pytest.mark.parametrize("family", [*FILMS, "dv"])
@pytest.mark.parametrize("tail", ["picture", "film", "archive", "behind zeros", "behind text"])
def test_what_lies_behind_a_film_is_counted(family: str, tail: str) -> None:
    tails = {
        "picture": jpeg(1),
        "film": samples.videos()["clip.mp4"],
        "archive": zipped(),
        "behind zeros": bytes(5000) + jpeg(1),
        "behind text": b"text of a trailer " * 90 + jpeg(1),
    }
    assert len(embedded.further(film(family) + tails[tail], family)) == 1


@pytest.mark.parametrize("family", ["flv", "mpegps", "mpegts", "dv", "mxf", "ogg"])
def test_a_film_with_something_behind_it_is_partial(family: str) -> None:
    alone, more = decoded_here(film(family)), decoded_here(film(family) + jpeg(1))
    assert (alone.state, alone.unseen) == (State.HASHED, 0)
    assert (more.state, more.reason, more.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)
    assert [f.pdq for f in more.video_frames] == [f.pdq for f in alone.video_frames]


@pytest.mark.parametrize("family", ["flv", "mxf", "ogg", "asf", "matroska", "mp4", "avi"])
def test_a_second_film_of_the_same_kind_is_counted(family: str) -> None:
    assert len(embedded.further(film(family) * 2, family)) == 1


@pytest.mark.parametrize("family", ["mpegps", "mpegts", "dv"])
def test_streams_end_to_end_are_one_film_to_every_player(family: str) -> None:
    assert embedded.further(film(family) * 2, family) == []


def test_a_transport_stream_that_lost_bytes_goes_on_behind_them() -> None:
    data = film("mpegts")
    assert ends.end_of(data[:1880] + data[1950:], "mpegts") == len(data) - 70
    assert ends.end_of(data[:1880] + bytes(400) + data[1880:] + jpeg(1), "mpegts") == len(data) + 400


@pytest.mark.parametrize("mark", ["segment", "cluster"])
def test_a_live_recording_states_no_sizes(mark: str) -> None:
    """What browsers record: segment and clusters of unknown size."""
    data = bytearray(film("matroska"))
    for name, element in (("segment", b"\x18\x53\x80\x67"), ("cluster", b"\x1f\x43\xb6\x75")):
        at = data.index(element) + 4
        length = 9 - data[at].bit_length()
        data[at : at + length] = (
            (b"\x01" + b"\xff" * 7) if length == 8 else bytes([(1 << (9 - length)) - 1]) + b"\xff" * (length - 1)
        )
        if name == mark:
            break
    assert ends.end_of(bytes(data), "matroska") == len(data)
    assert ends.end_of(bytes(data) + jpeg(1), "matroska") == len(data)


def real(size: int) -> bytes:
    """The chunks of a RealMedia file, without anything that could be decoded."""
    chunks = [(b".RMF", 18), (b"PROP", 50), (b"MDPR", 90), (b"DATA", size)]
    return b"".join(struct.pack(">4sI", kind, length).ljust(length or 900, b"\1") for kind, length in chunks)


def test_end_of_realmedia() -> None:
    assert ends.end_of(real(900), "rm") == len(real(900))
    for short in (0, 10):  # FFmpeg states ten bytes too many, which are then the first of what follows
        found = embedded.further(real(900)[: len(real(900)) - short] + jpeg(1), "rm")
        assert [part.media.name for part in found] == ["image/jpeg"], short
    assert ends.end_of(real(900) * 2, "rm") == len(real(900)) - 10
    assert ends.end_of(real(0), "rm") is None  # a live recording: all of it is searched
    assert len(embedded.further(real(0) + jpeg(1), "rm")) == 1


def test_end_of_an_elementary_stream() -> None:
    """It has no lengths: its end code tells, and where that is missing all of it is searched."""
    data = samples.video("mpeg2video", "mpeg2video", seconds=0.4, cuts=(), rate=25)
    assert family_of(data) == "mpegps"
    assert ends.end_of(data + b"\0\0\1\xb7" + jpeg(1), "mpegps") == len(data) + 4
    for between in (b"", b"\0\0\1\xb7"):
        assert len(embedded.further(data + between + jpeg(1), "mpegps")) == 1
        assert embedded.further(data + between, "mpegps") == []


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_ends_where_its_structure_says(kind: str) -> None:
    data = still(kind)
    for tail in (b"", jpeg(1), bytes(900)):
        assert ends.end_of(data + tail, family_of(data)) == len(data)


@pytest.mark.parametrize("kind", [*PICTURES, *UNTOLD])
def test_a_picture_behind_a_picture_is_seen(kind: str) -> None:
    assert decoded_here(still(kind)).video_frames == ()
    for between in (b"", b"text of a trailer " * 90):
        one = decoded_here(still(kind) + between + jpeg(1))
        assert (one.state, nearest(one, jpeg(1))) == (State.HASHED, 0)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("big", [False, True])
def test_end_of_a_tiff(compression: str, pages: int, big: bool) -> None:
    scenes = [Image.fromarray(samples.scene(128, 96, seed)) for seed in range(pages)]
    data = samples.encoded(
        scenes[0], "TIFF", compression=compression, save_all=True, append_images=scenes[1:], big_tiff=big
    )
    end = ends.end_of(data + jpeg(1), "tiff")
    assert end is not None and 0 <= len(data) - end < 16  # the writer fills up with zeros behind each page
    assert len(embedded.further(data + jpeg(1), "tiff")) == 1
    assert embedded.further(data, "tiff") == []


def test_directories_that_make_no_sense_tell_no_end() -> None:
    data = bytearray(still("TIFF"))
    rng = random.Random(5)
    for _ in range(300):
        broken = bytearray(data)
        broken[rng.randrange(4, 200)] = rng.randrange(256)
        end = ends.end_of(bytes(broken), "tiff")
        assert end is None or 8 <= end <= len(data)
    circle = b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 8)
    assert ends.end_of(circle, "tiff") == len(circle)


@pytest.mark.parametrize("family", [*FILMS, "dv"])
def test_any_damage_ends_the_search_and_not_the_worker(family: str) -> None:
    rng = random.Random(7)
    data = film(family)[:60000]
    for _ in range(100):
        broken = bytearray(data)
        for _ in range(3):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        end = ends.end_of(bytes(broken[: rng.randrange(64, len(broken))]), family)
        assert end is None or 0 <= end <= len(broken)


def test_chance_makes_no_picture_where_all_is_searched() -> None:
    """Three bytes of a JPEG occur by chance in every sixteen million."""
    noise = random.Random(3).randbytes(4000)
    assert (
        embedded.further(noise + b"\xff\xd8\xff\x11" + noise + b"PK\3\4" + noise + b"\0\0\0\x09\0\0\0\0" + noise, "pcx")
        == []
    )


@pytest.mark.parametrize("family", ["mp4", "avi", "matroska", "asf", "flv", "mxf", "ogg", "dv", "mpegps"])
def test_behind_a_film_that_is_too_large_for_memory(family: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(film(family) + jpeg(1))
        assert embedded.behind_on_disk(file, family, 1 << 20) == 1
        file.truncate(len(film(family)))
        assert embedded.behind_on_disk(file, family, 1 << 20) == 0


def test_a_film_on_disk_of_too_many_pieces_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "DISK_SECONDS", -1.0)
    with tempfile.TemporaryFile() as file:
        file.write(film("flv") + jpeg(1))
        assert embedded.behind_on_disk(file, "flv", 1 << 20) == 0
    assert filmends.WALKS.keys() >= FILMS.keys()
