"""Bytes of a report to a tree of dicts, lists, texts and numbers; strict, with limits, or InputError.

JSON: orjson's verdict (it accepts nothing that RFC 8259 forbids), UTF-8 with or without BOM, no key twice with
different values, a depth limit. XML: no document type and so no entities, a depth limit. CSV: `field,value`
rows of our own form.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from functools import lru_cache
from itertools import islice
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import ExpatError, ParserCreate

import orjson

from pipeline.errors import InputError


def json_tree(raw: bytes, depth: int, defects: list[tuple[str, str]]) -> Any:
    """Parse JSON. A key given several times with different values is removed, noted in `defects` and its values are
    kept under a key that no rule reads. Raises InputError."""
    bare = raw.removeprefix(codecs.BOM_UTF8)
    if bare.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("The report is UTF-16 text.", "Send it as UTF-8.")
    try:
        tree = orjson.loads(bare)
    except orjson.JSONDecodeError as error:
        if "Not enough memory" in error.msg:  # it says so in this way only
            raise MemoryError from None
        raise InputError(f"The report is not valid JSON: {error}.") from None
    too_deep = InputError(f"The report is nested more than {depth} levels deep.")
    try:
        written = _written(tree, orjson.OPT_INDENT_2 if len(bare) <= _INDENTED else 0)
    except orjson.JSONEncodeError:  # beyond 254 levels
        raise too_deep from None
    # of a small report each level has two spaces more before its lines; an empty object or list at the last level has no line
    perhaps = len(bare) > _INDENTED or b"\n" + b"  " * depth in written
    if perhaps and _is_nested_deeper(_written(tree), depth):
        raise too_deep
    # certainly no key is given twice when the text has as many colons as the tree written out again; those inside texts
    # are counted on both sides alike, unless the text writes characters as \u003a
    escaped = b"\\" in bare  # hardly any report has one, and one byte is found ten times as fast as two
    if (escaped and b"\\u" in bare) or bare.count(b":") != written.count(b":"):
        try:
            tree = json.loads(bare, object_pairs_hook=lambda pairs: _unique(pairs, defects))
            compact = json.dumps(tree, separators=(",", ":")).encode()
        except RecursionError:
            raise too_deep from None
        if _is_nested_deeper(compact, depth + 1):  # what was given twice is in a list now, and not all was judged yet
            raise too_deep
    return _shown(tree, defects) if escaped and b"\\u0000" in bare else tree


def _written(tree: Any, option: int = 0) -> bytes:
    try:
        return orjson.dumps(tree, option=option)
    except SystemError:  # without memory it returns nothing and names no error
        raise MemoryError from None


_INDENTED = 1 << 16
"""Bytes of a report up to which it is written out with indentation, of which a hostile one makes some hundred times as much."""


def _shown(tree: Any, defects: list[tuple[str, str]]) -> Any:
    """The tree with U+FFFD for null characters, which no database takes; the original report keeps them."""
    kept = _without_nulls(tree)
    if kept != tree:
        defects.append(("*", "The report has null characters; each is shown as U+FFFD."))
    return kept


def _without_nulls(node: Any) -> Any:
    if isinstance(node, str):
        return node.replace("\0", "\ufffd")
    if isinstance(node, dict):
        return {_without_nulls(key): _without_nulls(value) for key, value in node.items()}
    return [_without_nulls(value) for value in node] if isinstance(node, list) else node


_BRACKETS = bytes.maketrans(b"[]", b"{}")
_ALL_BUT_BRACKETS_AND_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))


def _is_nested_deeper(compact: bytes, limit: int) -> bool:
    """Whether a JSON text without white space, as orjson writes it, is nested deeper than `limit`.

    The brackets outside texts are taken away in pairs, the innermost first.
    """
    if b"\\" in compact:
        compact = compact.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = compact.translate(_BRACKETS, _ALL_BUT_BRACKETS_AND_QUOTES).split(b'"')
    brackets = b"".join(parts[::2])
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)


def _unique(pairs: list[tuple[str, Any]], defects: list[tuple[str, str]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    given: dict[str, list[Any]] = {}
    for key, value in pairs:
        given.setdefault(key, []).append(value)
    for key, values in given.items():
        if len(values) > 1 and any(value != values[0] for value in values):
            del found[key]
            found[f"{key} (given {len(values)} times)"] = values
            defects.append((key, f"The key is given {len(values)} times with different values; none is used."))
    return found


_NO_MEMORY = 1
"""Expat's code of a parse that ended for lack of memory."""


class DocumentTypeError(ValueError):
    """The XML has a document type, in which entities and references to elsewhere are declared."""


def _refuse_document_type(raw: bytes) -> None:
    """Read XML through for its well-formedness, and nothing else. Raises DocumentTypeError at a document type before anything of it
    is read, ExpatError, LookupError for an unknown encoding."""

    def refuse(*_: Any) -> None:
        raise DocumentTypeError

    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(raw, True)


def xml_tree(raw: bytes, depth: int) -> tuple[str, dict[str, Any]]:
    """Parse XML: name of the root element without its namespace, and its content as a tree.

    An element with children or attributes becomes a dict (attributes as `@name`, text as `value`), several of one
    name a list, any other its text. Raises InputError.
    """
    try:
        _refuse_document_type(raw)
        # the C parser: what defusedxml forbids can stand in a document type only, and there is none
        root = ElementTree.fromstring(raw)  # noqa: S314
    except DocumentTypeError:
        raise InputError("The report is XML with a document type or entities.") from None
    except (ExpatError, ParseError, ValueError, LookupError) as error:
        if getattr(error, "code", 0) == _NO_MEMORY:
            raise MemoryError from None
        raise InputError("The report is not valid XML.") from None
    content = _element(root, depth)
    return _local(root.tag), content if isinstance(content, dict) else {"value": content}


