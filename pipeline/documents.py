"""JSON documents against their JSON Schema (draft 2020-12): policy files, registers, whatever is data with a declared form.

jsonschema imports a library for each text format that it finds installed. That for IRIs parses a grammar for more than
a second, in every process; that for durations brings a calendar library, the others cost about a quarter of the rest of the import. No schema
here names a format, so their libraries are left out while jsonschema is imported; whoever needs them imports them as before.
That for moments stays: parameters of Airflow's DAGs, checked in the same process, may name it.
"""

from __future__ import annotations

from typing import Any

from pipeline.leftout import left_out

UNUSED_FORMATS = (
    "rfc3987", "rfc3987_syntax", "rfc3986_validator", "isoduration", "fqdn", "idna", "webcolors", "jsonpointer", "uri_template",
)  # fmt: skip

with left_out(*UNUSED_FORMATS):
    import jsonschema


def faults(schema: dict[str, Any], document: object) -> list[jsonschema.ValidationError]:
    """Everything that is wrong with a document, in the order of its places; empty if it has the declared form."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return sorted(found, key=lambda e: list(map(str, e.absolute_path)))
