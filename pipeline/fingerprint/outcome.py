"""What the media worker can say about a file: its digests, its fingerprint, or why there is none.

Every file ends as exactly one of these; reasons are a closed list, so that a report can count them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pipeline.fingerprint.facts import Exif
from pipeline.locator import Locator

BARE = "transparency ignored"
"""Variant of a picture with transparent parts: its colours as they are stored, which is what other makers of PDQ hash."""


class State(StrEnum):
    """State of one content, as in the record type `fingerprints`."""

    HASHED = "hashed"
    PARTIAL = "partial"
    DIGESTS_ONLY = "digests_only"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a content is not `hashed`. The order is the code on the wire: only ever append."""

    NONE = "none"
    # digests only, by policy
    KNOWN_EXACT = "known_exact"
    """Its digest is in the known-hash release: decoding would tell nothing more."""
    FORMAT_OFF = "format_off"
    """A picture or video of a format that policy/fingerprint.yaml does not decode, or that nothing here decodes; an archive."""
    NOT_MEDIA = "not_media"
    """Neither picture nor video by its content (a text, sound, a document)."""
    # partial
    TRUNCATED = "truncated"
    """The file ends early or a part is damaged; what was decoded is hashed. May raise a risk, never lower one."""
    VIDEO_BUDGET = "video_budget"
    """The processor time for one video ended before the video did."""
    # rejected by what the file is
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    MALFORMED = "malformed"
    """The decoder refuses it."""
    NO_FRAMES = "no_frames"
    """A video container without a frame that can be decoded."""
    CHANGED = "changed"
    """Its bytes are not those that were taken in."""
    # rejected by where it lies
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    ARCHIVE_DAMAGED = "archive_damaged"
    ARCHIVE_LIMIT = "archive_limit"
    """The archive has too many members, or the member grows too much when it is unpacked."""
    ENCRYPTED = "encrypted"
    AMBIGUOUS = "ambiguous"
    """Two members of the archive have this name."""
    # rejected by what it did to the worker
    MEMORY = "memory"
    CPU_TIME = "cpu_time"
    WALL_TIME = "wall_time"
    CRASHED = "crashed"
    """The worker was ended by a signal (segmentation fault, abort, kill)."""
    EXITED = "exited"
    """The worker ended by itself without an answer."""
    RUBBISH = "rubbish"
    """The worker's answer was not a valid record."""
    INTERNAL = "internal"
    """An error of our own code; detail names the exception class."""
    # partial, later than the codes above
    NO_PREVIEW = "no_preview"
    """A camera's raw file without a JPEG preview that could be hashed."""
    UNSEEN_CONTENT = "unseen_content"
    """The file holds further pictures or videos that were not looked at: more than the policy's limits, formats that are off,
    or any in a content of no known kind, which has digests only."""
    # rejected by where it lies, later than the codes above
    PACKAGE_FAULTS = "package_faults"
    """So many files of its package ended their workers that the rest of it was given up."""


class Refusal(Exception):  # noqa: N818 - an outcome of the file, not an error of ours
    """The file will not be read or decoded; carries the reason code and an exception class or a plain word."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class Digests(NamedTuple):
    """Digests of the whole content, from one read. `size` in bytes. Those that were not asked for are empty; SHA-512 is
    made only for bags that have no other checksums."""

    sha256: bytes
    md5: bytes
    sha1: bytes
    size: int
    sha512: bytes = b""


@dataclass(frozen=True)
class Failure:
    """No answer for a file. `detail` is an exception class or a signal, never text from the file.

    `digests` and `media_type` are there when the file could be read to its end before it failed.
    """

    reason: Reason
    detail: str = ""
    digests: Digests | None = None
    media_type: str | None = None


@dataclass(frozen=True)
class Variant:
    """PDQ (32 bytes) of one geometric variant of a picture, with its quality 0-100."""

    name: str
    pdq: bytes
    quality: int


@dataclass(frozen=True)
class Frame:
    """PDQ (32 bytes) of one frame of a video: its number from 0 in decoding order, its time in seconds, quality 0-100."""

    number: int
    seconds: float
    pdq: bytes
    quality: int


@dataclass(frozen=True)
class Hashes:
    """Perceptual hashes of a picture after orientation. Lengths in bytes: 32, 32, 8, 8; quality 0-100."""

    pdq: bytes
    pdq_quality: int
    phash256: bytes
    phash64: bytes
    dhash64: bytes
    low_information: bool
    mostly_flat: bool = False


@dataclass(frozen=True)
class Fingerprint:
    """Everything the worker found out about one content; `state` is hashed, partial or digests_only.

    `skipped_packets` of videos could not be decoded; `unseen` pictures, pages or tracks inside the file were not looked at.
    """

    digests: Digests
    media_type: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    duration: float | None = None
    hashes: Hashes | None = None
    exif: Exif | None = None
    variants: tuple[Variant, ...] = ()
    video_frames: tuple[Frame, ...] = ()
    skipped_packets: int = 0
    unseen: int = 0


@dataclass(frozen=True)
class Item:
    """One file to fingerprint. `held` are digests that were made before, by a process that had decoded nothing: the file
    has to be that content still, and the answer carries them and no others. Without them the file gets a worker of its own."""

    locator: Locator
    held: Digests | None = None
    variants: bool = True


@dataclass(frozen=True)
class Refined:
    """Smallest PDQ distance found over the geometry of a picture to one known hash, that geometry in words, and the weighed bits of
    the frames that are mostly guessed (256 without one)."""

    locator: Locator
    sha256: bytes
    known_pdq: bytes
    distance: int
    geometry: str
    weighed: int = 256


Outcome = Digests | Fingerprint | Refined | Failure
