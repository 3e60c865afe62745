"""Delimited text in a stream, with line numbers; what all list formats share."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from hashsets.readers.base import Source, damaged

BATCH = 20_000
MAX_FIELD = 1 << 20
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Marks with which a UTF-16 text begins."""
csv.field_size_limit(MAX_FIELD)


def lines(source: Source, file: BinaryIO, encoding: str = "utf-8") -> Iterator[str]:
    """Decoded lines with their ends. Raises InputError at the first byte that is not of the encoding, or a NUL."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    rest = ""
    number = 0
    while True:
        chunk = file.read(1 << 20)
        try:
            text = rest + decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise damaged(
                source, f"line {number + 1} or after", f"it is not {encoding} text ({error.reason})"
            ) from None
        source.done += len(chunk)
        if "\0" in text:
            raise damaged(source, f"line {number + 1} or after", "it holds a NUL character")
        pieces = list(io.StringIO(text, newline=""))  # ends of lines only, not every character that Unicode calls one
        rest = pieces.pop() if pieces and chunk else ""
        if len(rest) > MAX_FIELD:
            raise damaged(source, f"line {number + 1}", "the line is too long")
        number += len(pieces)
        yield from pieces
        if not chunk:
            return


def rows(source: Source, file: BinaryIO, *, delimiter: str, encoding: str = "utf-8") -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every row that is not blank. Raises InputError with the line for bad quoting."""
    reader = csv.reader(lines(source, file, encoding), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            if fields and any(f.strip() for f in fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise damaged(source, f"line {reader.line_num}", str(error)) from None


_HINT = "sep="


def is_hint(fields: list[str]) -> bool:
    """Whether a first row is the line by which a spreadsheet is told the delimiter (`sep=;`)."""
    return fields[:1] == [_HINT] or (len(fields) == 1 and fields[0].lower().startswith(_HINT) and len(fields[0]) == 5)


def without_hint(head: bytes) -> bytes:
    """A file's head without that line."""
    plain = head.removeprefix(codecs.BOM_UTF8)
    return plain.partition(b"\n")[2] if plain[:4].lower() == _HINT.encode() else head


def first_row(head: bytes, delimiter: str) -> list[str]:
    """Fields of the first line of a file's head, or [] when it is not text. Only that line need be UTF-8, or the whole head
    UTF-16 with its mark."""
    try:
        if head.startswith(UTF16):
            text = codecs.getincrementaldecoder("utf-16")().decode(head)
        else:
            text = codecs.getincrementaldecoder("utf-8-sig")().decode(head.partition(b"\n")[0])
        line = next(iter(io.StringIO(text, newline="")), "")
        return next(iter(csv.reader([line], delimiter=delimiter, strict=True)), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def rows_split(source: Source, file: BinaryIO, delimiter: str, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every line that is not blank, of a format that is split at the delimiter and knows no
    quotes. Without a stated encoding a line that is not UTF-8 is read as Windows-1252, and noted."""
    for number, raw in enumerate(_raw_lines(source, file), 1):
        try:
            text = raw.decode(encoding or "utf-8")
        except UnicodeDecodeError as error:
            if encoding is not None:
                raise damaged(source, f"line {number}", f"it is not {encoding} text ({error.reason})") from None
            text = raw.decode("cp1252", "backslashreplace")
            source.notes["lines_in_cp1252"] = source.notes.get("lines_in_cp1252", 0) + 1
        if "\0" in text:
            raise damaged(source, f"line {number}", "it holds a NUL character")
        if text.strip():
            yield number, text.split(delimiter)


def _raw_lines(source: Source, file: BinaryIO) -> Iterator[bytes]:
    rest = file.read(3).removeprefix(codecs.BOM_UTF8)
    number = 0
    while chunk := file.read(1 << 20):
        source.done += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        number += len(whole)
        if len(rest) > MAX_FIELD:
            raise damaged(source, f"line {number + 1}", "the line is too long")
        yield from (line.rstrip(b"\r") for line in whole)
    if rest:
        yield rest.rstrip(b"\r")


def to_columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Records (raw column to value) as columns."""
    names = {name for record in records for name in record}
    return {name: [record.get(name) for record in records] for name in sorted(names)}
