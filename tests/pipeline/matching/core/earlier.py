"""An index as earlier versions wrote it: rows in three bytes, whole hashes, ids in eight bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.matching import core
from pipeline.matching.core.index.checksum import quick_sum


def padded(array: Any) -> bytes:
    data = np.ascontiguousarray(array).tobytes()
    return data + bytes(-len(data) % 64)


def write_as(folder: Path, version: int) -> None:
    """Write an index that has no groups again, in its folder, in the form of format 1, 2 or 3."""
    index = core.open_index(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["format"] = version
    for mapped, segment in zip(index.segments, manifest["segments"], strict=True):
        assert not any(segment.pop(name) for name in ("groups", "grouped", "tiles"))
        if version == 3:
            continue
        chunks = mapped.chunks(0, mapped.segment.total)
        rows = np.zeros((mapped.form.chunks, mapped.words.shape[1], 3), np.uint8)
        for table in range(mapped.form.chunks):
            order = np.argsort(chunks[:, table], kind="stable")
            rows[table, : len(order)] = order.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
        new = {"rows.u24": padded(rows), "hashes.u16": padded(chunks), "ids.i64": padded(mapped.all_ids())}
        for name in ("rows.u16", "highs.u8", "marks.u32", "reduced.u16", "blocks.i64", "ids.u8"):
            del segment["arrays"][name]
            (folder / segment["name"] / name).unlink()
        for name, data in new.items():
            (folder / segment["name"] / name).write_bytes(data)
            total = quick_sum(np.frombuffer(data, np.uint8))
            segment["arrays"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "sum": total}
        if version == 1:
            assert not segment.pop("holders") and not segment.pop("gone")
    manifest["bytes"] = sum(a["bytes"] for s in manifest["segments"] for a in s["arrays"].values())
    manifest.pop("digest")
    manifest["digest"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
