"""Videos: digests always; frames about one a second and at scene changes, hashed as PDQ with their time.

| video | rule |
|---|---|
| container or codec not in the policy | digests only |
| several tracks | each of the first `tracks`; further ones, and those whose codec is off, are counted as unseen |
| longer than `frames` x `interval` | sampled evenly at duration / `frames`; longer than stated: more and more rarely, to its end |
| times that go back or stand still (films put end to end) | the clock goes on by the film's rate |
| more pixels in all than `full_pixels` | only key frames are decoded; scene changes then mean key frames that differ |
| a picture, another film or an archive behind its end | counted as unseen |
| display matrix in the container | applied: turned and mirrored |
| a packet that cannot be read or decoded | skipped and counted, and decoding goes on: `partial` |
| out of its processor time | the frames so far: `partial` |
| sound and no picture | no video: digests only |

FFmpeg players skip what they cannot decode and show the rest, so whoever damages a few bytes of a video does not hide what
comes after them.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av

from pipeline.fingerprint.decode import embedded
from pipeline.fingerprint.decode.sampler import Frames, Sampler
from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.facts import Exif, clean_text, parse_time
from pipeline.fingerprint.machine import blame_file
from pipeline.fingerprint.outcome import Fingerprint, Reason, Refusal, State

MOST_VARIANTS = 512
"""Variants of key frames that an answer of the worker has room for."""

READ_ERRORS = 64
"""Errors of the container in a row, without one packet between them, after which nothing more is to be had from it."""


@dataclass
class Tracks:
    """What the tracks of one container gave. `unseen` tracks were not decoded; `skipped` packets could not be."""

    frames: Frames
    reason: Reason = Reason.NONE
    detail: str = ""
    skipped: int = 0
    unseen: int = 0
    too_large: int = 0
    off: int = 0

    def behind(self, number: int) -> None:
        """Count pictures, films and archives behind the end of the film."""
        self.unseen += number
        if self.unseen and self.reason is Reason.NONE:
            self.reason = Reason.UNSEEN_CONTENT


def hash_video(task: Task) -> Fingerprint:
    """Fingerprint of a video. Raises Refusal."""
    rules = task.policy["video"]
    behind = _behind(task)  # before the film's own time begins: its decoding may take all of that
    container = _open(task.content, task.media.decoder)
    with container:
        if not container.streams.video:
            if container.streams.audio:
                reason = Reason.UNSEEN_CONTENT if behind else Reason.NOT_MEDIA
                return Fingerprint(task.digests, task.media.name, State.DIGESTS_ONLY, reason, "sound", unseen=behind)
            raise Refusal(Reason.NO_FRAMES)
        found = sample(container, task.policy, rules["frames"], rules["cpu_seconds"])
        if not found.frames.hashed:
            return _nothing(task, found)
        stream = container.streams.video[0]
        found.behind(behind)
        return Fingerprint(
            task.digests,
            task.media.name,
            State.HASHED if found.reason is Reason.NONE else State.PARTIAL,
            found.reason,
            found.detail,
            found.frames.width,
            found.frames.height,
            max(1, min(int(stream.frames or found.frames.decoded), 2**31 - 1)),
            _duration(container, stream),
            None,
            _facts(container),
            tuple({v.name: v for v in found.frames.variants}.values())[:MOST_VARIANTS],
            tuple(found.frames.hashed),
            skipped_packets=found.skipped,
            unseen=found.unseen,
        )


def hash_clip(content: BinaryIO, demuxer: str, policy: dict[str, Any], frames: int, seconds: float) -> Tracks:
    """Frames of a video that lies inside another file. `frames` and processor `seconds` at most. Raises Refusal."""
    with _open(content, demuxer) as container:
        return sample(container, policy, frames, seconds)


def _behind(task: Task) -> int:
    """How many pictures, films and archives lie behind the end of a film."""
    if isinstance(task.content, io.BytesIO):
        return len(embedded.further(task.content.getvalue(), task.media.family))
    number = embedded.behind_on_disk(task.content, task.media.family, task.policy["limits"]["buffer_mb"] << 20)
    task.content.seek(0)
    return number


def _open(content: BinaryIO, demuxer: str) -> Any:
    av.logging.set_level(av.logging.PANIC)
    try:
        return av.open(content, mode="r", format=demuxer, metadata_errors="ignore")
    except MemoryError:
        raise
    except Exception as error:
        blame_file(error)
        raise Refusal(Reason.MALFORMED, type(error).__name__) from error


def _nothing(task: Task, found: Tracks) -> Fingerprint:
    """A container without a frame: its codecs are off, its pictures too large, or nothing in it can be decoded."""
    if found.too_large:
        raise Refusal(Reason.TOO_MANY_PIXELS)
    if found.off:
        return Fingerprint(task.digests, task.media.name, State.DIGESTS_ONLY, Reason.FORMAT_OFF, "codec")
    raise Refusal(Reason.NO_FRAMES, found.detail)


def sample(container: Any, policy: dict[str, Any], most: int, seconds: float) -> Tracks:
    """Hash frames of the first tracks of an open container, packet by packet, to its end or that of `seconds`."""
    rules = policy["video"]
    found = Tracks(Frames(most))
    streams = container.streams.video
    samplers: dict[int, Sampler] = {}
    chosen: list[Any] = []
    for stream in streams:
        if len(chosen) < rules["tracks"] and _usable(stream, rules, found):
            chosen.append(stream)
        else:
            found.unseen += 1
    for stream in chosen:
        length = _duration(container, stream) or 0.0
        interval = max(rules["interval"], length * len(chosen) / most)
        rate = float(stream.average_rate or 25)
        samplers[stream.index] = Sampler(found.frames, rules, policy, interval, 1 / rate)
        codec = stream.codec_context
        codec.thread_count = 1
        if length * rate * codec.width * codec.height > rules["full_pixels"]:
            codec.skip_frame = "NONKEY"
    if chosen:
        _decode(container, chosen, samplers, found, time.process_time() + seconds)
    if found.reason is Reason.NONE and found.unseen:
        found.reason = Reason.UNSEEN_CONTENT
    return found


def _usable(stream: Any, rules: dict[str, Any], found: Tracks) -> bool:
    codec = stream.codec_context
    if codec is None or codec.name not in rules["codecs"]:
        found.off += 1
        return False
    if codec.width * codec.height > rules["pixels"]:
        found.too_large += 1
        return False
    return True


def _decode(container: Any, streams: list[Any], samplers: dict[int, Sampler], found: Tracks, end: float) -> None:
    """Show the frames of every packet to the sampler of its track; what fails is skipped and counted."""
    pixels = next(iter(samplers.values())).rules["pixels"]
    for packet in _packets(container, streams, found):
        try:
            for frame in packet.decode():
                if frame.width * frame.height > pixels:
                    raise Refusal(Reason.TOO_MANY_PIXELS)
                samplers[packet.stream.index].see(frame)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - counted, and shown as the file's outcome
            blame_file(error)
            _skip(found, error)
        if time.process_time() > end:
            found.reason, found.detail = Reason.VIDEO_BUDGET, ""
            return


def _packets(container: Any, streams: list[Any], found: Tracks) -> Iterator[Any]:
    """The packets of some tracks, and an empty one of each at the end, which makes its decoder give out what it holds back.

    After an error the container is asked on from where it stands.
    """
    failed = 0
    while failed < READ_ERRORS:
        try:
            for packet in container.demux(streams):
                failed = 0
                yield packet
            return
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - counted, and shown as the file's outcome
            blame_file(error)
            failed += 1
            _skip(found, error)
    for stream in streams:
        yield _Flush(stream)


@dataclass
class _Flush:
    """The end of a track whose container has broken."""

    stream: Any

    def decode(self) -> list[Any]:
        return list(self.stream.decode(None))


def _skip(found: Tracks, error: Exception) -> None:
    found.skipped += 1
    found.reason, found.detail = Reason.TRUNCATED, found.detail or type(error).__name__


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds as the container states them, if they are credible."""
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1_000_000
    else:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < 1e6 else None


def _facts(container: Any) -> Exif | None:
    """Capture time, camera and position as phones write them into MP4 and QuickTime."""
    tags = {str(key).lower(): value for key, value in dict(container.metadata).items()}
    facts = Exif(
        captured=parse_time(tags.get("com.apple.quicktime.creationdate") or tags.get("creation_time")),
        make=clean_text(tags.get("com.apple.quicktime.make") or tags.get("make")),
        model=clean_text(tags.get("com.apple.quicktime.model") or tags.get("model")),
        software=clean_text(tags.get("com.apple.quicktime.software") or tags.get("encoder")),
        gps=any("location" in key for key in tags),
    )
    return None if facts.empty else facts
