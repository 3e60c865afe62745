"""What a killed run had already found out: one line per file, taken up by the next run of the same work.

A line is a CRC-32 and JSON; a torn or damaged line, and all after it, counts as not written. The journal is only a
saving of work: results are published by the lake or the output file, and the journal is removed with that.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from pipeline import files


class Journal:
    """Records by key. `conditions` (versions, policy digest) must be those of the earlier run, or its journal is dropped."""

    def __init__(self, path: Path, conditions: dict[str, Any]) -> None:
        self.path = path
        self.taken_over: dict[str, Any] = {}
        good, intact = self._load(conditions)
        files.make_folder(path.parent)
        self._file: BinaryIO = path.open("r+b" if intact else "wb")
        if intact:
            self._file.truncate(good)
            self._file.seek(good)
        else:
            self._write({"conditions": conditions})

    def _load(self, conditions: dict[str, Any]) -> tuple[int, bool]:
        """Length of the intact part, and whether it belongs to this work."""
        good = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file):
                    record = _parse(line)
                    if record is None or (number == 0 and record.get("conditions") != conditions):
                        break
                    good += len(line)
                    if number:
                        self.taken_over[record["key"]] = record["value"]
        except FileNotFoundError:
            return 0, False
        return good, good > 0

    def add(self, key: str, value: Any) -> None:
        """Note a result; `value` is anything that orjson can write."""
        self._write({"key": key, "value": value})

    def _write(self, record: dict[str, Any]) -> None:
        text = orjson.dumps(record)
        self._file.write(b"%08x %s\n" % (zlib.crc32(text), text))
        self._file.flush()

    def remove(self) -> None:
        """The results are published."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()


def _parse(line: bytes) -> dict[str, Any] | None:
    check, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or check != b"%08x" % zlib.crc32(text[:-1]):
        return None
    record: dict[str, Any] = orjson.loads(text)
    return record
