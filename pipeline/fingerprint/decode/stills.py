"""Decoding pictures: what is refused before a decoder sees it, what is tried once more, and which frames are hashed.

| picture | rule |
|---|---|
| format off by policy, or no picture | digests only |
| more pixels, a longer side, or more JPEG scans than the limits | rejected before decoding (JPEG XL: after it, within the worker's memory and time) |
| damaged or ending early | decoded again with what is there: `partial` |
| animation, several pages | the first frame is the picture; first, middle and last are hashed as frames too |
| JPEG with further pictures (MPO) | the first one |
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from typing import Any, BinaryIO

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageFile

from pipeline.errors import DependencyError
from pipeline.fingerprint.decode.frames import count_frames
from pipeline.fingerprint.decode.sniff import TYPES
from pipeline.fingerprint.decode.task import Refinement, Task
from pipeline.fingerprint.facts import read_exif
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.outcome import Fingerprint, Frame, Hashes, Reason, Refusal, State, Variant

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SEVERAL = ("GIF", "TIFF", "WEBP", "PNG", "AVIF", "HEIF")
"""Formats whose further frames are looked at."""


def set_up(formats: dict[str, bool]) -> None:
    """Register the decoders, each in one thread, and make Pillow's own alarms errors.

    The plug-in for JPEG XL is loaded only where `formats` (the policy's) switch it on. Raises DependencyError for a format that
    is switched on and has no decoder.
    """
    pillow_heif.register_heif_opener(thumbnails=False)
    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.init()
    if formats["jpegxl"]:
        _set_up_jpegxl()
    missing = [
        m.family for m in TYPES if m.family and not m.video and formats[m.family] and m.decoder not in Image.OPEN
    ]
    if missing:
        raise DependencyError(
            f"policy/fingerprint.yaml switches on {', '.join(missing)}, for which no decoder is installed.",
            "Switch it off there, or install the decoder (JPEG XL: the extra `jpegxl`, pillow-jxl-plugin).",
        )
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _set_up_jpegxl() -> None:
    with contextlib.suppress(ModuleNotFoundError):  # reported with the other formats that have no decoder
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = 0


def hash_still(task: Task) -> Fingerprint:
    """Fingerprint of a picture. Raises Refusal."""
    _check(task)
    state, reason, detail = State.HASHED, Reason.NONE, ""
    try:
        found = _hash(task)
    except (Refusal, MemoryError):
        raise
    except Exception as strict:  # noqa: BLE001 - every class that a decoder raises is recorded as the file's outcome
        state, reason, detail = State.PARTIAL, Reason.TRUNCATED, type(strict).__name__
    if state is State.PARTIAL:  # only here, where the error and with it the first attempt's pixels are gone
        found = _tolerant(task, detail)
    hashes, frames, number, exif = found
    return Fingerprint(
        task.digests,
        task.media.name,
        state,
        reason,
        detail,
        hashes.width,
        hashes.height,
        number,
        None,
        Hashes(hashes.pdq, hashes.pdq_quality, hashes.phash256, hashes.phash64, hashes.dhash64, hashes.low_information),
        None if exif.empty else exif,
        tuple(Variant(*variant) for variant in hashes.variants),
        frames,
    )


def refine_still(task: Task) -> Refinement:
    """Refinement of a picture against the known hashes of the task. Raises Refusal."""
    _check(task)
    try:
        return _refine(task)
    except (Refusal, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a damaged picture is refined as it was hashed, with what is there
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _refine(task)
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal(Reason.MALFORMED, type(error).__name__) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _refine(task: Task) -> Refinement:
    with _open(task) as image:
        found = picture.refine_many(image, task.known_pdqs, task.policy)
    return Refinement(tuple((one.distance, one.geometry) for one in found))


def _hash(task: Task) -> tuple[picture.PictureHashes, tuple[Frame, ...], int, Any]:
    with _open(task) as image:
        exif = read_exif(image)
        hashes = picture.hash_picture(image, task.policy, variants=task.variants)
        number = count_frames(task.content, image, task.policy["limits"]["frames"])
        several = number > 1 and image.format in _SEVERAL
        frames = _further(task, image, hashes, number) if several else ()
    return hashes, frames, number, exif


def _tolerant(task: Task, strict: str) -> tuple[picture.PictureHashes, tuple[Frame, ...], int, Any]:
    """Decode what is there of a damaged file. Raises Refusal, with the class of the first error, when that is nothing."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with _open(task) as image:
            exif = read_exif(image)
            return picture.hash_picture(image, task.policy, variants=task.variants), (), 1, exif
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal(Reason.MALFORMED, strict) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _check(task: Task) -> None:
    """What can be told from the bytes alone. Raises Refusal."""
    if not task.in_memory:
        raise Refusal(Reason.TOO_LARGE)
    if task.media.family == "jpeg" and count_scans(_bytes(task.content)) > task.policy["limits"]["jpeg_scans"]:
        raise Refusal(Reason.TOO_MANY_SCANS)


def _bytes(content: BinaryIO) -> bytes:
    return content.getvalue() if isinstance(content, io.BytesIO) else b""


def _open(task: Task) -> Image.Image:
    """Open with the one decoder that the content asks for; nothing is decoded yet."""
    limits = task.policy["limits"]
    pixels = limits["pixels_scaled" if task.media.family == "jpeg" else "pixels"]
    Image.MAX_IMAGE_PIXELS = pixels
    task.content.seek(0)
    try:
        image = Image.open(task.content, formats=[task.media.decoder])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refusal(Reason.TOO_MANY_PIXELS) from None
    width, height = image.size
    if width * height > pixels or max(width, height) > limits["side"]:
        raise Refusal(Reason.TOO_MANY_PIXELS)
    return image


def _further(task: Task, image: Image.Image, first: picture.PictureHashes, number: int) -> tuple[Frame, ...]:
    """First, middle and last frame, as far as they can be decoded within the pixel budget of an animation."""
    frames = [Frame(0, 0.0, first.pdq, first.pdq_quality)]
    width, height = image.size
    if width * height * number > task.policy["video"]["animation_pixels"]:
        return ()
    step = float(image.info.get("duration") or 0) / 1000
    step = step if 0 <= step < 3600 else 0.0
    for index in sorted({number // 2, number - 1} - {0}):
        try:
            image.seek(index)
            hashes = picture.hash_picture(image, task.policy, variants=False)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the first frame stands; a damaged later one is not there
            break
        frames.append(Frame(index, index * step, hashes.pdq, hashes.pdq_quality))
    return tuple(frames)


def count_scans(data: bytes) -> int:
    """Scans of a JPEG (start-of-scan markers before the end of the image).

    Two bytes that look like the marker occur by chance in what follows or is embedded, so only when there are many of
    them is the stream walked; what lies in application segments then counts as well, which is harmless.
    """
    if data.count(b"\xff\xda") <= 8:
        return data.count(b"\xff\xda")
    scans, at = 0, data.find(b"\xff\xda")
    at = _first_scan(data)
    while at >= 0:
        scans += 1
        found = _MARKER.search(data, at + 2)
        while found and found.group() not in (b"\xff\xda", b"\xff\xd9"):
            length = int.from_bytes(data[found.end() : found.end() + 2], "big")
            found = _MARKER.search(data, found.end() + max(length, 2))
        at = found.start() if found and found.group() == b"\xff\xda" else -1
    return scans


def _first_scan(data: bytes) -> int:
    """Offset of the first start-of-scan marker behind the header's segments, or -1."""
    at = 2
    while 0 <= at < len(data) - 4 and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return -1
