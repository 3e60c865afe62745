"""JSON documents against their JSON Schema (draft 2020-12): policy files, registers, whatever is data with a declared form.

jsonschema imports a library for each text format that it finds installed. That for IRIs parses a grammar for more than
a second, in every process; that for durations brings a calendar library. No schema here names these formats, so their libraries
are left out while jsonschema is imported; whoever needs them imports them as before.
"""

from __future__ import annotations

from typing import Any

from pipeline.leftout import left_out

UNUSED_FORMATS = ("rfc3987", "rfc3987_syntax", "isoduration")

with left_out(*UNUSED_FORMATS):
    import jsonschema


def faults(schema: dict[str, Any], document: object) -> list[jsonschema.ValidationError]:
    """Everything that is wrong with a document, in the order of its places; empty if it has the declared form."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return sorted(found, key=lambda e: list(map(str, e.absolute_path)))
