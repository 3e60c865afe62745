"""Whether a package is complete: a `.ready` marker, a checksum list or a BagIt manifest (RFC 8493) must say so.

`waits(package)` looks at names and sizes; `mismatches(package, digests)` compares checksums with the digests that the
media worker computed. Both return reasons; none means complete. `.ready` alone is the sender's word and is enough;
where there are checksums as well, they must hold.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import bagit

from pipeline.fingerprint.outcome import Digests
from pipeline.ingest.landing.package import LIST_NAMES, TAG_FILES, Member, Package, is_transport
from pipeline.locator import Locator

logging.getLogger("bagit").addHandler(logging.NullHandler())
logging.getLogger("bagit").propagate = False  # its messages repeat file names


class _TagFile(io.BytesIO):
    """A tag file as bagit sees an open file; its messages name it."""

    name = "a tag file"


_tag_files: dict[str, bytes] = {}
"""The tag files of the bag that is being read, by name."""
_FOLDER = os.path.abspath(Path(__file__).with_name("empty_bag"))  # noqa: PTH100 - as bagit makes it
"""Where bagit looks whether there are tag files: each is there, and empty. What is in them is what a bag has."""


def _open_tag_file(path: str, mode: str = "r", encoding: str = "utf-8") -> IO[str]:
    """From memory, if it is one of a bag that is being read. Lines end at LF, CR or both, as RFC 8493 says; with bagit's
    own codecs.open also at U+0085 and others."""
    folder, name = os.path.split(path)
    if folder != _FOLDER:
        return open(path, mode, encoding=encoding)  # noqa: PTH123 - what the library itself does
    return io.TextIOWrapper(_TagFile(_tag_files.get(name, b"")), encoding, "strict")


bagit.open_text_file = _open_tag_file
_decode_filename = bagit._decode_filename
bagit._decode_filename = lambda name: _decode_filename(name) if "%" in name else name  # in hardly any is one

_LINE = re.compile(r"\\?([0-9A-Fa-f]{64})(?: [ *](.*))?")
_TAGGED = re.compile(r"SHA256 ?\((.*)\) ?= ?([0-9A-Fa-f]{64})")
"""The same as `sha256sum --tag`, BSD systems and OpenSSL write it."""
_ALGORITHMS = ("sha256", "sha512", "sha1", "md5")
"""Of a bag's manifests the first that is there counts. RFC 8493 demands SHA-256 and SHA-512 of every reader."""


class _Manifests(bagit.Bag):  # type: ignore[misc]
    """bagit's reading of tag files in memory; a path in them is judged by its text, the payload lies elsewhere."""

    def __init__(self) -> None:
        super().__init__(_FOLDER)

    def manifest_files(self) -> Iterator[str]:
        return self._there("manifest")

    def tagmanifest_files(self) -> Iterator[str]:
        return self._there("tagmanifest")

    def _there(self, kind: str) -> Iterator[str]:
        """As bagit finds them, without asking the file system for each of the algorithms that there are."""
        wanted = (f"{kind}-{algorithm}.txt" for algorithm in bagit.CHECKSUM_ALGOS)
        return (f"{self.path}/{name}" for name in wanted if name in _tag_files)

    def _path_is_dangerous(self, path: str) -> bool:
        return path.startswith(("/", "~")) or ".." in path.split("/") or "\\" in path


ListedDigests = dict[str, tuple[str, str]]
"""Member name -> (algorithm, digest in lower-case hex)."""


def expected(package: Package) -> tuple[ListedDigests, list[str]]:
    """What the package's own lists say about its members, and why it cannot be taken for complete yet."""
    wanted: ListedDigests = {}
    reasons: list[str] = []
    announced = package.ready or any("/" not in m.name and m.name.lower().endswith(".ready") for m in package.members)
    if package.is_bag:
        announced = True
        reasons += _bag(package, wanted)
    for name, content in [*package.lists, *_inner_lists(package)]:
        announced = True
        reasons += _plain(package, name, content, wanted)
    if not announced:
        reasons.append("no checksum list and no .ready marker says that it is complete")
    damaged = [name for name, (_, digest) in wanted.items() if "\0" in name or "\0" in digest]
    if damaged:
        reasons.append("a checksum list holds null characters")
    for name in damaged:
        del wanted[name]
    missing = wanted.keys() - package.by_name.keys() - {CONTAINER}
    if missing:
        missing = _in_other_forms(package, wanted, missing)
    if missing:
        reasons.append(f"{len(missing)} of {len(wanted)} listed files are not there")
    return wanted, reasons


def _in_other_forms(package: Package, wanted: ListedDigests, missing: set[str]) -> set[str]:
    """Which of the missing names are missing in every form. macOS writes names decomposed (NFD) where a list has
    them composed (NFC), and a bag's manifest writes `%` as `%25`: such a name is found, and `wanted` then has it as it lies
    in the package."""
    here = {unicodedata.normalize("NFC", name): name for name in package.by_name}
    still = set()
    for name in missing:
        found = here.get(unicodedata.normalize("NFC", name))
        if found is None and package.is_bag:
            found = here.get(_unescaped(name))
        if found is None or found in wanted:
            still.add(name)
        else:
            wanted[found] = wanted.pop(name)
    return still


