"""Decoding pictures: what is refused before a decoder sees it, what is tried once more, and which frames are hashed.

| picture | rule |
|---|---|
| format off by policy, or no picture | digests only |
| more pixels, a longer side, or more JPEG scans than the limits | rejected before decoding (JPEG XL: after it, within the worker's memory and time) |
| damaged or ending early | decoded again with what is there: `partial` |
| animation | the first frame is the picture; first, middle and last, and each that shows something else, are hashed as frames too |
| pages of a TIFF, pictures of a HEIC | the primary is the picture; each is hashed as a frame, up to `parts` |
| pictures and films behind the picture (motion photo, MPO, appended) | each is hashed as frames, up to `parts` |
| what of these was not looked at | counted as `unseen`: `partial` |
| a camera's raw file | its largest JPEG preview is the picture; its other previews are hashed as frames |
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
from pipeline.fingerprint.decode import ends
from pipeline.fingerprint.decode.frames import count_frames
from pipeline.fingerprint.decode.further import Further, open_picture
from pipeline.fingerprint.decode.sniff import TYPES
from pipeline.fingerprint.decode.task import Refinement, Task
from pipeline.fingerprint.facts import read_exif
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.machine import blame_file
from pipeline.fingerprint.outcome import Fingerprint, Hashes, Reason, Refusal, State, Variant

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_COLLECTIONS = ("TIFF", "HEIF")
"""Formats whose further pictures are frames of one scene, and those whose further pictures are others."""
HashedStill = tuple[picture.PictureHashes, Further, int, Any]
"""Hashes of the picture, what else is in the file, number of frames, EXIF facts."""


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
        from pillow_jxl import JpegXLImagePlugin  # not there on every platform

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
        blame_file(strict)
        state, reason, detail = State.PARTIAL, Reason.TRUNCATED, type(strict).__name__
    if state is State.PARTIAL:  # only here, where the error and with it the first attempt's pixels are gone
        found = _tolerant(task, detail)
    hashes, more, number, exif = found
    if more.unseen and state is State.HASHED:
        state, reason = State.PARTIAL, Reason.UNSEEN_CONTENT
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
        Hashes(
            hashes.pdq,
            hashes.pdq_quality,
            hashes.phash256,
            hashes.phash64,
            hashes.dhash64,
            hashes.low_information,
            hashes.mostly_flat,
        ),
        None if exif.empty else exif,
        tuple(Variant(*variant) for variant in hashes.variants),
        tuple(more.frames),
        more.skipped,
        more.unseen,
    )


def refine_still(task: Task) -> Refinement:
    """Refinement of a picture against the known hashes of the task. Raises Refusal."""
    _check(task)
    try:
        return _refine(task)
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged picture is refined as it was hashed, with what is there
        blame_file(error)
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _refine(task)
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        blame_file(error)
        raise Refusal(Reason.MALFORMED, type(error).__name__) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _refine(task: Task) -> Refinement:
    with _open(task) as image:
        found = picture.refine_many(image, task.known_pdqs, task.policy)
    return Refinement(tuple((one.distance, one.geometry, one.weighed) for one in found))


def _hash(task: Task) -> HashedStill:
    with _open(task) as image:
        exif = read_exif(image)
        first = int(image.tell())
        hashes = picture.hash_picture(image, task.policy, variants=task.variants)
        number = count_frames(task.content, image, task.policy["limits"]["frames"])
        more = Further(task, first, hashes)
        if number > 1 and image.format in _ANIMATED:
            more.animation(image, number)
        elif number > 1 and image.format in _COLLECTIONS:
            more.collection(image, number)
    more.behind(task.raw or _bytes(task.content))
    return hashes, more, number, exif


def _tolerant(task: Task, strict: str) -> HashedStill:
    """Decode what is there of a damaged file. Raises Refusal, with the class of the first error, when that is nothing."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with _open(task) as image:
            exif = read_exif(image)
            hashes = picture.hash_picture(image, task.policy, variants=task.variants)
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        blame_file(error)
        raise Refusal(Reason.MALFORMED, strict) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    more = Further(task, 0, hashes)
    more.behind(task.raw or _bytes(task.content))
    return hashes, more, 1, exif


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
    content = task.content
    if task.media.family in ("heif", "avif"):  # their decoders refuse a file with something behind it
        data = _bytes(content)
        end = ends.end_of(data, task.media.family)
        content = content if end in (None, len(data)) else io.BytesIO(data[:end])
    content.seek(0)
    return open_picture(content, task.media, task.policy["limits"])


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
