"""The decoder of the worker: which code may look at a content, by its type and the policy."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.fingerprint.decode import embedded, stills, video
from pipeline.fingerprint.decode.inside import containers
from pipeline.fingerprint.decode.task import Refinement, Task
from pipeline.fingerprint.decode.versions import decoder_versions
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.outcome import Fingerprint, Reason, Refusal, State


def warm(policy: dict[str, Any]) -> None:
    """Load decoders and kernels before workers are forked. Called by the fork server. Raises DependencyError."""
    stills.set_up(policy["formats"])
    picture.prepare(policy)
    picture.hash_frame(np.zeros((64, 64, 3), np.uint8), policy)


def _preview(task: Task) -> Task:
    """The task for the largest JPEG preview inside a camera's raw file. Raises Refusal where there is none."""
    data = task.content.getvalue() if isinstance(task.content, io.BytesIO) else b""
    found = embedded.previews(data)
    if not found:
        raise Refusal(Reason.NO_PREVIEW if task.in_memory else Reason.TOO_LARGE)
    return replace(task, content=io.BytesIO(data[found[0].start : found[0].end]), raw=data)


def _holds_media(task: Task) -> bool:
    """Whether a content that nothing here decodes holds a picture, film or archive. One that is too large for memory is not gone
    through: nobody can say what it holds."""
    if not isinstance(task.content, io.BytesIO):
        return True
    return containers.holds(task.media.name, task.content.getvalue())


def versions() -> dict[str, str]:
    """Versions of the decoding libraries."""
    return decoder_versions()


def decode(task: Task) -> Fingerprint | Refinement:
    """Fingerprint (or refinement) of one content. Raises Refusal."""
    media = task.media
    switched_on = media.family is not None and task.policy["formats"][media.family]
    if media.family == "raw" and switched_on:
        task = _preview(task)
    if task.known_pdqs:
        if not switched_on or media.video:
            raise Refusal(Reason.NOT_MEDIA if media.family is None and not media.undecoded else Reason.FORMAT_OFF)
        return stills.refine_still(task)
    if media.family is None:
        reason = (
            Reason.FORMAT_OFF if media.undecoded else Reason.UNSEEN_CONTENT if _holds_media(task) else Reason.NOT_MEDIA
        )
        return Fingerprint(task.digests, media.name, State.DIGESTS_ONLY, reason)
    if not switched_on:
        return Fingerprint(task.digests, media.name, State.DIGESTS_ONLY, Reason.FORMAT_OFF)
    return video.hash_video(task) if media.video else stills.hash_still(task)
