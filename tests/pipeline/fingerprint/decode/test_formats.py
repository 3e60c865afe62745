"""Formats that suspects have: decoded in the isolated worker, or named as what they are."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.fingerprint.outcome import Failure, Fingerprint, Reason, State
from pipeline.fingerprint.sandbox.pool import Pool
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_stills import outcomes
from tests.pipeline.fingerprint.decode.test_video import bits
from tests.pipeline.fingerprint.makers import decoded_here

CONTAINERS = [
    ("clip.mpg", "mpeg", "mpeg2video", "video/mpeg"),
    ("clip.vob", "dvd", "mpeg2video", "video/mpeg"),
    ("stream.m2v", "mpeg2video", "mpeg2video", "video/mpeg-es"),
    ("clip.ts", "mpegts", "mpeg2video", "video/mp2t"),
    ("clip.flv", "flv", "flv", "video/x-flv"),
    ("clip.wmv", "asf", "wmv2", "video/x-ms-wmv"),
    ("clip.mxf", "mxf", "mpeg2video", "application/mxf"),
    ("clip.rm", "rm", "rv10", "video/x-rm"),
]
PICTURES = {"a.tga": "TGA", "a.pcx": "PCX", "a.ppm": "PPM", "a.dds": "DDS", "a.sgi": "SGI"}
CASES = os.environ.get("TRIAGE_CASES")


@pytest.mark.parametrize(("name", "container", "codec", "kind"), CONTAINERS)
def test_containers(real_pool: Pool, name: str, container: str, codec: str, kind: str) -> None:
    data = samples.video(container, codec, rate=25, size=192 if codec == "rv10" else 96)
    one = outcomes(real_pool, {name: data})[name]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.media_type) == (State.HASHED, kind)
    assert len(one.video_frames) >= 4


def test_a_picture_in_what_is_of_no_known_kind_is_said_to_be_unseen(real_pool: Pool) -> None:
    """Behind a byte too many, behind a page of text, in a cache of thumbnails. A text is none only where it is one to its end."""
    picture, page = samples.encoded(Image.fromarray(samples.scene(320, 240)), "JPEG"), b"[synthetic message 12]\n" * 60
    held = {
        "line.jpg": b"\n" + picture,
        "page.txt": page + picture,
        "Thumbs.db": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + picture,
    }
    plain = {"page.html": page + b"\xff\xd8\xff", "noise.bin": b"\x99\x98\x97" * 2000, "utf16.txt": b"\xff\xfe" + page}
    found = outcomes(real_pool, {**held, **plain})
    for name, one in found.items():
        assert isinstance(one, Fingerprint), (name, one)
        wanted = Reason.UNSEEN_CONTENT if name in held else Reason.NOT_MEDIA
        assert (one.state, one.reason) == (State.DIGESTS_ONLY, wanted), name


def test_camera_stream_with_time_codes(real_pool: Pool) -> None:
    """MTS: four bytes of time before each packet of a transport stream."""
    plain = samples.video("mpegts", "mpeg2video", rate=25)
    timed = b"".join(bytes(4) + plain[at : at + 188] for at in range(0, len(plain), 188))
    one = outcomes(real_pool, {"clip.mts": timed})["clip.mts"]
    assert isinstance(one, Fingerprint) and one.state is State.HASHED
    assert one.media_type == "video/mp2t"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(real_pool: Pool, name: str) -> None:
    scene = Image.fromarray(samples.scene(128, 96))
    one = outcomes(real_pool, {name: samples.encoded(scene, PICTURES[name])})[name]
    assert isinstance(one, Fingerprint), one
    if name == "a.sgi":
        assert (one.state, one.reason) == (State.DIGESTS_ONLY, Reason.FORMAT_OFF)
    else:
        plain = decoded_here(samples.encoded(scene, "PNG"))
        assert one.hashes is not None and plain.hashes is not None
        assert (one.state, one.hashes.pdq) == (State.HASHED, plain.hashes.pdq)


def test_what_is_off_is_named(real_pool: Pool) -> None:
    found = outcomes(real_pool, {n: d for n, d in samples.risky_stills().items() if not n.endswith("jxl")})
    assert {(o.reason, o.media_type) for o in found.values()} == {
        (Reason.FORMAT_OFF, "image/jp2"),
        (Reason.FORMAT_OFF, "image/vnd.adobe.photoshop"),
    }


@pytest.mark.skipif(not CASES, reason="TRIAGE_CASES is not set: the collected inputs are not here")
class TestCollectedInputs:
    """Inputs that failed on the first version; each stands for a kind that is tested above."""

    def one(self, pool: Pool, name: str) -> Fingerprint | Failure:
        return outcomes(pool, {name: (Path(str(CASES)) / "media" / name).read_bytes()})[name]

    def near(self, pool: Pool, name: str) -> int:
        """Bits between the known picture and the nearest frame."""
        known = bytes.fromhex((Path(str(CASES)) / "known_pdq.txt").read_text().split()[0])
        found = self.one(pool, name)
        assert isinstance(found, Fingerprint), found
        return min(bits(known, frame.pdq) for frame in found.video_frames)

    @pytest.mark.parametrize(
        "name",
        ["av1.mp4", "bad_1_av1.mp4", "06_two_tracks.mkv", "05_hflip.mp4", "03_heic_primary_second.heic", "06_c.wmv"],
    )
    def test_known_picture_is_met(self, real_pool: Pool, name: str) -> None:
        assert self.near(real_pool, name) <= 31

    def test_damaged_film(self, real_pool: Pool) -> None:
        found = self.one(real_pool, "bad_1_av1.mp4")
        assert isinstance(found, Fingerprint)
        assert (found.state, found.reason) == (State.PARTIAL, Reason.TRUNCATED)
        assert found.skipped_packets > 0
        assert found.video_frames[-1].seconds > 20

    def test_truncated_film(self, real_pool: Pool) -> None:
        found = self.one(real_pool, "06_trunc_frag.mp4")
        assert isinstance(found, Fingerprint) and found.video_frames
        assert found.state is State.PARTIAL

    def test_text(self, real_pool: Pool) -> None:
        found = self.one(real_pool, "07_text_free.txt")
        assert (found.media_type, found.reason) == ("text/plain", Reason.NOT_MEDIA)

    def test_bare_colours(self) -> None:
        from pipeline.fingerprint.hashes import picture
        from pipeline.fingerprint.outcome import BARE
        from tests.pipeline.fingerprint.makers import rules

        folder = Path(str(CASES)) / "media"
        codes = []
        for name in ("00_ref.png", "02_half_transparent.png"):
            with Image.open(io.BytesIO((folder / name).read_bytes())) as image:
                hashes = picture.hash_picture(image, rules(), variants=True)
            codes.append({**{n: code for n, code, _ in hashes.variants}, "plain": hashes.pdq})
        assert bits(codes[0]["plain"], codes[1][BARE]) <= 2
