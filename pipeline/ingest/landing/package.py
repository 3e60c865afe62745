"""A package as it lies in the landing folder: its members, and the few small files of it that are read here.

A package is a folder, a zip or tar archive, or one report alone. Media members are only listed; they are opened by
the media worker alone. Names are those inside the package, with a single common top folder taken off.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from pipeline.fingerprint.outcome import Digests, Failure
from pipeline.locator import SEPARATOR, Locator

REPORT_SUFFIXES = (".json", ".xml", ".csv")
_PLAIN = re.compile(r"[\w-][\w.-]*(?:[/\n][\w-][\w.-]*)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LIST_NAMES = ("sha256sums", "sha256sums.txt")
MARKER = ".ready"
_TEXT_ENDINGS = (MARKER, *REPORT_SUFFIXES, ".sha256", ".txt", "sha256sums")


class Member:
    """One file of a package. `size` is as stated by the file system or the archive; `content` only while a reader has it,
    and afterwards of the report; `read` its digests, if a reader had it; `key` is the locator as text, under which the media
    worker's answer is found; `digests` and `failure` are that answer, once it is there."""

    __slots__ = ("content", "digests", "failure", "key", "locator", "name", "read", "size")

    def __init__(self, name: str, size: int, locator: Locator, content: bytes | None = None) -> None:
        self.name = name
        self.size = size
        self.locator = locator
        self.content = content
        self.key = locator.container if locator.member is None else f"{locator.container}{SEPARATOR}{locator.member}"
        self.read: Digests | None = None if content is None else digests_of(content)
        self.digests: Digests | None = None
        self.failure: Failure | None = None

    def hold(self, content: bytes) -> None:
        """Take what was read of it. What has a marker's name and is no text is content, which the media worker reads."""
        if not self.name.lower().endswith(MARKER) or is_plain_text(content):
            self.content, self.read = content, digests_of(content)

    def sha256(self) -> str:
        """SHA-256 of the content in hex; only of a member that was read here."""
        if self.read is None:
            raise ValueError("only what ingest has read has a digest here")
        return self.read.sha256.hex()


def digests_of(content: bytes) -> Digests:
    """Digests of a member that ingest has read."""
    return Digests(
        hashlib.sha256(content).digest(),
        hashlib.md5(content, usedforsecurity=False).digest(),
        hashlib.sha1(content, usedforsecurity=False).digest(),
        len(content),
    )


Look = tuple[str, int, int, int]
"""A path that was looked at: the path, and size, time of change in ns and inode as they were then."""


def last_change(status: os.stat_result) -> int:
    """When a file came to be as it is, in ns: the time that the system sets at every change of content, name or attributes. The time
    of modification is the sender's to choose, and copying keeps it: one of last year would return what came a minute ago, one of
    next year would let it wait for ever."""
    return status.st_ctime_ns


@dataclass
class Package:
    """What was found at `container` (relative to landing). `faults` make it unreadable as a whole; `waits` are
    reasons to think that it is still being copied. `changed` is the latest change of anything in it, in ns as `last_change` has it; 0
    where nothing of it can be looked at."""

    landing_folder: str
    container: str
    kind: str
    members: list[Member] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    stat_key: str = ""
    changed: int = 0
    looked: list[Look] = field(default_factory=list)
    ready: bool = False
    lists: list[tuple[str, bytes]] = field(default_factory=list)
    """Checksum lists that lie beside the container: name and content."""
    left_out: int = 0
    """Files that a desktop left behind: both name and content say so."""

    def hours(self, moment: datetime) -> float:
        """Hours from the last change of anything in it until `moment`; none where that lies ahead, or nothing is known of it."""
        return max(0.0, moment.timestamp() - self.changed / 1e9) / 3600 if self.changed else 0.0

    @cached_property
    def by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.members}

    @cached_property
    def is_bag(self) -> bool:
        return "bagit.txt" in self.by_name

    @cached_property
    def payload(self) -> list[Member]:
        """Members that are content, not transport (the report among them)."""
        bag = self.is_bag
        return [member for member in self.members if not is_transport(member, bag)]


MARKER_BYTES = 1024
"""A marker holds nothing, or a line; what is larger is content under a marker's name."""
_NO_TEXT = bytes(set(range(32)) - set(b"\t\n\r"))


def is_plain_text(content: bytes) -> bool:
    """Whether there are no control characters in it, which every picture and archive has."""
    return len(content.translate(None, _NO_TEXT)) == len(content)


def is_transport(member: Member, bag: bool) -> bool:
    """Whether a member only serves the transport (markers, checksum lists, the tag files that the BagIt format names) and is
    no content. A name alone does not make it that: a marker is small, a list was read as one."""
    name = member.name.lower()
    if "/" in name:
        return False
    if bag:
        return name in TAG_FILES and name not in UNREAD_TAG_FILES and member.read is not None
    if name.endswith(MARKER):
        return member.size == 0 or (member.size <= MARKER_BYTES and member.read is not None)
    return (name.endswith(".sha256") or name in LIST_NAMES) and member.read is not None