def _element(element: Element, depth: int) -> Any:
    if depth <= 0:
        raise InputError("The report is nested too deeply.")
    text = _text_of(element)
    if not len(element) and not element.attrib:
        return text
    content: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    for part in element:
        name, value = _local(part.tag), _element(part, depth - 1)
        if name not in content:
            content[name] = value
        elif isinstance(content[name], list):
            content[name].append(value)
        else:
            content[name] = [content[name], value]
    if text:
        content["text beside value" if "value" in content else "value"] = text
    return content


def _text_of(element: Element) -> str:
    """Text of an element that is not in an element below it, also what stands behind those."""
    if not len(element):
        return (element.text or "").strip()
    parts = [element.text, *(below.tail for below in element)]
    return " ".join(stripped for part in parts if part and (stripped := part.strip()))


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def csv_tree(raw: bytes, rows: int, defects: list[tuple[str, str]]) -> dict[str, Any]:
    """Parse `field,value` rows into the tree of the generic form: `subjects.1.name` is the name of the first subject.

    Raises InputError when it is not UTF-8, not CSV, has another header, or more than `rows` rows.
    """
    try:
        text = raw.decode("utf-8-sig")
        table = list(islice(csv.reader(io.StringIO(text, newline=""), strict=True), rows + 1))
    except UnicodeDecodeError:
        raise InputError("The report is not UTF-8 text.", "Save it as CSV UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"The report is not valid CSV: {error}.") from None
    if not table or [c.strip().lower() for c in table[0][:2]] != ["field", "value"]:
        raise InputError("The first line of the CSV is not `field,value`.")
    if len(table) > rows:
        raise InputError(f"The CSV has more than {rows} rows.")
    tree: dict[str, Any] = {}
    for number, cells in enumerate(table[1:], 2):
        row = cells
        while len(row) > 2 and not row[-1].strip():  # spreadsheets write the empty columns too
            row = row[:-1]
        if len(row) == 2 and row[0].strip():
            _put(tree, row[0].strip(), row[1], number, defects)
        elif any(cell.strip() for cell in row):
            defects.append((f"line {number}", "The line does not have a field name and one value."))
            tree.setdefault("lines that were not read", []).append(row)
    _renumber(tree, defects)
    listed = {name: _listed(value) for name, value in tree.items()}
    if "\0" in text:
        return dict(_shown(listed, defects))
    return listed


_MARKS = {"json": (b",", b":", b"{", b"["), "xml": (b"<", b"="), "csv": ()}


def check_marks(raw: bytes, kind: str, most: int) -> None:
    """Refuse a report with more than `most` commas, colons, braces or tags before it is parsed: each becomes an object.

    Raises InputError.
    """
    if len(raw) > most and sum(map(raw.count, _MARKS[kind])) > most:
        raise InputError(f"The report has more than {most} values.", "Send it in several reports.")


_PART = re.compile(r"[a-z][a-z0-9_]*|[1-9]\d{0,4}")


@lru_cache(maxsize=8192)
def _parts(name: str) -> tuple[str, ...]:
    """The parts of a field's name; none when it is no name of a field."""
    parts = tuple(name.split("."))
    return parts if len(parts) <= 6 and all(_PART.fullmatch(part) for part in parts) else ()


def _put(tree: dict[str, Any], name: str, value: str, number: int, defects: list[tuple[str, str]]) -> None:
    parts = _parts(name.lower())
    if not parts:
        defects.append((f"line {number}", "This is no field name of the form."))
        tree.setdefault("lines that were not read", []).append([name, value])
        return
    node = tree
    for part in parts[:-1]:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            below = node[part] = {"value": below}
        node = below
    last = parts[-1]
    if last in node and node[last] != value:
        defects.append((f"line {number}", "The field is given twice with different values; the first is used."))
        tree.setdefault("lines that were not read", []).append([name, value])
    else:
        node.setdefault(last, value)


def _renumber(tree: dict[str, Any], defects: list[tuple[str, str]]) -> None:
    """Connections name the person by its number. Where numbers were left out (a line was deleted in a spreadsheet) the third
    person is not the one that was number 3: numbers become places here, and one of nobody is used for nobody."""
    subjects, connections = tree.get("subjects"), tree.get("connections")
    if not isinstance(subjects, dict) or not isinstance(connections, dict):
        return
    places = {key: str(place) for place, key in enumerate(sorted(filter(str.isdigit, subjects), key=int), 1)}
    for key, connection in connections.items():
        if not isinstance(connection, dict) or not isinstance(connection.get("subject"), str):
            continue
        number = connection["subject"].strip()
        if number in places:
            connection["subject"] = places[number]
        elif number:
            connection["subject that is not there"] = connection.pop("subject")
            defects.append((f"connections.{key}.subject", "No line of the report is of a subject with this number."))


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(k, str) and k.isdigit() for k in node):
        return [_listed(node[k]) for k in sorted(node, key=int)]
    return {k: _listed(v) for k, v in node.items()}