def _unescaped(name: str) -> str:
    """A name of a bag's manifest, composed, with `%25` as `%` (RFC 8493, 2.1.3; of the three characters that are written so
    bagit turns back the two line ends only)."""
    return unicodedata.normalize("NFC", name.replace("%25", "%"))


CONTAINER = "/"
"""Name under which `expected` lists the digest of the archive or report file itself."""


def _inner_lists(package: Package) -> list[tuple[str, bytes]]:
    if package.is_bag:
        return []
    return [
        (m.name, m.content)
        for m in package.members
        if m.content is not None
        and "/" not in m.name
        and (m.name.lower().endswith(".sha256") or m.name.lower() in LIST_NAMES)
    ]


def _plain(package: Package, name: str, content: bytes, wanted: ListedDigests) -> list[str]:
    """A list as sha256sum writes it. Beside an archive or a single report it speaks of that file."""
    try:
        # a name may hold other characters at which str.splitlines would end a line
        lines = [line for line in re.split(r"\r\n|\n|\r", content.decode("utf-8-sig")) if line.strip()]
    except UnicodeDecodeError:
        return ["a checksum list is not UTF-8 text"]
    top = package.container.rpartition("/")[2]
    beside = name == f"{top}.sha256"
    for line in lines:
        if found := _LINE.fullmatch(line):
            given, digest = found[2] or top, found[1]
        elif tagged := _TAGGED.fullmatch(line):
            given, digest = tagged[1], tagged[2]
        else:
            return ["a line of a checksum list is not `<SHA-256>  <name>`"]
        path = given.removeprefix("./")
        if path == name and not beside:
            continue  # `sha256sum * > SHA256SUMS` lists the list too, as it was before it was written
        if beside and package.kind != "folder" and path.rpartition("/")[2] == top:
            path = CONTAINER
        elif beside:
            path = path.removeprefix(f"{top}/")
        wanted[path] = ("sha256", digest.lower())
    return [] if lines else ["a checksum list is empty"]


def _bag(package: Package, wanted: ListedDigests) -> list[str]:
    """Reads the manifests with the bagit library."""
    _tag_files.update((m.name, m.content) for m in package.members if m.name in TAG_FILES and m.content is not None)
    try:
        bag = _Manifests()
        fetched = {os.path.normpath(name) for _, _, name in bag.fetch_entries()} if "fetch.txt" in _tag_files else set()
    except (bagit.BagError, ValueError, LookupError, AttributeError, TypeError):
        return ["its BagIt files cannot be read"]
    finally:
        _tag_files.clear()
    listed = {name: digests for name, digests in bag.entries.items() if name.startswith("data/")}
    usable = [a for a in _ALGORITHMS if listed and all(a in digests for digests in listed.values())]
    if not usable:
        return ["it has no complete BagIt manifest of kind sha256, sha512, sha1 or md5"]
    for name, digests in bag.entries.items():
        algorithm = next((a for a in _ALGORITHMS if a in digests), None)
        if algorithm:
            wanted[name] = (algorithm, digests[algorithm].lower())
    payload = [m for m in package.members if m.name.startswith("data/")]
    unlisted = sum(1 for m in payload if m.name not in listed)
    if unlisted:
        composed = {form for name in listed for form in (unicodedata.normalize("NFC", name), _unescaped(name))}
        unlisted = sum(1 for m in payload if unicodedata.normalize("NFC", m.name) not in composed)
    reasons = [f"{unlisted} files of its payload are not in its BagIt manifest"] if unlisted else []
    stated = bag.info.get("Payload-Oxum")
    if not reasons and stated is not None and stated != f"{sum(m.size for m in payload)}.{len(payload)}":
        reasons.append("its payload is not as many bytes and files as its bag-info.txt states (Payload-Oxum)")
    strays = len(fetched - listed.keys())
    if strays:
        reasons.append(f"its fetch.txt names {strays} files that are in no manifest")
    return reasons


def sha512(content: bytes) -> bytes:
    """For bags that have no other checksums."""
    return hashlib.sha512(content).digest()


def digest_of(member: Member, algorithm: str, digests: Mapping[str, Digests]) -> str | None:
    """Hex digest of a member, from when it was read here, else from the media worker's answers."""
    found = member.read or digests.get(member.key)
    return (getattr(found, algorithm).hex() or None) if found else None


def mismatches(package: Package, wanted: ListedDigests, digests: Mapping[str, Digests]) -> list[str]:
    """Reasons from comparing checksums. `digests` are the media worker's answers by locator text."""
    wrong = unread = 0
    by_name = package.by_name
    for name, (algorithm, value) in wanted.items():
        if name == CONTAINER:
            whole = package.members[0] if package.kind == "report" and package.members else None
            actual = digest_of(whole or Member("", 0, Locator(package.container)), algorithm, digests)
        elif name in by_name:
            actual = digest_of(by_name[name], algorithm, digests)
        else:
            continue
        if actual is None:
            unread += 1
        elif actual != value:
            wrong += 1
    reasons = [f"{wrong} of {len(wanted)} files do not have their listed checksum"] if wrong else []
    return reasons + ([f"{unread} of {len(wanted)} listed files cannot be read"] if unread else [])


def unlisted(package: Package, wanted: ListedDigests) -> list[str]:
    """Names of content that no list names although there are lists: usable, but worth a note."""
    if not wanted or CONTAINER in wanted:
        return []
    return [m.name for m in package.members if m.name not in wanted and not is_transport(m, package.is_bag)]
