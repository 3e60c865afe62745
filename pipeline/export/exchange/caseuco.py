"""A case as a CASE/UCO bundle in JSON-LD (Cyber-investigation Analysis Standard Expression, caseontology.org).

One Investigation; one InvestigativeAction for the matching, with the software as its instrument and every file as an
object; files with FileFacet and ContentDataFacet; identifiers as the observables that UCO has for them. Identifiers of
graph nodes are UUIDs made from our own ids, so that two exports of a case name the same things alike. Terms of our own
(`triage:`) carry what the ontology has no word for: standing and distance of matches.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from pipeline import __version__
from pipeline.export.exchange.content import CaseExport, ExportFile
from pipeline.export.exchange.vics import digests_of

CONTEXT = {
    "kb": "urn:referral-triage:",
    "triage": "urn:referral-triage:terms:",
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

_METHODS = {"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256"}
"""Our digests as the HashNameVocab of UCO names them."""

_OBSERVABLES = {
    "email": ("EmailAddress", "EmailAddressFacet", "addressValue"),
    "ip": ("IPAddress", "IPAddressFacet", "addressValue"),
    "url": ("URL", "URLFacet", "fullValue"),
    "username": ("DigitalAccount", "AccountFacet", "accountIdentifier"),
    "user_id": ("DigitalAccount", "AccountFacet", "accountIdentifier"),
    "phone": ("DigitalAccount", "AccountFacet", "accountIdentifier"),
}
"""Identifier kind to (class, facet, property) of uco-observable; others become plain observable objects."""


def render(case: CaseExport) -> bytes:
    """The bundle's bytes: the same case at the same moment gives the same bytes."""
    files = [_file(f) for f in case.files]
    identifiers = [_identifier(i) for i in case.identifiers]
    tool = {
        "@id": _node("tool", __version__),
        "@type": "uco-tool:AnalyticTool",
        "uco-core:name": "referral-triage",
        "uco-tool:version": __version__,
    }
    action = {
        "@id": _node("action", case.number),
        "@type": "case-investigation:InvestigativeAction",
        "uco-core:name": "Matched against known-hash releases",
        "uco-action:instrument": {"@id": tool["@id"]},
        "uco-action:object": [{"@id": f["@id"]} for f in files],
    }
    investigation = {
        "@id": _node("investigation", case.number),
        "@type": "case-investigation:Investigation",
        "uco-core:name": case.number,
        "case-investigation:investigationForm": "case",
        "triage:source": case.source,
        "triage:band": case.band,
        "uco-core:object": [{"@id": node["@id"]} for node in (action, *files, *identifiers)],
    }
    bundle = {
        "@context": CONTEXT,
        "@id": _node("bundle", f"{case.number} {case.at.isoformat()}"),
        "@type": "uco-core:Bundle",
        "uco-core:description": f"Case {case.number}, exported by {case.force}: hashes and metadata only",
        "uco-core:object": [investigation, tool, action, *files, *identifiers],
    }
    return orjson.dumps(bundle, option=orjson.OPT_INDENT_2) + b"\n"


def _file(file: ExportFile) -> dict[str, Any]:
    row = file.row
    facet: dict[str, Any] = {
        "@id": _node("file-facet", row["file_id"]),
        "@type": "uco-observable:FileFacet",
        "uco-observable:fileName": row["name"] or "",
    }
    if row["size"] is not None:
        facet["uco-observable:sizeInBytes"] = {"@type": "xsd:integer", "@value": str(row["size"])}
    content: dict[str, Any] = {
        "@id": _node("content-facet", row["file_id"]),
        "@type": "uco-observable:ContentDataFacet",
        "uco-observable:hash": [
            {
                "@id": _node("hash", f"{row['file_id']} {name}"),
                "@type": "uco-types:Hash",
                "uco-types:hashMethod": _METHODS[name],
                "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": value.hex().upper()},
            }
            for name, value in digests_of(file).items()
        ],
    }
    if file.fingerprint and file.fingerprint["media_type"]:
        content["uco-observable:mimeType"] = file.fingerprint["media_type"]
    found: dict[str, Any] = {
        "@id": _node("file", row["file_id"]),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [facet, content],
        "triage:state": row["state"],
    }
    if file.matches:
        found["triage:match"] = [
            {
                "triage:kind": m["kind"], "triage:algorithm": m["algorithm"], "triage:distance": m["distance"],
                "triage:threshold": m["threshold"], "triage:release": m["release"], "triage:grade": m["grade"],
            }
            for m in file.matches
        ]  # fmt: skip
    return found


def _identifier(row: dict[str, Any]) -> dict[str, Any]:
    kind, facet, name = _OBSERVABLES.get(row["kind"], ("ObservableObject", "", ""))
    node: dict[str, Any] = {"@id": _node("identifier", row["identifier_id"]), "@type": f"uco-observable:{kind}"}
    if facet:
        inner: dict[str, Any] = {
            "@id": _node("identifier-facet", row["identifier_id"]),
            "@type": f"uco-observable:{facet}",
            f"uco-observable:{name}": row["original"],
        }
        node["uco-core:hasFacet"] = [inner]
    else:
        node["uco-core:name"] = row["original"]
    node["triage:kind"] = row["kind"]
    if row["port"] is not None:
        node["triage:port"] = row["port"]
    if row["seen_at"] is not None:
        node["triage:seenAt"] = _time(row["seen_at"].isoformat())
    return node


def _node(kind: str, text: str) -> str:
    return f"kb:{kind}-{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:referral-triage:{kind}:{text}')}"


def _time(text: str) -> dict[str, str]:
    return {"@type": "xsd:dateTime", "@value": text}