TAG_FILES = frozenset(
    ["bagit.txt", "bag-info.txt", "package-info.txt", "fetch.txt"]
    + [f"{kind}-{name}.txt" for kind in ("manifest", "tagmanifest") for name in hashlib.algorithms_guaranteed]
)
"""Files at the top of a bag by which it describes itself."""
UNREAD_TAG_FILES = frozenset(["package-info.txt"])
"""Of those what only bags before version 0.96 are described by, and nobody reads in others: it counts as content."""


def is_small_text(name: str) -> bool:
    """Whether ingest reads this member itself: a possible report, a checksum list or a bag's tag file."""
    lowered = name.lower()
    if not lowered.endswith(_TEXT_ENDINGS):
        return False  # nearly every member
    if lowered.endswith(REPORT_SUFFIXES) and lowered.count("/") <= 2:
        return True
    return "/" not in lowered and (lowered.endswith((MARKER, ".sha256", ".txt")) or lowered in LIST_NAMES)


_SIDECAR = re.compile(r"\.(?:jpe?g|png|gif|bmp|tiff?|webp|hei[cf]|avif|mp4|m4v|mov|avi|mkv|webm|3gp|wmv|mpe?g)[.(]")
_REPORT_WORDS = ("report", "referral", "tip")


def is_list(name: str) -> bool:
    """Whether a small text tells how complete a package is: a bag's tag file, a checksum list, a marker."""
    base = name.rpartition("/")[2].lower()
    return base in TAG_FILES or base in LIST_NAMES or base.endswith((MARKER, ".sha256"))


def reading_order(name: str) -> tuple[bool, bool, bool, bool, int, str]:
    """Which small texts are read first where not all are: what tells how complete the package is, what is called a report,
    other possible reports (those that some programs write for each picture last, `IMG_1.jpg.json`), other texts."""
    base = name.rpartition("/")[2].lower()
    called = any(word in base for word in _REPORT_WORDS)
    return (not is_list(name), not base.endswith(REPORT_SUFFIXES), not called, is_sidecar(name), name.count("/"), name)


def is_sidecar(name: str) -> bool:
    """Whether a name is a picture's or film's with another ending behind it."""
    return _SIDECAR.search(name.rpartition("/")[2].lower()) is not None


def name_faults(name: str, caps: dict[str, Any]) -> list[str]:
    """Why a member's name must not be used: absolute, leading out, backslash, drive, control
    characters, too long, too deep. Names are not repeated in the reason, they may be long or hostile."""
    parts = name.split("/")
    faults = []
    if name.startswith("/"):
        faults.append("a member has an absolute path")
    if ".." in parts:
        faults.append("a member's path leads out of the package (..)")
    if "\\" in name:
        faults.append("a member's name has a backslash")
    if len(parts[0]) == 2 and parts[0][1] == ":":
        faults.append("a member's path begins with a drive letter")
    if _CONTROL.search(name):
        faults.append("a member's name has control characters")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return [*faults, "a member's name is not valid text"]
    if length > caps["name_bytes"] or any(len(p.encode()) > caps["part_bytes"] for p in parts):
        faults.append("a member's name is too long")
    if len(parts) > caps["depth"]:
        faults.append("a member lies too many folders deep")
    if not name or "" in parts[1:] or "." in parts:
        faults.append("a member's path has empty parts")
    return faults


def all_plain(names: list[str], caps: dict[str, Any]) -> bool:
    """Whether certainly none of these names has one of the `name_faults`; quick, as it is so of nearly every package."""
    text = "\n".join(names)
    return (
        _PLAIN.fullmatch(text) is not None
        and text.count("\n") == len(names) - 1
        and max(map(len, names)) <= min(caps["part_bytes"], caps["name_bytes"])
        and ("/" not in text or max(name.count("/") for name in names) < caps["depth"])
    )


def collision_faults(names: list[str]) -> list[str]:
    """Names that are the same, or that a file system without case or with another Unicode form would confuse."""
    if "".join(names).isascii() and len({name.lower() for name in names}) == len(names):
        return []
    seen: set[str] = set()
    for name in names:
        folded = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            return ["two members have the same name, or names that differ only in case or accents' encoding"]
        seen.add(folded)
    return []


def without_top_folder(members: list[Member]) -> None:
    """Take a single common top folder off the names, as most archivers put one there."""
    first = members[0].name.partition("/")[0] + "/" if members else ""
    if first and first.lower() != "data/" and all(m.name.startswith(first) for m in members):
        for member in members:
            member.name = member.name[len(first) :]


def plain_locator(path: str) -> Locator | None:
    """Locator of a plain file, or None when its path could be mistaken for an archive's member."""
    return None if SEPARATOR in path else Locator(path)
