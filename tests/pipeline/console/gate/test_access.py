"""Who may call what: every route of the application by every role and by nobody, through HTTP."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pipeline.console.gate import access
from pipeline.people import permissions
from pipeline.store.actors import Actor
from tests.pipeline.console import world
from tests.pipeline.console.client import Client

ROLES = {"ana": "analyst", "sue": "supervisor", "dan": "dmi", "aud": "auditor", "admin": "administrator", "": None}
FILLED = {
    "number": "C-0000000000",
    "match_id": "M-0",
    "name": "weekly",
    "run_id": "none",
    "token_id": "none",
    "media_key": "0",
    "user_id": "nobody",
    "package_id": "none",
    "notice_id": "0",
    "upload_id": "0",
}
"""Values for the placeholders of a path; the case and the match do not exist."""


def routes(app: Any) -> list[tuple[str, str]]:
    return sorted((method, r.path) for r in app.app.routes for method in r.methods if method != "HEAD")


def test_every_route_has_an_entry_and_every_entry_a_route(read_app: Any) -> None:
    assert routes(read_app) == sorted(access.MATRIX)


def test_every_entry_names_an_action_of_the_permission_table() -> None:
    for entry in access.MATRIX.values():
        assert entry in {access.PUBLIC, access.SIGNED_IN} or entry in permissions.TABLE


def test_a_route_without_an_entry_is_refused_to_everybody(app: Any, browser_of: Any, monkeypatch: Any) -> None:
    client = browser_of("ana")
    monkeypatch.delitem(access.MATRIX, ("GET", "/queue"))
    assert client.get("/queue").status_code == 403


@pytest.mark.parametrize("name", ROLES, ids=lambda n: n or "nobody")
def test_every_route_for_every_role(readers: dict[str, Client], read_app: Any, name: str) -> None:
    client = readers[name]
    role = ROLES[name]
    person = Actor(name, name, frozenset({role})) if role else None
    wrong = []
    for method, path in routes(read_app):
        if (method, path) == ("POST", "/sign-out"):
            continue  # it would end the session that the other routes are called with; tested by itself
        entry = access.MATRIX[method, path]
        answer = client.request(
            method, path.format(**FILLED), data={"csrf": client.csrf} if method == "POST" else None,
            headers={"accept": "application/json"},
        )  # fmt: skip
        allowed = access.may(person, entry)
        refused = answer.status_code in {401, 403}
        if (method, path) == ("POST", "/sign-in"):
            continue  # public, and refuses without the form's own token
        if allowed == refused or answer.status_code >= 500:
            wrong.append((method, path, entry, answer.status_code))
        if person is None and not allowed:
            assert answer.status_code == 401
    assert wrong == []


def test_accounts_cover_every_role() -> None:
    had = set(itertools.chain.from_iterable(roles for _, roles, _ in world.PEOPLE.values())) | {"administrator"}
    assert had == set(permissions.ROLES)


def test_a_page_asked_for_without_sign_in_leads_to_the_form_and_back(readers: dict[str, Client]) -> None:
    answer = readers[""].get("/cases/C-1?files=all", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fcases%2FC-1%3Ffiles%3Dall"


def test_a_restricted_case_answers_as_one_that_does_not_exist(app: Any, browser_of: Any) -> None:
    import sqlalchemy as sa

    from pipeline.store.tables import Case

    store = app.app.state.store
    with store.session() as session:
        number = session.scalars(sa.select(Case.case_id).order_by(Case.case_id)).first()
        session.execute(sa.update(Case).where(Case.case_id == number).values(compartment="ucol"))
    ana, sue = browser_of("ana"), browser_of("sue")
    hidden, missing = ana.get(f"/cases/{number}?format=json"), ana.get("/cases/C-NOSUCH?format=json")
    assert sue.get(f"/cases/{number}").status_code == 200
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json()["message"].replace(str(number), "X") == missing.json()["message"].replace("C-NOSUCH", "X")
    assert number not in ana.get("/queue?format=csv").text
    assert str(number) in sue.get("/queue?format=csv").text
