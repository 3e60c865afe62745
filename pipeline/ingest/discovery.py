"""Finds packages in the landing folder, and looks into those that are new.

An entry of `landing/<source>/` is a package when it is a folder, an archive or a single report; markers and checksum
lists beside it (`<name>.ready`, `<name>.sha256`) belong to it. Links are never followed. What was taken in before and
has not changed by name, size, time and inode is skipped; that is only a shortcut, identity is by content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.ingest.archives import SUFFIXES, list_archive
from pipeline.ingest.package import (
    REPORT_SUFFIXES,
    Look,
    Member,
    Package,
    all_plain,
    collision_faults,
    is_small_text,
    name_faults,
    plain_locator,
)
from pipeline.locator import SEPARATOR, Locator

BESIDE = (".ready", ".sha256")
"""Endings of the files beside a package that speak about it."""


@dataclass
class Entry:
    """One entry of a source folder. `beside` are the marker and list files found next to it: ending in lower case, path."""

    source: str
    name: str
    kind: str
    path: str
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def container(self) -> str:
        """Path below landing. A name that is no valid text is shown escaped; such a package is refused anyway."""
        return f"{self.source}/{os.fsencode(self.name).decode('utf-8', 'backslashreplace')}"


def entries(landing: Path, policy: dict[str, Any]) -> tuple[list[Entry], int]:
    """All packages below `landing`, ordered by container, and how many entries of it are no source.

    A marker without its package is left out: the package is not there yet, or was removed after it was taken in.

    Raises UsageError when the landing folder cannot be listed.
    """
    if not landing.is_dir():
        return [], 0
    found: list[Entry] = []
    strange = 0
    try:
        for folder in sorted(os.scandir(landing), key=lambda e: e.name):
            if not folder.is_dir(follow_symlinks=False):
                strange += 1
            elif folder.name in policy["sources"]:
                found.extend(_in_source(folder.name, folder.path, policy))
            elif folder.name not in policy["ignored_folders"]:
                strange += 1
    except OSError as error:
        raise UsageError(
            f"The landing folder cannot be listed: {error.strerror}.", "Give this account read access."
        ) from error
    return found, strange


def _in_source(source: str, folder: str, policy: dict[str, Any]) -> list[Entry]:
    listed: dict[str, Entry] = {}
    markers: list[os.DirEntry[str]] = []
    for entry in os.scandir(folder):
        if entry.name in policy["noise"] or entry.name in policy["noise_folders"]:
            continue
        if entry.name.lower().endswith(BESIDE) and not entry.is_dir(follow_symlinks=False):
            markers.append(entry)
        else:
            listed[entry.name] = Entry(source, entry.name, _kind(entry), entry.path)
    for marker in sorted(markers, key=lambda entry: entry.name):
        base, ending = marker.name.rsplit(".", 1)
        if base in listed:
            listed[base].beside[f".{ending.lower()}"] = marker.path
    return [listed[name] for name in sorted(listed)]


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
    """What `stat_key` returns and the newest change in ns; everything that was looked at; files and links of a folder with
    their name below it and what lstat says; and why not everything could be looked at."""

    key: str = ""
    newest: int = 0
    looked: list[Look] = field(default_factory=list)
    files: list[tuple[str, os.DirEntry[str], os.stat_result]] = field(default_factory=list)
    problem: str = ""


def stat_key(entry: Entry) -> str:
    """A digest of names, sizes, times and inodes of everything in the entry.

    Equal keys mean: not touched since. Vanished files are left out, the next run sees them.
    """
    return _survey(entry).key


def returned_key(entry: Entry, key: str) -> str:
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


def _survey(entry: Entry) -> _Survey:
    """Look at everything in the entry once. Never raises."""
    facts: list[str] = []
    made = _Survey()

    def note(name: str, path: str, status: os.stat_result) -> None:
        size, time, inode = status.st_size, status.st_mtime_ns, status.st_ino
        made.looked.append((path, size, time, inode))
        facts.append(f"{name}\0{size}\0{time}\0{inode}")

    stack = [(entry.path, "")]
    while stack:
        path, prefix = stack.pop()
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
        except OSError as error:
            facts.append(f"{prefix}\0unreadable")
            made.problem = f"it cannot be read ({error.strerror})"
    facts.sort()
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    made.key = hashlib.blake2b(text, digest_size=16).hexdigest()
    made.newest = max((time for _, _, time, _ in made.looked), default=0)
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


def inspect(entry: Entry, policy: dict[str, Any]) -> Package:
    """List a package and read its small files. Never raises for what is in it: faults and waits say what is wrong."""
    package = Package(entry.source, entry.container, entry.kind)
    found = _survey(entry)
    package.stat_key, package.newest, package.looked = found.key, found.newest, found.looked
    package.waits += [found.problem] if found.problem else []
    package.ready = ".ready" in entry.beside
    faults = [f.replace("a member", "the package") for f in name_faults(entry.name, policy["caps"])]
    if SEPARATOR in f"{entry.container}/":
        faults.append("the package's name ends in an exclamation mark")
    package.faults.extend(faults)
    if faults:
        return package
    try:
        if ".sha256" in entry.beside:
            _list_beside(package, Path(entry.beside[".sha256"]), policy["caps"])
        _look_into(package, entry, found, policy)
    except OSError as error:
        package.waits.append(f"it cannot be read ({error.strerror})")
    return package


def _list_beside(package: Package, path: Path, caps: dict[str, Any]) -> None:
    if path.is_symlink() or path.stat().st_size > caps["manifest_bytes"]:
        package.faults.append("the checksum list beside it is a link or too large")
        return
    package.lists.append((f"{package.container.rpartition('/')[2]}.sha256", path.read_bytes()))


def _look_into(package: Package, entry: Entry, found: _Survey, policy: dict[str, Any]) -> None:
    if entry.kind == "folder":
        _list_folder(package, found, policy)
    elif entry.kind == "archive":
        list_archive(package, entry.path, policy["caps"], _keep(policy))
    elif entry.kind == "report":
        size = os.lstat(entry.path).st_size
        if size > policy["caps"]["report_bytes"]:
            package.faults.append("the report is too large")
            return
        content = _content(entry.path)
        package.members.append(Member(entry.name, len(content), Locator(entry.container), content))
    elif entry.kind == "link":
        package.faults.append("it is a link; links are not followed")
    else:
        package.waits.append("it is neither a folder, nor a zip or tar archive, nor a JSON, XML or CSV report")


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hundreds of packages a second
        return file.readall()


def _keep(policy: dict[str, Any]) -> Callable[[str], bool]:
    """Tells whether a member is part of the package, and not what a desktop left behind."""
    files, folders = policy["noise"], policy["noise_folders"]
    words = (*files, *folders)

    def keep(name: str) -> bool:
        for word in words:
            if word in name:
                *above, last = name.split("/")
                return last not in files and not any(folder in above for folder in folders)
        return True

    return keep


def _list_folder(package: Package, found: _Survey, policy: dict[str, Any]) -> None:
    caps = policy["caps"]
    read, keep = 0, _keep(policy)
    plain = all_plain([name for name, _, _ in found.files], caps)
    for name, entry, status in found.files:
        if not keep(name):
            continue
        faults = [] if entry.is_file(follow_symlinks=False) else ["the package holds links or devices"]
        if not plain:
            faults += name_faults(name, caps)
        size = status.st_size
        if size > caps["member_bytes"]:
            faults.append("a member is too large")
        locator = plain_locator(f"{package.container}/{name}")
        if locator is None:
            faults.append("a folder's name in the package ends in an exclamation mark")
        if faults or locator is None:
            package.faults.extend(f for f in faults if f not in package.faults)
            continue
        member = Member(name, size, locator)
        if is_small_text(name) and size <= caps["report_bytes"] and read < caps["reports"] * 4:
            member.content = _content(entry.path)
            member.size = len(member.content)
            read += 1
        package.members.append(member)
        if len(package.members) > caps["members"]:
            package.faults.append("the package has too many files")
            return
    package.members.sort(key=lambda m: m.name)
    package.faults.extend(collision_faults([m.name for m in package.members]))
