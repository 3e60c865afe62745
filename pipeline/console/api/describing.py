"""The OpenAPI description of every route: what may be asked, how, and what is answered, refusals included."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.console.api import answers, forms
from pipeline.console.gate import access

TEXT = """Queue, cases, look-ups and reports.

Sign in with POST /api/sign-in, or make a token on the page Your account, and send it as `Authorization: Bearer ...`. A
request with a token is answered in JSON, as is any with `Accept: application/json` or `?format=json`; a list also as CSV.
Fields named `version` are the version of the case that was seen: when somebody else changed it since, the answer is 409."""

SHAPES: dict[tuple[str, str], type[BaseModel]] = {
    ("get", "/queue"): answers.Queue,
    ("get", "/cases/{number}"): answers.WholeCase,
    ("post", "/api/lookup"): answers.Looked,
    ("post", "/look-up"): answers.Looked,
    ("post", "/api/sign-in"): answers.TokenGiven,
}
"""What is answered with 200; every other POST answers `Done`, every other GET an object."""
OWN_ANSWER = frozenset(
    {
        "/account/tokens",
        "/search",
        "/sql",
        "/audit/verify",
        "/audit/export",
        "/cases/{number}/export",
        "/cases/{number}/childrens-services",
    }
)
"""Forms whose answer is a page of its own."""
MODELS: tuple[type[BaseModel], ...] = (answers.Problem, answers.Done, *dict.fromkeys(SHAPES.values()))
PLAIN = frozenset({"/static/{name}", "/metrics"})
"""Answered in a form of their own, whatever is asked."""

REFUSALS = {
    "400": "The request does not work like that",
    "401": "Nobody is signed in, or the token has ended",
    "403": "This account may not do this",
    "404": "It is not there, or not for this account",
    "409": "Somebody else was faster, or the case changed since",
    "413": "The request is too large",
    "422": "Something is missing or cannot be read",
    "503": "Too busy, or something that is needed is missing; try again",
}


class Description:
    """The description of one application, made when first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._made: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """OpenAPI 3.1 as a JSON object."""
        if self._made is None:
            self._made = _document(self._app)
        return self._made


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = made.setdefault("components", {})
    _, shapes = models_json_schema([(m, "serialization") for m in MODELS], ref_template="#/components/schemas/{model}")
    schemas = parts.setdefault("schemas", {})
    schemas.update(shapes["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of /api/sign-in or of Your account"}
    }
    parts["responses"] = {
        status: {"description": text, "content": {"application/json": {"schema": _ref(answers.Problem)}}}
        for status, text in REFUSALS.items()
    }
    made["security"] = [{"token": []}]
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _describe(path, method, operation)
            _name_form(operation, schemas)
    return made


def _name_form(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Name the fields of a form after its operation: generated clients make a class of it."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        old = content["schema"].get("$ref", "").rpartition("/")[2]
        if old.startswith("Body_"):
            new = "".join(part.title() for part in operation["operationId"].split("_")[1:]) + "Form"
            schemas[new] = {**schemas.pop(old), "title": new}
            content["schema"] = {"$ref": f"#/components/schemas/{new}"}


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    public = access.rule(method.upper(), path) == access.PUBLIC
    if public:
        operation["security"] = []
    operation["operationId"] = f"{method}_{re.sub('[^a-z_]+', '_', path.strip('/')).strip('_') or 'home'}"
    if method == "get" and path not in PLAIN and not path.startswith("/api/"):
        operation.setdefault("parameters", []).append(
            {
                "name": "format",
                "in": "query",
                "required": False,
                "description": "Form of the answer; without it what Accept says, and JSON for a request with a token. CSV for lists.",
                "schema": {"type": "string", "enum": list(forms.FORMATS)},
            }
        )
    refused = ["400", "413", "422", "503"] if method == "post" else ["400", "422", "503"]
    refused += [] if public and path != "/api/sign-in" else ["401", "403"]
    refused += ["404"] if "{" in path else []
    refused += ["409"] if method == "post" and not public else []
    operation["responses"] = {
        "200": _good(path, method),
        **{status: {"$ref": f"#/components/responses/{status}"} for status in sorted(refused)},
    }


def _good(path: str, method: str) -> dict[str, Any]:
    if path in PLAIN:
        return {"description": "Done", "content": {"text/plain": {"schema": {"type": "string"}}}}
    shape = SHAPES.get((method, path)) or (answers.Done if method == "post" and path not in OWN_ANSWER else None)
    schema = _ref(shape) if shape else {"type": "object", "additionalProperties": True}
    return {
        "description": "Done; a browser is answered with a page",
        "content": {"application/json": {"schema": schema}},
    }


def _ref(shape: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
