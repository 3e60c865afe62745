"""Small pictures and videos of every format, made here: shapes and gradients, nothing else."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from functools import cache
from typing import Any

import av
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - registers the format
from numpy.typing import NDArray
from PIL import Image

from pipeline.settings import ROOT


def scene(width: int = 64, height: int = 48, seed: int = 1) -> NDArray[np.uint8]:
    """A picture with detail at several scales: (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = []
    for _ in range(3):
        plane = 90 * x / width + 60 * y / height
        for _ in range(6):
            cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.4) * height
            plane = np.where((x - cx) ** 2 + (y - cy) ** 2 < r**2, rng.uniform(0, 255), plane)
        planes.append(plane)
    return np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image, format_: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format_, **options)
    return sink.getvalue()


@cache
def stills(width: int = 64, height: int = 48) -> dict[str, bytes]:
    """One still (or animation) of each kind, by file name."""
    pillow_heif.register_heif_opener(thumbnails=False)
    rgb = Image.fromarray(scene(width, height))
    other = [Image.fromarray(scene(width, height, seed)) for seed in (2, 3, 4)]
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(scene(width, height, 9)[:, :, 0]))
    deep = Image.fromarray(scene(width, height)[:, :, 0].astype(np.uint16) * 257)
    return {
        "baseline.jpg": encoded(rgb, "JPEG", quality=85),
        "progressive.jpg": encoded(rgb, "JPEG", quality=85, progressive=True),
        "grey.jpg": encoded(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "rgb.png": encoded(rgb, "PNG"),
        "alpha.png": encoded(alpha, "PNG"),
        "palette.png": encoded(rgb.quantize(64), "PNG"),
        "deep.png": encoded(deep, "PNG"),
        "one_bit.png": encoded(rgb.convert("1"), "PNG"),
        "animated.png": encoded(rgb, "PNG", save_all=True, append_images=other, duration=500),
        "still.gif": encoded(rgb, "GIF"),
        "animated.gif": encoded(rgb, "GIF", save_all=True, append_images=other, duration=500),
        "rgb.bmp": encoded(rgb, "BMP"),
        "plain.tif": encoded(rgb, "TIFF"),
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "pages.tif": encoded(rgb, "TIFF", save_all=True, append_images=other),
        "big.tif": encoded(rgb, "TIFF", big_tiff=True, save_all=True, append_images=other[:1]),
        "lossy.webp": encoded(rgb, "WEBP", quality=80),
        "lossless.webp": encoded(rgb, "WEBP", lossless=True),
        "animated.webp": encoded(rgb, "WEBP", save_all=True, append_images=other, duration=500),
        "photo.heic": encoded(rgb, "HEIF", quality=80),
        "photo.avif": encoded(rgb, "AVIF", quality=80),
        "icon.ico": encoded(rgb, "ICO", sizes=[(32, 24)]),
    }


@cache
def risky_stills(width: int = 64, height: int = 48) -> dict[str, bytes]:
    """One still of each format that is off as delivered; all lossless, of the same scene."""
    pixels = scene(width, height)
    rgb = Image.fromarray(pixels)
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    return {
        "plain.jp2": encoded(rgb, "JPEG2000", irreversible=False),
        "stream.j2k": encoded(rgb, "JPEG2000", irreversible=False, no_jp2=True),
        "flat.psd": header + struct.pack(">IIIH", 0, 0, 0, 0) + planes,
        "lossless.jxl": encoded(rgb, "JXL", lossless=True),
        "boxed.jxl": encoded(rgb, "JXL", lossless=True, use_container=True),
    }


def video(
    container: str, codec: str, *, seconds: float = 4, rate: int = 8, cuts: tuple[float, ...] = (2.0,), size: int = 96
) -> bytes:
    """A video whose picture changes altogether at each of `cuts` (seconds) and drifts in between."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = size, size * 3 // 4, "yuv420p"
        if codec == "mjpeg":
            stream.pix_fmt = "yuvj420p"
        stream.codec_context.thread_count = 1
        for number in range(int(seconds * rate)):
            part = sum(number / rate >= cut for cut in cuts)
            pixels = np.roll(scene(size, size * 3 // 4, 10 + part), number % rate // 2, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return sink.getvalue()


def video_apart(container: str, codec: str, **more: Any) -> bytes:
    """`video`, made by a process of its own.

    For an encoder that waits for ever for one of its own threads, now and then: SVT-AV1 4.1, seen once. It takes a second; after two
    minutes it is ended, and another tries.
    """
    code = f"import sys\nfrom tests.pipeline.fingerprint import samples\nsys.stdout.buffer.write(samples.video({container!r}, {codec!r}, **{more!r}))"
    for _ in range(3):
        try:
            made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=120)
        except subprocess.TimeoutExpired:
            continue
        return made.stdout
    raise TimeoutError(f"{codec} made no video in three tries")


@cache
def videos() -> dict[str, bytes]:
    """A short video in each container that the policy admits."""
    return {
        "clip.mp4": video("mp4", "mpeg4"),
        "clip.mov": video("mov", "mjpeg"),
        "clip.mkv": video("matroska", "mpeg4"),
        "clip.webm": video("webm", "libvpx"),
        "clip.avi": video("avi", "mpeg4"),
    }
