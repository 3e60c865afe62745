"""Videos: frames about one a second and at cuts, in every container; damaged, endless and foreign ones."""

from __future__ import annotations

import io
import itertools
import struct
import tempfile
from typing import Any

import av
import numpy as np
import pytest

from pipeline.fingerprint.outcome import Failure, Fingerprint, Reason, Refusal, State
from pipeline.fingerprint.sandbox.pool import Pool
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_stills import outcomes
from tests.pipeline.fingerprint.makers import decoded_here


def bits(one: bytes, other: bytes) -> int:
    return int(np.unpackbits(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum())


@pytest.fixture(scope="module")
def found(real_pool: Pool) -> dict[str, Fingerprint | Failure]:
    return outcomes(real_pool, samples.videos())


@pytest.mark.parametrize("name", list(samples.videos()))
def test_every_container(found: dict[str, Fingerprint | Failure], name: str) -> None:
    one = found[name]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.reason) == (State.HASHED, Reason.NONE)
    assert one.media_type.startswith("video/")
    assert (one.width, one.height, one.frames) == (96, 72, 32)
    assert one.duration == pytest.approx(4, abs=0.3)
    assert one.hashes is None
    assert one.variants and all(v.name.endswith(" s") and ", at " in v.name for v in one.variants)  # of key frames
    seconds = [f.seconds for f in one.video_frames]
    assert 4 <= len(seconds) <= 6
    assert seconds[0] == 0
    assert all(0 < b - a <= 1.2 for a, b in itertools.pairwise(seconds))


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx265"),
        ("mp4", "libsvtav1"),
        ("webm", "libvpx-vp9"),
        ("avi", "msmpeg4v2"),
        ("avi", "msmpeg4v3"),
        ("mp4", "mpeg2video"),
        ("matroska", "mpeg1video"),
    ],
)
def test_every_codec_of_the_policy(real_pool: Pool, container: str, codec: str) -> None:
    """What phones, cameras and the web have written, decoded in the isolated worker with one thread."""
    data = (samples.video_apart if codec == "libsvtav1" else samples.video)(container, codec, rate=25)
    one = outcomes(real_pool, {f"{codec}.{container}": data})[f"{codec}.{container}"]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.reason) == (State.HASHED, Reason.NONE)
    assert len(one.video_frames) >= 4


def test_same_picture_in_every_container(found: dict[str, Fingerprint | Failure]) -> None:
    """The first frame of all five is the same scene: its hashes are near to each other and far from the second scene's."""
    frames = {name: o.video_frames for name, o in found.items() if isinstance(o, Fingerprint)}
    first = frames["clip.mkv"][0].pdq
    for shown in frames.values():
        assert bits(first, shown[0].pdq) <= 30
        assert bits(first, shown[-1].pdq) > 60


def test_scene_changes_are_hashed(real_pool: Pool) -> None:
    """Cuts between the regular samples get a frame of their own."""
    data = samples.video("matroska", "mpeg4", seconds=4, rate=10, cuts=(0.5, 1.5, 1.8, 3.4))
    one = outcomes(real_pool, {"cuts.mkv": data})["cuts.mkv"]
    assert isinstance(one, Fingerprint)
    seconds = [f.seconds for f in one.video_frames]
    for cut in (0.5, 1.5, 1.8, 3.4):
        assert any(abs(s - cut) < 0.06 for s in seconds), (cut, seconds)


def test_long_video_is_sampled_evenly() -> None:
    one = decoded_here(samples.video("matroska", "mpeg4", seconds=20, rate=5, cuts=()), video={"frames": 5})
    assert [round(f.seconds) for f in one.video_frames] == [0, 4, 8, 12, 16]


def test_key_frames_only_beyond_the_budget() -> None:
    data = samples.video("matroska", "mpeg4", seconds=10, rate=10, cuts=())
    one = decoded_here(data, video={"full_pixels": 1000})
    assert one.state is State.HASHED
    assert one.frames is not None and one.frames < 100, "only key frames were seen"
    assert len(one.video_frames) >= 5


