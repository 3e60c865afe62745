"""Exports of a case from its page, in the exchange formats of `triage export`: disclosures that name who receives them."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from pipeline.console.context import actor, settings, store
from pipeline.console.routes.work import FormText
from pipeline.errors import UsageError
from pipeline.export import asking
from pipeline.export.exchange import caseuco, content, vics

router = APIRouter()

FORMS: dict[str, tuple[Callable[[content.CaseExport], bytes], str, str]] = {
    "vics": (vics.render, "json", "application/json"),
    "case-uco": (caseuco.render, "jsonld", "application/ld+json"),
}
"""Form of an export to its writer, the ending of its file, and its media type."""


@router.post("/cases/{number}/export", name="export")
def export(
    request: Request, *, number: str, kind: FormText = "", recipient: FormText = "", reason: FormText = ""
) -> Response:
    """The case as a file. Raises UsageError for an unknown form, or without who receives it."""
    if kind not in FORMS:
        raise UsageError("Choose the form of the export.", f"Known: {', '.join(FORMS)}.")
    if not recipient.strip():
        raise UsageError("Say who receives the export.")
    render, ending, media_type = FORMS[kind]
    with asking.ask_as(store(request), actor(request), "export.data", "export", reason) as question:
        case = content.of_case(settings(request), question, number)
        data = render(case)
        question.log(
            "disclosure", f"exported.{kind}", f"case:{number}", {"files": len(case.files)},
            case_id=number, recipient=recipient.strip(),
        )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="{case.number}.{ending}"'}
    return Response(data, 200, headers, media_type=media_type)
