"""Puts the content of a sample package into one of the ways in which packages arrive."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

WRAPPINGS = ("folder-ready", "zip-list", "bag", "tar-ready", "folder-list", "zip-bag", "targz-list", "zip-ready")
"""Folder, zip, tar or tar.gz; complete by a .ready marker, a .sha256 list or a BagIt manifest."""

_EPOCH = (2026, 1, 1, 0, 0, 0)
_EPOCH_SECONDS = 1_767_225_600


def wrap(base: Path, wrapping: str, content: dict[str, bytes]) -> str:
    """Write the package at `base` plus a suffix, which is returned; its marker or list last."""
    kind, _, proof = wrapping.partition("-")
    if kind == "bag" or proof == "bag":
        content = bagged(content)
    base.parent.mkdir(parents=True, exist_ok=True)
    if kind in {"folder", "bag"}:
        if proof == "list":
            content = {**content, "package.sha256": _list(content)}
        for name, data in content.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if proof == "ready":
            (base / ".ready").touch()
        return ""
    suffix = {"zip": ".zip", "tar": ".tar", "targz": ".tar.gz"}[kind]
    path = base.parent / (base.name + suffix)
    data = _zip(content) if kind == "zip" else _tar(base.name, content)
    if kind == "targz":
        data = gzip.compress(data, compresslevel=6, mtime=0)
    path.write_bytes(data)
    if proof == "list":
        line = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
        path.with_name(f"{path.name}.sha256").write_text(line)
    elif proof == "ready":
        path.with_name(f"{path.name}.ready").touch()
    return suffix


def _list(content: dict[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items()))
    return "".join(lines).encode()


def bagged(content: dict[str, bytes]) -> dict[str, bytes]:
    """The content as a bag (RFC 8493): payload below data/, manifest, declaration."""
    payload = {f"data/{name}": data for name, data in content.items()}
    oxum = f"{sum(map(len, payload.values()))}.{len(payload)}"
    tags = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": f"Payload-Oxum: {oxum}\n".encode(),
        "manifest-sha256.txt": _list(payload),
    }
    return {**payload, **tags, "tagmanifest-sha256.txt": _list(tags)}


def _zip(content: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def _tar(top: str, content: dict[str, bytes]) -> bytes:
    """A tar as `tar -C parent -c folder` writes it: everything below one top folder."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime = len(data), _EPOCH_SECONDS
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()
