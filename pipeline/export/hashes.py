"""Reading the hashes that people paste, upload or pipe in: hex or base64, one per line or in a CSV column.

An algorithm is named by a prefix (`pdq:...`) or a CSV heading, or else follows from the length:

    32 hex   MD5                    24 base64   MD5
    40 hex   SHA-1                  28 base64   SHA-1
    64 hex   SHA-256, PDQ, pHash    44 base64   SHA-256, PDQ, pHash   (all that have 32 bytes are looked up)
    16 hex   pHash-64, dHash-64     192 base64  PhotoDNA

Every line ends as a hash or as a reject with its reason; one bad line never stops a list.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.algorithms import ALGORITHMS, EXCHANGED
from pipeline.errors import InputError

WIDTHS = {name: ALGORITHMS[name].width for name in EXCHANGED}
"""Bytes of a value of each algorithm."""

BY_WIDTH: dict[int, tuple[str, ...]] = {
    width: tuple(name for name, w in WIDTHS.items() if w == width) for width in sorted(set(WIDTHS.values()))
}

_ALIASES = {"phash": "phash256", "sha-1": "sha1", "sha-256": "sha256", "dhash": "dhash64"}
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEADINGS = {*WIDTHS, *_ALIASES, "hash", "value", "hashvalue"}


@dataclass(frozen=True)
class HashText:
    """One hash as somebody gave it. `line` counts from 1; `algorithms` are all that the value can be."""

    line: int
    text: str
    algorithms: tuple[str, ...]
    value: bytes


@dataclass(frozen=True)
class RejectedLine:
    """One line that is no hash, and why."""

    line: int
    text: str
    reason: str


def parse_hash(text: str, line: int = 1, algorithm: str | None = None) -> HashText:
    """One hash, with or without a prefix. Raises InputError that says what was expected."""
    original = text.strip().strip("\"'")
    body, named = original, algorithm
    if ":" in original:
        prefix, _, body = original.partition(":")
        named = _named(prefix)
        body = body.strip()
    value = _decode(body)
    if named is not None:
        if len(value) != WIDTHS[named]:
            raise InputError(f"A {named} value has {WIDTHS[named]} bytes; this one has {len(value)}.")
        return HashText(line, original, (named,), value)
    if len(value) not in BY_WIDTH:
        raise InputError(
            f"{len(value)} bytes fit no known algorithm.",
            "Expected hex of 16, 32, 40 or 64 characters, or base64 of 8, 16, 20, 32 or 144 bytes.",
        )
    return HashText(line, original, BY_WIDTH[len(value)], value)


def parse_list(text: str, limit: int) -> tuple[list[HashText], list[RejectedLine]]:
    """Lines or CSV to hashes and rejects; lines + rejects = non-empty lines (cells, for a CSV of several hash columns).

    Raises InputError when there are more than `limit` values, before any of them is looked up.
    """
    hashes: list[HashText] = []
    rejects: list[RejectedLine] = []
    for line, cell, algorithm in _cells(text.lstrip("\ufeff")):
        if len(hashes) + len(rejects) >= limit:
            raise InputError(f"The list has more than {limit:,} hashes.", "Split it, or use `triage match` for files.")
        try:
            hashes.append(parse_hash(cell, line, algorithm))
        except InputError as error:
            rejects.append(RejectedLine(line, cell.strip()[:80], error.message))
    return hashes, rejects


_KINDS: tuple[tuple[bytes, int, str, str], ...] = (
    (b"\xff\xd8\xff", 0, "a picture (JPEG)", "picture"),
    (b"\x89PNG", 0, "a picture (PNG)", "picture"),
    (b"GIF8", 0, "a picture (GIF)", "picture"),
    (b"WEBP", 8, "a picture (WebP)", "picture"),
    (b"II*\0", 0, "a picture (TIFF)", "picture"),
    (b"MM\0*", 0, "a picture (TIFF)", "picture"),
    (b"ftyp", 4, "a picture or video (HEIC, MP4)", "picture"),
    (b"\x1aE\xdf\xa3", 0, "a video (Matroska)", "picture"),
    (b"PK\x03\x04", 0, "a spreadsheet (xlsx) or another archive", "sheet"),
    (b"\xd0\xcf\x11\xe0", 0, "a spreadsheet (xls) or another Office file", "sheet"),
    (b"%PDF", 0, "a PDF", "sheet"),
)
_REMEDIES = {
    "picture": "Hash it on your own machine: `triage lookup FILE`. Nothing of it was kept here.",
    "sheet": "Save the sheet with the hashes as CSV and give that.",
}


def kind_of(data: bytes) -> str | None:
    """What a file is that is no list of hashes, by its first bytes: `picture` or `sheet`; None for text."""
    return next((kind for magic, place, _, kind in _KINDS if data[place : place + len(magic)] == magic), None)


def text_of(data: bytes, name: str) -> str:
    """A list as text: UTF-8, or UTF-16 with its mark. Raises InputError that says what the file is when it is no text."""
    for magic, place, what, kind in _KINDS:
        if data[place : place + len(magic)] == magic:
            raise InputError(f"{name} is {what}, not a list of hashes.", _REMEDIES[kind])
    if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:4096]:
        raise InputError(f"{name} is not text.", "Give a list with one hash per line, or CSV.")
    return data.decode("utf-8", errors="replace")


def _cells(text: str) -> Iterable[tuple[int, str, str | None]]:
    """(line, cell, algorithm named by the heading) of every non-empty cell that should be a hash."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    dialect = next((c for c in ("\t", ";", ",") if c in first), ",")
    heading = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=dialect), [])]
    columns = [(i, _ALIASES.get(h, h)) for i, h in enumerate(heading) if h in _HEADINGS]
    columns = columns or [(i, "hash") for i in _unnamed(lines, dialect, heading)]
    if not columns:
        for number, line in enumerate(lines, 1):
            cell = line.split("#", 1)[0].split(dialect)[0]
            if cell.strip():
                yield number, cell, None
        return
    reader = csv.reader(io.StringIO(text), delimiter=dialect)
    seen_heading = False
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if not seen_heading:
            seen_heading = True
            continue
        filled = [(i, name) for i, name in columns if i < len(row) and row[i].strip()]
        for i, name in filled:
            yield reader.line_num, row[i], name if name in WIDTHS else None
        if not filled:
            yield reader.line_num, "", None


