"""Outcomes of the worker as rows of the lake, and as lines of a journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.algorithms import COMPUTED, DIGESTS, algorithm_version
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Reason, State
from pipeline.row import Row

BYTES = frozenset(COMPUTED)
"""Columns of a row that hold bytes."""


@dataclass(frozen=True)
class Origin:
    """Under what a row was made: run, isolation layers, versions of the decoding libraries."""

    run_id: str
    sandbox: str
    decoder_version: str


@dataclass
class ContentRows:
    """Rows of one content for the three tables."""

    fingerprint: Row
    variants: list[Row]
    video_frames: list[Row]

    @property
    def state(self) -> State:
        return State(self.fingerprint["state"])

    @property
    def reason(self) -> Reason:
        return Reason(self.fingerprint["reason"] or Reason.NONE)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a journal: bytes as hex, and of a picture's many variants no more than what differs."""
        return {
            "fingerprint": {n: v.hex() if isinstance(v, bytes) else v for n, v in self.fingerprint.items()},
            "variants": [(v["variant"], v["pdq"].hex(), v["quality"]) for v in self.variants],
            "video_frames": [(f["frame"], f["seconds"], f["pdq"].hex(), f["quality"]) for f in self.video_frames],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ContentRows:
        row = {n: bytes.fromhex(v) if n in BYTES and v is not None else v for n, v in data["fingerprint"].items()}
        version = {name: row[name] for name in ("sha256", "algorithm_version")}
        return cls(
            row,
            [{**version, "variant": n, "pdq": bytes.fromhex(h), "quality": q} for n, h, q in data["variants"]],
            [
                {**version, "frame": n, "seconds": s, "pdq": bytes.fromhex(h), "quality": q}
                for n, s, h, q in data["video_frames"]
            ],
        )


def rows_of(outcome: Fingerprint | Failure, sha256: bytes, size: int, origin: Origin) -> ContentRows:
    """Rows for one content. `sha256` and `size` are those it was taken in with, for when it could not be read again."""
    digests = outcome.digests
    if digests is None or (isinstance(outcome, Failure) and outcome.reason is Reason.CHANGED):
        digests = Digests(sha256, b"", b"", size)
    row: Row = {
        **{name: getattr(digests, name) or None for name in DIGESTS},
        "size": digests.size,
        "media_type": outcome.media_type or None,
        "low_information": False,
        "algorithm_version": algorithm_version(),
        "decoder_version": origin.decoder_version,
        "sandbox": origin.sandbox,
        "run_id": origin.run_id,
        "reason": None if outcome.reason is Reason.NONE else outcome.reason.value,
    }
    if isinstance(outcome, Failure):
        return ContentRows({**row, "state": State.REJECTED.value}, [], [])
    row.update(
        state=outcome.state.value,
        width=outcome.width,
        height=outcome.height,
        frames=outcome.frames,
        duration=outcome.duration,
        exif=outcome.exif.as_dict() if outcome.exif else None,
        skipped_packets=outcome.skipped_packets,
        unseen=outcome.unseen,
    )
    if outcome.hashes:
        row.update(vars(outcome.hashes))
    version = {"sha256": digests.sha256, "algorithm_version": algorithm_version()}
    return ContentRows(
        row,
        [{**version, "variant": v.name, "pdq": v.pdq, "quality": v.quality} for v in outcome.variants],
        [
            {**version, "frame": f.number, "seconds": f.seconds, "pdq": f.pdq, "quality": f.quality}
            for f in outcome.video_frames
        ],
    )
