"""A case's media as VICS 2.0 JSON (`#Cases`, country segment UK), for tools that read Project VIC case files.

No `Category` is written: the UK numbers are not public, and a near match is no category. Standing and distance of the
matches go into `Tags` and `Comments`, digests and PDQ into their own members. Occurrences of one content are one Media
object with several MediaFiles, as readers expect.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from pipeline import __version__
from pipeline.algorithms import DIGESTS
from pipeline.export.exchange.content import CaseExport, ExportFile

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Cases"


def render(case: CaseExport) -> bytes:
    """The file's bytes: the same case at the same moment gives the same bytes."""
    groups: dict[Any, list[ExportFile]] = {}
    for file in case.files:
        groups.setdefault(_key(file), []).append(file)
    media = [_media(number, members) for number, members in enumerate(groups.values(), 1)]
    body = {
        "@odata.context": CONTEXT,
        "value": [
            {
                "CaseID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:referral-triage:{case.number}")),
                "CaseNumber": case.number,
                "ContactOrganization": case.force,
                "SourceApplicationName": "referral-triage",
                "SourceApplicationVersion": __version__,
                "TotalMediaFiles": len(case.files),
                "Media": media,
            }
        ],
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n"


def _key(file: ExportFile) -> Any:
    row = file.row
    return row["sha256"] or row["claimed_sha256"] or row["claimed_sha1"] or row["claimed_md5"] or row["file_id"]


def _media(number: int, members: list[ExportFile]) -> dict[str, Any]:
    file = members[0]
    digests = digests_of(file)
    found: dict[str, Any] = {"MediaID": number}
    for member, name in (("MD5", "md5"), ("SHA1", "sha1"), ("SHA256", "sha256")):
        if name in digests:
            found[member] = digests[name].hex().upper()
    if file.row["size"] is not None:
        found["MediaSize"] = file.row["size"]
    if file.fingerprint and file.fingerprint["media_type"]:
        found["MimeType"] = file.fingerprint["media_type"]
    found["MediaFiles"] = [
        {"MD5": found.get("MD5", ""), "FileName": m.row["name"] or "", "SourceID": m.row["file_id"]} for m in members
    ]
    hashes = [
        (name, (file.fingerprint or {}).get(column)) for name, column in (("PDQ", "pdq"), ("PHASH256", "phash256"))
    ]
    alternative = [
        {"MD5": found.get("MD5", ""), "HashName": name, "HashValue": value.hex()} for name, value in hashes if value
    ]
    if alternative:
        found["AlternativeHashes"] = alternative
    if file.matches:
        found["Tags"] = ",".join(sorted({f"{m['kind']}-{m['grade']}".lower() for m in file.matches}))
        best = file.matches[0]
        found["Comments"] = (
            f"{best['kind']} match by {best['algorithm']}, distance {best['distance']} of {best['threshold']}, "
            f"release {best['release']}, {best['grade']}; {len(file.matches)} in all. A near match is a lead only."
        )
    return found


def digests_of(file: ExportFile) -> dict[str, bytes]:
    """Digests of a file by algorithm: computed where the content was here, else as the sender states them."""
    if file.fingerprint:
        pairs = {name: file.fingerprint[name] for name in reversed(DIGESTS)}
    else:
        pairs = {name: file.row[f"claimed_{name}"] for name in reversed(DIGESTS)}
        pairs["sha256"] = file.row["sha256"] or pairs["sha256"]
    return {name: value for name, value in pairs.items() if value}
