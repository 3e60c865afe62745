"""Which frames of a film are hashed, whatever its times and its length state."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from pipeline.fingerprint.decode.sampler import Frames, Sampler
from pipeline.fingerprint.outcome import State
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.decode.test_video import bits
from tests.pipeline.fingerprint.makers import decoded_here, rules


def sampled(times: list[float | None], most: int = 600, step: float = 0.04) -> list[float]:
    """Seconds of the frames that are hashed of a still picture shown at these times."""
    frames = Frames(most)
    sampler = Sampler(frames, rules()["video"], rules(), 1.0, step)
    for time in times:
        sampler.see(shown(time))
    return [frame.seconds for frame in frames.hashed]


def shown(time: float | None, seed: int = 3) -> Any:
    frame = av.VideoFrame.from_ndarray(samples.scene(64, 48, seed), format="rgb24").reformat(format="yuv420p")
    frame.time_base = Fraction(1, 100_000)
    frame.pts = None if time is None else round(time * 100_000)
    return frame


def test_about_one_a_second() -> None:
    assert sampled([n / 10 for n in range(50)]) == pytest.approx([0, 1, 2, 3, 4])
    assert sampled([0, 60, 120]) == pytest.approx([0, 60, 120])


@pytest.mark.parametrize(
    "times",
    [
        [0.0] * 100,
        [None] * 100,
        [1000.0 - n for n in range(100)],
        [1e6, *[n * 0.04 for n in range(99)]],
        [5.0, None] * 50,
    ],
    ids=["all at once", "none", "backwards", "first far ahead", "one again and again"],
)
def test_times_without_sense_hide_nothing(times: list[float | None]) -> None:
    """Players show such films at their rate: 100 frames at 25 a second are four seconds."""
    assert len(sampled(times)) == 4


def test_frames_crowded_into_a_moment_are_seen() -> None:
    """1,500 frames within a hundredth of a second: whoever sets other times sees them all."""
    assert len(sampled([n * 0.00001 for n in range(1500)])) == 3


@pytest.mark.parametrize("container", ["vob", "mpegts"])
@pytest.mark.parametrize("frames", [600, 6, 3])
def test_films_end_to_end_are_both_sampled(container: str, frames: int) -> None:
    """The times of the second begin anew, and the length that is stated is that of the first."""
    first, second = (film(container, seed) for seed in (3, 77))
    one = decoded_here(first + second, video={"frames": frames})
    assert one.state is State.HASHED
    assert len(one.video_frames) <= frames
    for alone in (first, second):
        wanted = decoded_here(alone).video_frames
        assert min(bits(a.pdq, b.pdq) for a in wanted for b in one.video_frames) <= 31
    seconds = [frame.seconds for frame in one.video_frames]
    assert seconds == sorted(seconds)


def film(container: str, seed: int) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as out:
        stream: Any = out.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for number in range(75):
            pixels = np.ascontiguousarray(np.roll(samples.scene(96, 72, seed), number % 5, axis=1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    return sink.getvalue()


def test_a_film_with_more_frames_than_are_kept_is_seen_to_its_end() -> None:
    """However long it goes on: every second frame is given up, and they are taken half as often."""
    seconds = sampled([n * 0.5 for n in range(200)], most=8)
    assert 4 <= len(seconds) <= 8
    assert seconds[0] == 0 and seconds[-1] > 60
    gaps = np.diff(seconds)
    assert gaps.max() <= 2 * gaps.min()


def test_no_track_is_given_up_for_another() -> None:
    frames = Frames(8)
    one, other = (Sampler(frames, rules()["video"], rules(), 1.0, 0.04) for _ in range(2))
    for n in range(40):
        one.see(shown(float(n), 3))
        other.see(shown(float(n), 77))
    alone = [Frames(8), Frames(8)]
    for kept, seed in zip(alone, (3, 77), strict=True):
        Sampler(kept, rules()["video"], rules(), 1.0, 0.04).see(shown(0.0, seed))
    for kept in alone:
        assert any(frame.pdq == kept.hashed[0].pdq for frame in frames.hashed)
