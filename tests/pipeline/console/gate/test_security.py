"""The outer wall and the sessions: headers, hosts, sizes, forged forms, fixed sessions, redirects, paths, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from pipeline.console import pages
from pipeline.console.gate import identity, security
from tests.pipeline.console.client import Client, token_of, version_of
from tests.pipeline.console.gate.test_access import FILLED, routes

IMAGES = ("image/", "video/", "audio/", "font/")


def first_case(client: Client) -> str:
    return str(client.get("/queue?format=json").json()["cases"][0]["case_id"])


def test_no_route_answers_with_a_picture_in_any_format(readers: dict[str, Client], read_app: Any) -> None:
    seen = set()
    number = first_case(readers["sue"])
    for method, path in routes(read_app):
        if method != "GET":
            continue
        for format_ in ("", "html", "json", "csv", "png"):
            for accept in ("text/html", "image/png", "image/*"):
                answer = readers["sue"].get(
                    path.format(**{**FILLED, "number": number}), params={"format": format_}, headers={"accept": accept}
                )
                kind = answer.headers.get("content-type", "")
                seen.add(kind.split(";")[0])
                assert not kind.startswith(IMAGES), (path, kind)
                assert b"<img" not in answer.content
                assert b"data:image" not in answer.content
    assert seen <= {"text/html", "application/json", "text/csv", "text/css", "text/plain", ""}


def test_an_answer_of_an_image_type_is_stopped_at_the_wall() -> None:
    inner = FastAPI()

    @inner.get("/picture")
    def picture() -> Response:
        return Response(b"not a picture", media_type="image/png")

    client = Client(security.Wall(inner, ["127.0.0.1"], tls=False))
    try:
        answer = client.get("/picture")
    finally:
        client.close()
    assert answer.status_code == 500
    assert b"not a picture" not in answer.content


def test_every_answer_has_the_headers_also_errors_and_stylesheets(readers: dict[str, Client]) -> None:
    for path in (
        "/queue",
        "/nothing",
        "/static/govuk.css",
        "/cases/none",
        "/sign-in",
        "/api/openapi.json",
        "/queue?format=xml",
    ):
        answer = readers["ana"].get(path)
        assert answer.headers["content-security-policy"] == security.POLICY, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        if not path.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store"
    assert "img-src 'none'" in security.POLICY
    assert "script-src" not in security.POLICY  # falls to default-src 'none': no script runs at all
    assert "default-src 'none'" in security.POLICY


def test_pages_hold_no_script_no_inline_style_and_nothing_from_elsewhere() -> None:
    for path in (pages.FOLDER / "templates").glob("*.html"):
        text = path.read_text()
        assert "<script" not in text, path.name
        assert " style=" not in text, path.name
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
    for data in pages.static_files().values():
        assert b"url(" not in data
        assert b"@font-face" not in data
        assert b"@import" not in data


def test_unknown_hosts_are_refused(readers: dict[str, Client]) -> None:
    answer = readers["ana"].get("/queue", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_a_body_over_the_limit_is_refused_before_and_while_it_is_read(readers: dict[str, Client]) -> None:
    client = readers["ana"]
    too_much = b"a" * (security.BODY_LIMIT + 1)
    files = {"file": ("list.csv", too_much, "text/csv")}
    assert client.request("POST", "/look-up", data={"csrf": client.csrf}, files=files).status_code == 413

    async def stream() -> Any:
        for _ in range(9):
            yield b"a" * (1 << 20)

    for path in ("/api/lookup", "/sign-out"):
        headers = {"content-type": "application/json"}
        assert client.request("POST", path, content=stream(), headers=headers).status_code in {403, 413}
    answer = client.request("POST", "/api/lookup", content=stream(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_form_without_the_session_token_changes_nothing(app: Any, browser_of: Any) -> None:
    ana, ben = browser_of("ana"), browser_of("ben")
    number = first_case(ana)
    before = version_of(ana.get(f"/cases/{number}"))
    for wrong in ("", "x", ben.csrf):
        assert (
            ana.post(f"/cases/{number}/note", {"csrf": wrong, "version": before, "note": "forged"}).status_code == 403
        )
        assert ana.post("/queue/next", {"csrf": wrong}).status_code == 403
    assert version_of(ana.get(f"/cases/{number}")) == before
    assert "forged" not in ana.get(f"/cases/{number}").text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_sent_from_another_site_is_refused(readers: dict[str, Client], headers: dict[str, str]) -> None:
    assert readers["ana"].post("/queue/next", headers=headers).status_code == 403


def test_signing_in_gives_a_new_session_whatever_was_set_before(app: Any, browser_of: Any) -> None:
    client = browser_of("")
    client.http.cookies.set("triage", "set-by-an-attacker", domain="127.0.0.1")
    assert client.sign_in("ana").status_code == 303
    held = [c.value for c in client.http.cookies.jar if c.name == "triage"]
    assert "set-by-an-attacker" not in held
    thief = browser_of("")
    thief.http.cookies.set("triage", "set-by-an-attacker", domain="127.0.0.1")
    assert thief.get("/queue", headers={"accept": "text/html"}).status_code == 303


def test_signing_out_ends_the_session_in_the_store(app: Any, browser_of: Any) -> None:
    client = browser_of("ana")
    token = client.http.cookies["triage"]
    assert client.post("/sign-out").status_code == 303
    other = browser_of("")
    other.http.cookies.set("triage", token, domain="127.0.0.1")
    assert other.get("/queue", headers={"accept": "application/json"}).status_code == 401


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app: Any, browser_of: Any) -> None:
    client = browser_of("")
    cookies = client.sign_in("ana").headers.get_list("set-cookie")
    held = next(c for c in cookies if c.startswith("triage="))
    assert "HttpOnly" in held
    assert "SameSite=strict" in held
    assert "Path=/" in held
    assert "Domain" not in held


def test_behind_tls_the_cookie_is_secure_and_bound_to_the_host(home: Any) -> None:
    from dataclasses import replace

    from pipeline.console.app import create_app

    made = create_app(replace(home, console_tls=True))
    client = Client(made)
    try:
        token = token_of(client.get("/sign-in"))
        form = {"name": "ana", "password": "correct horse battery", "csrf": token}
        cookie = client.get("/sign-in").headers.get("set-cookie", "")
        sent = {"cookie": f"__Host-triage-form={token}"}
        answer = client.request("POST", "/sign-in", data=form, headers=sent)
    finally:
        client.close()
        made.app.state.store.close()
    cookies = [*answer.headers.get_list("set-cookie"), cookie]
    held = next(c for c in cookies if c.startswith("__Host-triage="))
    assert "Secure" in held
    assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\/evil",
        "/ok\r\nSet-Cookie: a=b",
        "/\x00",
        "javascript:alert(1)",
        "",
        "/sign-out",
        "/é",
        "///x",
    ],
)
def test_signing_in_leads_only_to_pages_of_this_site(app: Any, browser_of: Any, target: str) -> None:
    client = browser_of("")
    answer = client.sign_in("ana", next=target)
    assert answer.status_code == 303
    assert answer.headers["location"] in {"/", "/queue"}
    assert "set-cookie: a" not in str(answer.headers).lower()
    assert identity.safe_target(target) == "/queue"


def test_a_path_in_the_address_never_reaches_the_disk(readers: dict[str, Client], night: Any) -> None:
    for path in (
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%5capp.py",
        "/runs/..%2f..%2fsecret",
        "/runs/%2e%2e",
        "/dashboard/..%2f..%2fapp",
        "/static/govuk.css%00",
    ):
        answer = readers["sue"].get(path)
        assert answer.status_code == 404, path
        assert b"import" not in answer.content


def test_no_value_of_an_address_splits_a_header(readers: dict[str, Client]) -> None:
    for path in (
        "/queue?format=csv&text=a%0d%0aX-Injected:1",
        "/queue?done=claimed%0d%0aX-Injected:1",
        "/queue?after=%0d%0aX-Injected:1",
    ):
        answer = readers["ana"].get(path)
        assert "x-injected" not in answer.headers
        assert answer.status_code < 500


def test_a_revoked_or_made_up_token_is_nobody(app: Any, browser_of: Any) -> None:
    client = browser_of("dan")
    secret = __import__("re").search(
        r"triage_[A-Za-z0-9_-]{30,}", client.post("/account/tokens", {"name": "t", "days": "1"}).text
    )[0]
    stranger = browser_of("")
    json = {"accept": "application/json"}
    assert stranger.get("/matches", headers={**json, "authorization": f"Bearer {secret}"}).status_code == 200
    assert stranger.get("/supervision", headers={**json, "authorization": f"Bearer {secret}"}).status_code == 403
    bearer = {**json, "authorization": f"Bearer {secret}"}
    assert stranger.request("POST", "/account/tokens", headers=bearer).status_code == 403, "no token makes another"
    assert stranger.request("POST", "/break", headers=bearer).status_code == 403, "this one asks only"
    assert stranger.get("/matches", headers={**json, "authorization": f"Basic {secret}"}).status_code == 401
    token_id = client.get("/account?format=json").json()["tokens"][0]["token_id"]
    assert client.post(f"/account/tokens/{token_id}/revoke").status_code == 303
    for value in (secret, "triage_made_up", ""):
        assert stranger.get("/matches", headers={**json, "authorization": f"Bearer {value}"}).status_code == 401


def test_names_in_the_data_are_shown_not_run(app: Any, browser_of: Any) -> None:
    client = browser_of("ana")
    number = first_case(client)
    page = client.get(f"/cases/{number}")
    evil = "<script>alert(1)</script><img src=x>\"'"
    assert client.post(f"/cases/{number}/note", {"version": version_of(page), "note": evil}).status_code == 303
    shown = client.get(f"/cases/{number}").text
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown
    assert "<img" not in shown


def test_an_unexpected_error_says_nothing_of_its_cause(app: Any, browser_of: Any, monkeypatch: Any) -> None:
    client = browser_of("ana")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail 4711")

    monkeypatch.setattr("pipeline.console.routes.queue.queues.page", broken)
    answer = client.get("/queue", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert "4711" not in answer.text
    assert "Traceback" not in answer.text


def test_the_licence_of_the_stylesheet_is_kept() -> None:
    folder = Path(pages.FOLDER / "static")
    assert "Crown Copyright" in (folder / "LICENSE.govuk-frontend").read_text()
    assert sorted(pages.static_files()) == ["console.css", "govuk.css"]