@pytest.mark.parametrize(("container", "codec"), [("matroska", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx")])
def test_truncated_video_keeps_its_frames(real_pool: Pool, container: str, codec: str) -> None:
    whole = samples.video(container, codec, seconds=20, size=200, cuts=())
    one = outcomes(real_pool, {f"cut.{container}": whole[: len(whole) * 6 // 10]})[f"cut.{container}"]
    assert isinstance(one, Fingerprint), one
    assert 5 <= len(one.video_frames) <= 15


def test_rotation_is_applied(real_pool: Pool) -> None:
    """A phone held upright writes a quarter turn beside the pictures."""
    plain = samples.videos()["clip.mp4"]
    identity = b"".join(n.to_bytes(4, "big") for n in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    turned = b"".join((n & 0xFFFFFFFF).to_bytes(4, "big") for n in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    at = plain.rindex(identity)
    found = outcomes(real_pool, {"p.mp4": plain, "t.mp4": plain[:at] + turned + plain[at + 36 :]})
    upright, quarter = found["p.mp4"], found["t.mp4"]
    assert isinstance(upright, Fingerprint) and isinstance(quarter, Fingerprint)
    assert (quarter.width, quarter.height) == (upright.height, upright.width)
    assert bits(upright.video_frames[0].pdq, quarter.video_frames[0].pdq) > 60


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("clip.mp4", {"video": {"codecs": ["h264"]}}, Reason.FORMAT_OFF),
        ("clip.avi", {"formats": {"avi": False}}, Reason.FORMAT_OFF),
        ("clip.mov", {"video": {"pixels": 1000}}, Reason.TOO_MANY_PIXELS),
    ],
)
def test_refusals(name: str, change: dict[str, Any], reason: Reason) -> None:
    """A codec or container that is off: digests only. Too many pixels: rejected."""
    if reason is Reason.FORMAT_OFF:
        assert decoded_here(samples.videos()[name], **change).reason is reason
    else:
        with pytest.raises(Refusal) as refused:
            decoded_here(samples.videos()[name], **change)
        assert refused.value.reason is reason


def test_broken_container(real_pool: Pool) -> None:
    one = outcomes(real_pool, {"broken.mp4": samples.videos()["clip.mp4"][:60]})["broken.mp4"]
    assert one.reason is Reason.MALFORMED
    assert one.digests is not None


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def sound(*covers: bytes) -> bytes:
    """An M4A of silence, with pictures in its `covr` atom."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        for n in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, n * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = out.getvalue()
    if not covers:
        return data
    listed = box(b"covr", b"".join(box(b"data", struct.pack(">II", 13, 0) + cover) for cover in covers))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", listed)))
    at = data.rindex(b"moov") - 4  # the last box, since it is written when the sound is
    head, moov = data[:at], data[at + 8 :]
    return head + box(b"moov", moov[: moov.rindex(b"udta") - 4] + tags)


@pytest.mark.parametrize("names", [("baseline.jpg",), ("rgb.png",), ("rgb.png", "baseline.jpg")])
def test_covers_of_an_m4a_are_seen(names: tuple[str, ...]) -> None:
    """FFmpeg shows them as tracks of one frame: they are hashed as pictures of a film are, and nothing of the file is unseen."""
    stills = samples.stills()
    plain = decoded_here(sound())
    assert (plain.state, plain.reason, plain.detail) == (State.DIGESTS_ONLY, Reason.NOT_MEDIA, "sound")
    found = decoded_here(sound(*(stills[name] for name in names)))
    assert (found.state, found.reason, found.unseen, len(found.video_frames)) == (
        State.HASHED,
        Reason.NONE,
        0,
        len(names),
    )


def test_a_cover_of_an_m4a_that_cannot_be_decoded_is_not_passed_over() -> None:
    """A picture of another kind than the atom can say."""
    with pytest.raises(Refusal) as refused:
        decoded_here(sound(samples.stills()["lossy.webp"]))
    assert refused.value.reason is Reason.NO_FRAMES


def test_processor_budget_keeps_what_is_there() -> None:
    data = samples.video("matroska", "mpeg4", seconds=30, rate=10, cuts=(), size=320)
    one = decoded_here(data, video={"cpu_seconds": 0.02, "interval": 0.1})
    assert (one.state, one.reason) == (State.PARTIAL, Reason.VIDEO_BUDGET)
    assert 1 <= len(one.video_frames) < 300


def test_large_video_is_read_from_its_file(real_pool: Pool) -> None:
    """What does not fit in memory is decoded from the open file: the same frames."""
    data = samples.videos()["clip.mov"]
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        from_file = decoded_here(data, content=file)
    one = outcomes(real_pool, {"m.mov": data})["m.mov"]
    assert isinstance(one, Fingerprint)
    assert from_file.video_frames == one.video_frames
