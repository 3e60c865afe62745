"""A video that still plays is still seen: damage, several tracks, mirrored and turned frames, sound without a picture."""

from __future__ import annotations

import io
import itertools
import random
from typing import Any

import av
import numpy as np
import pytest

from bench import video_damage
from pipeline.fingerprint.decode import sampler
from pipeline.fingerprint.decode.sampler import displayed
from pipeline.fingerprint.outcome import Fingerprint, Reason, Refusal, State
from pipeline.fingerprint.sandbox.pool import Pool
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_video import bits
from tests.pipeline.fingerprint.makers import decoded_here


def players_frames(data: bytes) -> int:
    """Frames that FFmpeg gives when each packet is tried by itself, as a player does."""
    found = 0
    with av.open(io.BytesIO(data), metadata_errors="ignore") as container:
        if not container.streams.video:
            return 0
        packets = container.demux(container.streams.video[0])
        while True:
            try:
                packet = next(packets)
                found += len(packet.decode())
            except StopIteration:
                return found
            except av.FFmpegError:
                continue


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libsvtav1"), ("mp4", "libx265"), ("avi", "mjpeg"), ("mp4", "libx264")]
)
def test_frames_behind_damage_are_seen(container: str, codec: str) -> None:
    """Some thousand bytes overwritten between 10 and 50 % of the file: everything that plays afterwards is sampled."""
    make = samples.video_apart if codec == "libsvtav1" else samples.video
    whole = make(container, codec, seconds=24, rate=10, cuts=tuple(range(1, 24)), size=160)
    intact = decoded_here(whole)
    rng = random.Random(codec)
    for _ in range(4):
        data = bytearray(whole)
        at = rng.randrange(len(data) // 10, len(data) // 2)
        count = min(rng.randrange(50, 2000), len(data) // 20)
        data[at : at + count] = rng.randbytes(count)
        one = decoded_here(bytes(data))
        assert one.video_frames[-1].seconds >= 20, "the damage does not hide what comes after it"
        assert len(one.video_frames) >= len(intact.video_frames) / 2
        assert (one.state is State.PARTIAL) == (one.skipped_packets > 0)
        assert one.reason in (Reason.NONE, Reason.TRUNCATED)


def test_skipped_packets_are_counted() -> None:
    whole = samples.video("matroska", "mjpeg", seconds=6, rate=5, cuts=())
    data = bytearray(whole)
    places = [at for at in range(len(data) - 2) if data[at : at + 3] == b"\xff\xd8\xff"]
    for at in places[5:12]:
        data[at : at + 300] = bytes(300)
    one = decoded_here(bytes(data))
    assert (one.state, one.reason, one.skipped_packets) == (State.PARTIAL, Reason.TRUNCATED, 7)
    assert one.video_frames[-1].seconds >= 5


def test_truncated_fragmented_film_gives_the_frames_before_the_cut() -> None:
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as out:
        stream: Any = out.add_stream("libx264", rate=10, options={"g": "1000", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.roll(samples.scene(96, 72), number, axis=1), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    whole = sink.getvalue()
    cut = whole[: whole.index(b"mdat") + (len(whole) - whole.index(b"mdat")) * 6 // 10]
    one = decoded_here(cut)
    assert one.state is State.PARTIAL
    assert one.video_frames and one.video_frames[0].seconds < 1


def two_tracks(first: int, second: int) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="matroska") as out:
        tracks: list[Any] = [out.add_stream("mpeg4", rate=5), out.add_stream("mpeg4", rate=5)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 96, 72, "yuv420p"
        for _ in range(15):
            for track, seed in zip(tracks, (first, second), strict=True):
                picture = av.VideoFrame.from_ndarray(samples.scene(96, 72, seed), format="rgb24")
                out.mux(track.encode(picture))
        for track in tracks:
            out.mux(track.encode())
    return sink.getvalue()


def alone(seed: int) -> Fingerprint:
    return decoded_here(two_tracks(seed, seed))


def test_every_track_is_sampled() -> None:
    one = decoded_here(two_tracks(21, 22))
    assert (one.state, one.unseen) == (State.HASHED, 0)
    for seed in (21, 22):
        wanted = alone(seed).video_frames[0].pdq
        assert min(bits(wanted, frame.pdq) for frame in one.video_frames) <= 10
    assert all(b.number > a.number and b.seconds >= a.seconds for a, b in itertools.pairwise(one.video_frames))


def test_a_track_beyond_the_limit_is_counted() -> None:
    one = decoded_here(two_tracks(21, 22), video={"tracks": 1})
    assert (one.state, one.reason, one.unseen) == (State.PARTIAL, Reason.UNSEEN_CONTENT, 1)
    assert one.video_frames


@pytest.mark.parametrize("matrix", list(itertools.product((1, -1), (1, -1), (False, True))))
def test_display_matrix_as_a_player_applies_it(matrix: tuple[int, int, bool]) -> None:
    """Every one of the eight, against the definition: the point (x, y) is shown at (a x + c y, b x + d y)."""
    one, two, turned = matrix
    a, b, c, d = (0, one, two, 0) if turned else (one, 0, 0, two)
    pixels = np.random.default_rng(5).integers(0, 256, (5, 7, 3), np.uint8)
    places = {(a * x + c * y, b * x + d * y): pixels[y, x] for y in range(5) for x in range(7)}
    left, top = (min(place[k] for place in places) for k in (0, 1))
    expected = np.zeros((7, 5, 3) if turned else (5, 7, 3), np.uint8)
    for (x, y), pixel in places.items():
        expected[y - top, x - left] = pixel
    shown = displayed(pixels, np.array([[a, b], [c, d]], np.int32) * 65536)
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(displayed(pixels, None), pixels)


@pytest.mark.parametrize(("a", "d", "rows", "columns"), [(-1, 1, 1, -1), (1, -1, -1, 1), (-1, -1, -1, -1)])
def test_mirrored_film_is_seen_as_it_is_shown(a: int, d: int, rows: int, columns: int) -> None:
    """A matrix in the container that mirrors: the frames are those of a film that was recorded mirrored."""
    plain = samples.videos()["clip.mp4"]
    identity = b"".join(n.to_bytes(4, "big") for n in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    values = (a * 65536, 0, 0, 0, d * 65536, 0, 0, 0, 1 << 30)
    at = plain.rindex(identity)
    changed = plain[:at] + b"".join((n & 0xFFFFFFFF).to_bytes(4, "big") for n in values) + plain[at + 36 :]
    with av.open(io.BytesIO(plain)) as container:
        pixels = next(container.decode(container.streams.video[0])).to_ndarray(format="rgb24")
    from pipeline.fingerprint.hashes import picture
    from tests.pipeline.fingerprint.makers import rules

    expected = picture.hash_frame(np.ascontiguousarray(pixels[::rows, ::columns]), rules()).pdq
    assert bits(decoded_here(changed).video_frames[0].pdq, expected) <= 6
    assert bits(decoded_here(plain).video_frames[0].pdq, expected) > 60


def test_sound_alone_is_no_video() -> None:
    sink = io.BytesIO()
    with av.open(sink, "w", format="matroska") as out:
        stream: Any = out.add_stream("flac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    one = decoded_here(sink.getvalue())
    assert (one.state, one.reason, one.detail) == (State.DIGESTS_ONLY, Reason.NOT_MEDIA, "sound")
    held = decoded_here(sink.getvalue() + samples.stills()["baseline.jpg"])
    assert (held.state, held.reason, held.unseen) == (State.DIGESTS_ONLY, Reason.UNSEEN_CONTENT, 1)


def test_players_oracle_agrees() -> None:
    """The oracle of the generator below: an intact film has all its frames."""
    assert players_frames(samples.videos()["clip.mkv"]) == 32


@pytest.mark.parametrize("name", list(samples.videos()))
def test_mutated_films_end_well(name: str) -> None:
    """Any bytes changed: an outcome; and whenever FFmpeg plays frames, the sampler has seen some."""
    whole = samples.videos()[name]
    rng = random.Random(name)
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 40)):
            data[rng.randrange(300, len(data))] = rng.randrange(256)
        try:
            one: Fingerprint | None = decoded_here(bytes(data))
        except Refusal:
            one = None
        try:
            played = players_frames(bytes(data))
        except av.FFmpegError:
            continue
        if played and one is not None and one.reason is not Reason.FORMAT_OFF:
            assert one.video_frames


def test_damaged_packets_through_the_isolated_workers(real_pool: Pool) -> None:
    """A share of bench/video_damage.py: no worker dies, and what FFmpeg shows behind the damage is seen."""
    numbers = list(range(90))
    found = list(video_damage.through(real_pool, real_pool.settings.landing_dir, numbers, 2026))
    latest = [video_damage.played(one.data) for one, _ in found]
    unseen = [
        n for n, last, (one, got) in zip(numbers, latest, found, strict=True) if video_damage.unseen(one, last, got)
    ]
    assert unseen == []
    assert sum(last is not None and last > one.damaged_until for last, (one, _) in zip(latest, found, strict=True)) > 60
    assert not any(real_pool.report.deaths.values())


def test_a_frame_is_scaled_by_one_thread() -> None:
    """FFmpeg would start one a core for every frame; the worker's limits refuse that after some films, whatever they are."""
    asked = []

    class Frame:
        def reformat(self, **words: Any) -> Any:
            asked.append(words)
            return av.VideoFrame.from_ndarray(np.zeros((2, 2, 3), np.uint8), format="rgb24")

    sampler._scaled(Frame(), 2, 2, "rgb24")
    assert asked == [{"width": 2, "height": 2, "format": "rgb24", "threads": 1}]


@pytest.mark.parametrize("matrix", [3, 12, 13, 15, 200])
def test_a_colour_matrix_that_nobody_defined_hides_nothing(matrix: int) -> None:
    """A few bytes of a stream state it; players show the frame as if nothing were stated."""
    pixels = samples.scene(96, 72, 5)
    plain = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    wanted = sampler._scaled(plain, 48, 36, "rgb24")
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    frame.colorspace = matrix
    np.testing.assert_array_equal(sampler._scaled(frame, 48, 36, "rgb24"), wanted)
