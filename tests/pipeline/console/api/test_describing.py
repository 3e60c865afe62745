"""A client that an independent generator makes from the description does a day's work; real answers have the shapes declared."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from pipeline.console.api import describing
from tests.pipeline.console import world
from tests.pipeline.console.client import Client

PACKAGE = "referral_triage_client"


@pytest.fixture(scope="module")
def document(read_app: Any) -> dict[str, Any]:
    made: dict[str, Any] = read_app.app.openapi()
    return made


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the client package that openapi-python-client makes; it needs no network."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(orjson.dumps(document))
    (folder / "config.yaml").write_text(f"package_name_override: {PACKAGE}\npost_hooks: []\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config", "config.yaml",
            "--meta", "none", "--output-path", PACKAGE, "--fail-on-warning",
        ],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_generated_client_does_a_day_s_work(generated: Path, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(generated))
    client = importlib.import_module(PACKAGE)
    models = importlib.import_module(f"{PACKAGE}.models")
    wired: dict[str, Any] = {"base_url": "http://127.0.0.1:8899", "httpx_args": {"transport": httpx.ASGITransport(app)}}

    async def call(name: str, *path: str, of: Any, **given: Any) -> Any:
        answer = await importlib.import_module(f"{PACKAGE}.api.default.{name}").asyncio_detailed(
            *path, client=of, **given
        )
        return answer.parsed

    async def day() -> None:
        nobody = client.Client(**wired)
        refused = await call("post_api_sign_in", of=nobody, body=models.SignInBody(name="ana", password="no"))
        assert isinstance(refused, models.Problem)
        signed = await call("post_api_sign_in", of=nobody, body=models.SignInBody(name="ana", password=world.PASSWORD))
        assert (signed.name, signed.roles, signed.scope) == ("Ana Analyst", ["analyst"], "work")
        ana = client.AuthenticatedClient(token=signed.token, **wired)
        listed = await call("get_queue", of=ana)
        number = listed.cases[0].case_id
        shown = await call("get_cases_number", number, of=ana)
        assert shown.case.case_id == number and shown.case.version == listed.cases[0].version
        claimed = await call("post_cases_number_claim", number, of=ana)
        assert claimed.done == "claimed" and claimed.case.holder == "ana"
        decision = {"decision": "start_enquiry", "reason": "enquiry_opened", "version": claimed.case.version}
        decided = await call(
            "post_cases_number_decide", number, of=ana, body=models.CasesNumberDecideForm.from_dict(decision)
        )
        assert decided.done == "decided", decided
        assert decided.case.version == claimed.case.version + 1
        asked = models.LookupBody(hashes=["pdq:" + "0" * 64, "zz"], reason="a test")
        looked = await call("post_api_lookup", of=ana, body=asked)
        assert [r.result for r in looked.rows] == ["not known"] and [r.line for r in looked.rejects] == [2]
        assert (await call("post_api_sign_out", of=ana)).done == "signed-out"
        assert isinstance(await call("get_queue", of=ana), models.Problem)

    asyncio.run(day())


def test_every_operation_declares_who_may_call_it_and_how_it_refuses(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            declared = set(operation["responses"])
            if operation.get("security") != []:
                assert {"401", "403"} <= declared, path
                assert method != "post" or "409" in declared, path
            assert "{" not in path or "404" in declared, path
            formats = [p for p in operation.get("parameters", []) if p["name"] == "format"]
            assert bool(formats) == (method == "get" and path not in describing.PLAIN and not path.startswith("/api/"))


def test_real_answers_have_the_declared_shapes(document: dict[str, Any], readers: dict[str, Client]) -> None:
    number = readers["sue"].get("/queue?format=json").json()["cases"][0]["case_id"]
    for name, path, template in (
        ("sue", "/queue", "/queue"),
        ("sue", f"/cases/{number}", "/cases/{number}"),
        ("", "/queue", None),
        ("admin", "/queue", None),
        ("sue", "/cases/C-NONE", None),
    ):
        answer = readers[name].get(path, headers={"accept": "application/json"})
        shape = "Problem" if template is None else describing.SHAPES["get", template].__name__
        schema = {**document, "$ref": f"#/components/schemas/{shape}"}
        jsonschema.validate(answer.json(), schema)
        assert (answer.status_code == 200) == (template is not None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"authorization": "Bearer no"}, 401), ({"accept": "application/json"}, 401), ({"accept": "text/html"}, 303)],
)
def test_a_program_is_refused_in_json_and_told_how_to_sign_in(
    readers: dict[str, Client], headers: dict[str, str], status: int
) -> None:
    for method, path in (("GET", "/queue"), ("POST", "/cases/C-1/claim")):
        answer = readers[""].request(method, path, headers=headers)
        if status == 303 and method == "POST":
            assert answer.status_code == 401 and "text/html" in answer.headers["content-type"]
            continue
        assert answer.status_code == status
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer" and answer.json()["error"] == "Sign in first"


def test_json_asked_for_is_json_answered_at_the_door_too(readers: dict[str, Client]) -> None:
    asked = {"accept": "application/json", "origin": "https://elsewhere.example"}
    answer = readers[""].request("POST", "/queue/next", headers=asked)
    assert answer.status_code == 403 and answer.json()["message"] == "The request came from another site."


def test_a_deed_answers_with_the_case_as_it_stands(app: Any, browser_of: Any) -> None:
    ana = browser_of("ana")
    number = ana.get("/queue?format=json").json()["cases"][0]["case_id"]
    claimed = ana.post(f"/cases/{number}/claim", headers={"accept": "application/json"})
    assert claimed.status_code == 200 and claimed.json()["case"]["holder"] == "ana"
    stale = ana.post(f"/cases/{number}/release", {"version": "0"}, headers={"accept": "application/json"})
    assert stale.status_code == 409 and "was changed by" in stale.json()["message"]
    page = ana.post(f"/cases/{number}/note", {"version": "9", "note": "x"}, headers={"accept": "text/html"})
    assert page.status_code == 409 and page.headers["content-type"].startswith("text/html")
