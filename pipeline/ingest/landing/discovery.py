"""Finds packages in the landing folder, and looks into those that are new.

An entry of `landing/<folder>/` is a package when it is a folder, an archive or a single report; markers and checksum
lists beside it (`<name>.ready`, `<name>.sha256`) belong to it. Links are never followed. What was taken in before and
has not changed by name, size, time and inode is skipped; that is only a shortcut, identity is by content.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline import files
from pipeline.errors import UsageError
from pipeline.ingest.landing.archives import SUFFIXES, list_archive
from pipeline.ingest.landing.noise import Noise
from pipeline.ingest.landing.package import (
    MARKER,
    MARKER_BYTES,
    REPORT_SUFFIXES,
    Look,
    Member,
    Package,
    all_plain,
    collision_faults,
    is_plain_text,
    is_small_text,
    last_change,
    name_faults,
    plain_locator,
    reading_order,
)
from pipeline.locator import SEPARATOR, Locator

BESIDE = (".ready", ".sha256")
"""Endings of the files beside a package that speak about it."""


@dataclass
class LandingEntry:
    """One entry of a folder of landing/. `beside` are the marker and list files found next to it: ending in lower case, path."""

    landing_folder: str
    name: str
    kind: str
    path: str
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def container(self) -> str:
        """Path below landing. A name that is no valid text is shown escaped; such a package is refused anyway."""
        return f"{self.landing_folder}/{os.fsencode(self.name).decode('utf-8', 'backslashreplace')}"


def entries(landing: Path, policy: dict[str, Any]) -> tuple[list[LandingEntry], int]:
    """All packages below `landing`, ordered by container, and how many entries of it are of no source.

    A marker without its package is left out: the package is not there yet, or was removed after it was taken in. What only
    has a marker's name, and is no line of text, is an entry like any other.

    Raises UsageError when the landing folder cannot be listed.
    """
    if not landing.is_dir():
        return [], 0
    found: list[LandingEntry] = []
    strange = 0
    try:
        for folder in sorted(os.scandir(landing), key=lambda e: e.name):
            if not folder.is_dir(follow_symlinks=False):
                strange += 1
            elif folder.name in policy["landing_folders"]:
                found.extend(_in_folder(folder.name, folder.path, policy))
            elif folder.name not in policy["ignored_folders"]:
                strange += 1
    except OSError as error:
        raise UsageError(
            f"The landing folder cannot be listed: {error.strerror}.", "Give this account read access."
        ) from error
    return found, strange


def _in_folder(name: str, path: str, policy: dict[str, Any]) -> list[LandingEntry]:
    listed: dict[str, LandingEntry] = {}
    markers: list[os.DirEntry[str]] = []
    for entry in os.scandir(path):
        with contextlib.suppress(FileNotFoundError):  # gone since the folder was listed
            if _is_noise(entry, policy):
                continue
            if entry.name.lower().endswith(BESIDE) and not entry.is_dir(follow_symlinks=False) and _is_marker(entry):
                markers.append(entry)
            else:
                listed[entry.name] = LandingEntry(name, entry.name, _kind(entry), entry.path)
    for marker in sorted(markers, key=lambda entry: entry.name):
        base, ending = marker.name.rsplit(".", 1)
        if base in listed:
            listed[base].beside[f".{ending.lower()}"] = marker.path
    return [listed[name] for name in sorted(listed)]


def _is_marker(entry: os.DirEntry[str]) -> bool:
    """Whether a file of such a name speaks about a package: a marker of a line at most, a list that begins as text. A pipe
    or a link is one too: it is never read as more."""
    if not entry.is_file(follow_symlinks=False):
        return True
    size = entry.stat(follow_symlinks=False).st_size
    if size > MARKER_BYTES and entry.name.lower().endswith(MARKER):
        return False
    return size == 0 or is_plain_text(_head(entry.path, MARKER_BYTES))


def _is_noise(entry: os.DirEntry[str], policy: dict[str, Any]) -> bool:
    """Whether a desktop left this beside the packages: by its name and by what it holds."""
    noise = Noise(policy)
    if entry.name in policy["noise_folders"]:
        return entry.is_dir(follow_symlinks=False) and _is_empty(entry.path)
    if not noise.named(entry.name) or not entry.is_file(follow_symlinks=False):
        return False
    size = entry.stat(follow_symlinks=False).st_size
    return noise.is_noise(entry.name, size, partial(_head, entry.path, size + 1))


def _is_empty(folder: str) -> bool:
    """Whether nothing lies in a folder. One that may not be looked into is a package, which says why it waits."""
    with contextlib.suppress(PermissionError):
        return not any(os.scandir(folder))
    return False


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    if entry.is_dir():
        return "folder"
    lowered = entry.name.lower()
    if not entry.is_file():
        return "other"
    if lowered.endswith(SUFFIXES):
        return "archive"
    return "report" if lowered.endswith(REPORT_SUFFIXES) else "other"


@dataclass
class _Survey:
    """What `stat_key` returns and the latest change as `last_change` has it; everything that was looked at; files and links of a folder with
    their name below it and what lstat says; and why not everything could be looked at."""

    key: str = ""
    changed: int = 0
    looked: list[Look] = field(default_factory=list)
    files: list[tuple[str, os.DirEntry[str], os.stat_result]] = field(default_factory=list)
    problem: str = ""
    overfull: bool = False


def stat_key(entry: LandingEntry, most: int) -> str:
    """A digest of names, sizes, times and inodes of everything in the entry, up to `most` files and folders.
    Equal keys mean: not touched since. Vanished files are left out, the next run sees them."""
    return _survey(entry, most).key


def returned_key(entry: LandingEntry, key: str) -> str:
    """The `stat_key` of an entry that was returned, with what lies beside it: a marker or a list that comes there later
    can make it whole. Of one that was taken in that does not count, since its marker may be removed again."""
    facts = [key]
    for ending, path in sorted(entry.beside.items()):
        try:
            status = os.lstat(path)
            facts.append(f"{ending} {status.st_size} {status.st_mtime_ns} {status.st_ino}")
        except OSError:
            facts.append(f"{ending} unreadable")
    return " ".join([*facts, "returned"])


def _survey(entry: LandingEntry, most: int) -> _Survey:
    """Look at everything in the entry once, but not at more than `most` files and folders. Never raises."""
    facts: list[str] = []
    made = _Survey()

    def note(name: str, path: str, status: os.stat_result) -> None:
        seen = status.st_size, status.st_mtime_ns, status.st_ino
        made.looked.append((path, *seen))
        made.changed = max(made.changed, last_change(status))
        facts.append("\0".join((name, *map(str, seen))))

    stack = [(entry.path, "")]
    while stack:
        path, prefix = stack.pop()
        if len(made.looked) > most:
            made.overfull = True
            break
        try:
            note(prefix, path, os.lstat(path))
            if entry.kind != "folder":
                continue
            for below in os.scandir(path):
                name = f"{prefix}/{below.name}"
                if below.is_dir(follow_symlinks=False):
                    stack.append((below.path, name))
                else:
                    status = below.stat(follow_symlinks=False)
                    note(name, below.path, status)
                    made.files.append((name[1:], below, status))
                    if len(made.looked) > most:
                        break
        except OSError as error:
            facts.append(f"{prefix}\0unreadable")
            made.problem = f"it cannot be read ({error.strerror})"
    facts.sort()
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    made.key = hashlib.blake2b(text, digest_size=16).hexdigest()
    return made


def is_touched(package: Package) -> bool:
    """Whether anything of the package is gone, or has another size, time or inode than when it was listed. That a file
    came or went shows in the time of its folder."""
    try:
        for path, size, time, inode in package.looked:
            now = os.lstat(path)
            if now.st_mtime_ns != time or now.st_size != size or now.st_ino != inode:
                return True
    except OSError:
        return True
    return False


@dataclass(frozen=True)
class Text:
    """A file that a reader is to be given: `role` is list (the checksum list beside a package), archive, report (alone in
    landing) or member (of a folder, whose `name` it has there)."""

    role: str
    name: str
    path: str


def prepare(entry: LandingEntry, policy: dict[str, Any]) -> tuple[Package, list[Text]]:
    """List a package as far as that needs no reading: nothing is opened but what has the name of something that desktops
    leave behind. Returns it with what has to be read. Never raises: faults and waits say what is wrong."""
    package = Package(entry.landing_folder, entry.container, entry.kind)
    caps = policy["caps"]
    found = _survey(entry, 2 * caps["members"])
    package.stat_key, package.changed, package.looked = found.key, found.changed, found.looked
    package.waits += [found.problem] if found.problem else []
    package.ready = ".ready" in entry.beside
    faults = [f.replace("a member", "the package") for f in name_faults(entry.name, caps)]
    if SEPARATOR in f"{entry.container}/":
        faults.append("the package's name ends in an exclamation mark")
    if found.overfull:
        faults.append("the package has too many files")
    package.faults.extend(faults)
    if faults:
        return package, []
    texts = []
    if ".sha256" in entry.beside:
        texts.append(Text("list", f"{entry.container.rpartition('/')[2]}.sha256", entry.beside[".sha256"]))
    if entry.kind == "folder":
        texts += _list_folder(package, found, policy)
    elif entry.kind in {"archive", "report"}:
        texts.append(Text(entry.kind, entry.name, entry.path))
    elif entry.kind == "link":
        package.faults.append("it is a link; links are not followed")
    else:
        package.waits.append("it is neither a folder, nor a zip or tar archive, nor a JSON, XML or CSV report")
    return package, texts


def open_texts(package: Package, texts: list[Text]) -> tuple[list[Text], list[int]]:
    """Open what is to be read: regular files only, never through a link and without waiting for anybody. Returns what
    could be opened with the descriptors, for the caller to close; what could not is a fault or something to wait for."""
    opened, descriptors = [], []
    for text in texts:
        try:
            descriptors.append(files.open_regular(text.path))
            opened.append(text)
        except files.NotRegularError:
            what = "the checksum list beside it is" if text.role == "list" else "the package holds"
            package.faults.append(f"{what} a link, a pipe or a device")
        except OSError as error:
            package.waits.append(f"it cannot be read ({error.strerror})")
    return opened, descriptors


def fill(package: Package, texts: list[Text], descriptors: list[int], policy: dict[str, Any]) -> None:
    """Read what was opened for the package. Raises nothing for any content: faults and waits say what is wrong."""
    caps = policy["caps"]
    by_name = {member.name: member for member in package.members}
    room = caps["text_bytes"]
    for text, descriptor in zip(texts, descriptors, strict=True):
        if text.role == "archive":
            try:
                with _archive(descriptor) as file:
                    list_archive(package, file, policy)
            except OSError as error:
                package.waits.append(f"it cannot be read ({error.strerror})")
            continue
        most = caps["manifest_bytes" if text.role == "list" else "report_bytes"]
        if os.fstat(descriptor).st_size > min(most, room):
            package.faults.append(f"the {'checksum list beside it' if text.role == 'list' else 'report'} is too large")
            continue
        try:
            content = _content(descriptor, most + 1)
        except OSError as error:
            package.waits.append(f"it cannot be read ({error.strerror})")
            continue
        room -= len(content)
        if text.role == "list":
            package.lists.append((text.name, content))
        elif text.role == "report":
            package.members.append(Member(text.name, len(content), Locator(package.container), content))
        else:
            member = by_name[text.name]
            member.hold(content)
            member.size = len(content)


_SMALL = 1 << 20
"""Bytes of an archive that is read at once: its directory and members are then found without asking the system thirty times."""


def _archive(descriptor: int) -> IO[bytes]:
    """An open archive, for the caller to close; the descriptor stays open. Raises OSError."""
    if os.fstat(descriptor).st_size <= _SMALL:
        return io.BytesIO(_content(descriptor, _SMALL))
    return os.fdopen(descriptor, "rb", closefd=False)


def _content(descriptor: int, most: int) -> bytes:
    """All of an open file, but no more than `most` bytes. Raises OSError."""
    content = os.read(descriptor, min(most, os.fstat(descriptor).st_size + 1))
    while 0 < len(content) < most and (more := os.read(descriptor, min(most - len(content), 1 << 16))):
        content += more
    return content


def inspect(entry: LandingEntry, policy: dict[str, Any]) -> Package:
    """List a package and read its small files in this process; ingest has a limited process do the reading
    (`pipeline.ingest.reading`)."""
    package, texts = prepare(entry, policy)
    opened, descriptors = open_texts(package, texts)
    try:
        fill(package, opened, descriptors, policy)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return package


def _list_folder(package: Package, found: _Survey, policy: dict[str, Any]) -> list[Text]:
    """List the files of a folder; returns those that are to be read."""
    caps = policy["caps"]
    texts: list[Text] = []
    noise = Noise(policy)
    names = [name for name, _, _ in found.files]
    plain, noisy = all_plain(names, caps), noise.any_named(names)
    for name, entry, status in found.files:
        regular = entry.is_file(follow_symlinks=False)
        size = status.st_size
        if noisy and regular and noise.named(name) and noise.is_noise(name, size, partial(_head, entry.path, size + 1)):
            package.left_out += 1
            continue
        faults = [] if regular else ["the package holds links or devices"]
        if not plain:
            faults += name_faults(name, caps)
        if size > caps["member_bytes"]:
            faults.append("a member is too large")
        locator = plain_locator(f"{package.container}/{name}")
        if locator is None:
            faults.append("a folder's name in the package ends in an exclamation mark")
        if faults or locator is None:
            package.faults.extend(f for f in faults if f not in package.faults)
            continue
        package.members.append(Member(name, size, locator))
        if is_small_text(name) and size <= caps["report_bytes"]:
            texts.append(Text("member", name, entry.path))
        if len(package.members) > caps["members"]:
            package.faults.append("the package has too many files")
            return []
    texts = sorted(texts, key=lambda text: reading_order(text.name))[: caps["reports"] * 4]
    package.members.sort(key=lambda m: m.name)
    package.faults.extend(collision_faults([m.name for m in package.members]))
    return texts


def _head(path: str, size: int) -> bytes:
    """The first `size` bytes of a regular file; none when it cannot be read (it is content then, and the worker says why)."""
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return b""
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)
