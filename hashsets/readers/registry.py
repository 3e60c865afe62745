"""The registry of readers: which formats can be read, and which one a file is."""

from __future__ import annotations

import codecs
import re
import zipfile

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, HashSetReader, Source
from hashsets.readers.exported import CaseUcoReader, ExportedReader
from hashsets.readers.icse import IcseReader
from hashsets.readers.lists import ListReader
from hashsets.readers.ncmec import NcmecReader
from hashsets.readers.nsrl import NsrlSqliteReader, NsrlTextReader
from hashsets.readers.threatexchange import ThreatExchangeReader
from hashsets.readers.vics import VicsReader
from hashsets.readers.vpdq import VpdqReader
from pipeline.errors import InputError

READERS: dict[str, HashSetReader] = {
    r.name: r
    for r in (
        VicsReader(),
        NcmecReader(),
        IcseReader(),
        NsrlSqliteReader(),
        NsrlTextReader(),
        ExportedReader(),
        CaseUcoReader(),
        VpdqReader(),
        ListReader(),
        ThreatExchangeReader(),
    )
}
"""Every reader by name, in the order in which detection asks them."""

__all__ = ["READERS", "Batch", "Detection", "HashSetReader", "Source", "detect"]


def detect(source: Source, declared: str | None = None) -> Detection:
    """What the file is; `declared` names the only reader to ask.

    Raises InputError naming what was seen for an empty file, an unknown format, or one that is not what was declared.
    """
    head = source.head()
    if not head.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise InputError(f"{source.path.name} is empty.", "Ask the sender for a complete file.")
    asked = [READERS[declared]] if declared else list(READERS.values())
    wide = _wide(head)
    for reader in asked:
        found = reader.detect(head, source)
        if found is not None and not (wide and reader.name != ListReader.name):
            return found
    if wide:
        is_list = ListReader.name in {reader.name for reader in asked} and source.columns.get("columns")
        raise InputError(
            f"{source.path.name} is {wide} text "
            + (
                "without the columns that are declared for its source, or without the mark of UTF-16."
                if is_list
                else "which only lists with a declared column mapping may be (UTF-16)."
            ),
            "Save it as UTF-8, as JSON and XML are exchanged.",
        )
    if _is_sql(head, source):
        raise InputError(
            f"{source.path.name} holds SQL statements, as the deltas of NSRL do; they are not run here.",
            "Apply them to the last full database (`sqlite3 RDS.db < delta.sql`) and import that.",
        )
    if head.startswith(_PACKED):
        raise InputError(
            f"{source.path.name} is packed, and no file of a known format in it is read.",
            "Unpack it and import what is in it.",
        )
    raise InputError(
        f"{source.path.name} is not {'of the declared format ' + declared if declared else 'a known hash-set format'}: "
        f"it begins with {head[:48]!r}.",
        f"Known formats: {', '.join(READERS)}; lists need a column mapping in policy/hashsets.yaml.",
    )


_PACKED = (b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")


def _wide(head: bytes) -> str:
    """UTF-16 or UTF-32 for text of two or four bytes a character, with its mark or without; empty for any other."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    pairs = head[:64]
    for zeros, letters in ((pairs[0::2], pairs[1::2]), (pairs[1::2], pairs[0::2])):
        if len(pairs) >= 16 and not any(zeros) and all(letters):
            return "UTF-16"
    return "UTF-16" if head.startswith(delimited.UTF16) else ""


_SQL = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?:BEGIN|INSERT|DELETE|UPDATE|PRAGMA|CREATE|ATTACH|DROP|ALTER|REPLACE|WITH)\s",
    re.DOTALL | re.IGNORECASE,
)


def _is_sql(head: bytes, source: Source) -> bool:
    """Whether a file is SQL, or a zip whose members are."""
    if head.startswith(b"PK\3\4"):
        try:
            with zipfile.ZipFile(source.path) as archive:
                return any(name.lower().endswith(".sql") for name in archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError):
            return False
    return _SQL.match(head) is not None
