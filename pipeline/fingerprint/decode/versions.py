"""Versions of the decoding libraries: every fingerprint carries them."""

from __future__ import annotations

import importlib.metadata


def decoder_versions() -> dict[str, str]:
    """Versions of the decoding libraries that are loaded (for use inside the worker's process)."""
    from PIL import Image, features  # decoders are loaded in the process that decodes, nowhere else

    found = {name: importlib.metadata.version(name) for name in ("pillow", "pillow-heif", "av")}
    if "JXL" in Image.OPEN:
        found["pillow-jxl-plugin"] = importlib.metadata.version("pillow-jxl-plugin")
    for feature in ("libjpeg_turbo", "zlib_ng", "webp", "libtiff", "avif", "jpg_2000"):
        found[feature] = str(features.version(feature) or "none")
    return found


def decoder_version(versions: dict[str, str]) -> str:
    """Versions as one line."""
    return " ".join(f"{name}={version}" for name, version in sorted(versions.items()))