def taken(text: str) -> str:
    """Which column of a list with unknown headings was read, or that none holds hashes, as a sentence; empty where nothing
    had to be guessed."""
    lines = text.lstrip("\ufeff").splitlines()
    first = next((line for line in lines if line.strip()), "")
    dialect = next((c for c in ("\t", ";", ",") if c in first), ",")
    heading = [cell.strip() for cell in next(csv.reader([first], delimiter=dialect), [])]
    if any(h.lower() in _HEADINGS for h in heading):
        return ""
    found = _unnamed(lines, dialect, heading)
    if found:
        names = ", ".join(repr(heading[i]) for i in found)
        return f"No heading names a kind of hash; what looks like hashes was read from {names}."
    rows = csv.reader(lines[:SNIFFED], delimiter=dialect)
    if len(heading) > 1 and not any(_is_hash(cell) for row in rows for cell in row):
        return f"No column of this list holds hashes. Its first line is: {', '.join(heading)}."
    return ""


SNIFFED = 50
"""Lines that are looked at to find columns of hashes."""
LEAST = 16
"""Characters below which a cell of an unnamed column is not taken for a hash, as short words can be base64."""


def _unnamed(lines: list[str], dialect: str, heading: list[str]) -> list[int]:
    """Columns that hold nothing but hashes below a heading that is none; none where the first line holds hashes itself."""
    if len(heading) < 2 or any(_is_hash(cell) for cell in heading):
        return []
    rows = [row for row in csv.reader(lines[: SNIFFED + 1], delimiter=dialect) if any(c.strip() for c in row)][1:]
    found = []
    for place in range(len(heading)):
        cells = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
        if cells and all(_is_hash(cell) for cell in cells):
            found.append(place)
    return found


def _is_hash(text: str) -> bool:
    try:
        parse_hash(text)
    except InputError:
        return False
    return len(text.strip()) >= LEAST


def _named(prefix: str) -> str:
    name = prefix.strip().lower()
    name = _ALIASES.get(name, name)
    if name not in WIDTHS:
        raise InputError(f"{prefix.strip()[:20]!r} is no hash algorithm.", f"Known: {', '.join(WIDTHS)}.")
    return name


def _decode(body: str) -> bytes:
    if not body:
        raise InputError("There is no hash in this line.")
    if _HEX.fullmatch(body) and len(body) // 2 in BY_WIDTH and len(body) % 2 == 0:
        return bytes.fromhex(body)
    if _HEX.fullmatch(body) and len(body) not in (24, 28, 44, 192):
        raise InputError(f"{len(body)} hex characters fit no known algorithm.")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("This is neither hex nor base64.") from None
