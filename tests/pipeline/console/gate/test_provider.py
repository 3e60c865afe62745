"""Signing in through an identity provider: the whole flow against a real one on loopback, and everything that may go wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from pipeline.console.app import create_app
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.store.people_tables import AuditEntry, User
from tests.pipeline.console import idp, world
from tests.pipeline.console.client import Client

PAGE = {"accept": "text/html"}


@pytest.fixture
def provider() -> Iterator[idp.Provider]:
    made = idp.Provider()
    yield made
    made.close()


@pytest.fixture
def configured(provider: idp.Provider, tmp_path: Path) -> Settings:
    """A console with accounts of its own and the provider beside them; no cases."""
    secret = tmp_path / "client-secret"
    secret.write_text(idp.SECRET + "\n")
    return Settings(
        home=tmp_path / "home",
        policy=world.cheap_policy(tmp_path),
        oidc_issuer=provider.issuer,
        oidc_client_id=idp.CLIENT,
        oidc_secret_file=secret,
    )


@pytest.fixture
def browser(configured: Settings) -> Iterator[Callable[[], Client]]:
    app = create_app(configured)
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(app))
        return made[-1]

    make.app = app  # type: ignore[attr-defined]
    yield make
    for client in made:
        client.close()
    app.app.state.store.close()


def back(client: Client, provider: idp.Provider, start: str = "/sign-in/force") -> httpx.Response:
    """From the console to the provider and back, as a browser goes."""
    away = client.get(start, headers=PAGE)
    assert away.status_code == 302, away.text
    return client.get(provider.visit(away.headers["location"]), headers=PAGE)


def entries(browser: Any) -> list[AuditEntry]:
    with browser.app.app.state.store.reader() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.seq)))


def test_a_person_signs_in_and_goes_on_to_where_they_wanted(browser: Any, provider: idp.Provider) -> None:
    client = browser()
    form = client.get("/sign-in?next=%2Fqueue%3Fband%3Dhigh", headers=PAGE)
    assert 'href="/sign-in/force?next=%2Fqueue%3Fband%3Dhigh"' in form.text
    answer = back(client, provider, "/sign-in/force?next=%2Fqueue%3Fband%3Dhigh")
    assert answer.status_code == 200
    assert answer.headers["refresh"] == "0; url=/queue?band=high"
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert client.get("/queue?band=high", headers=PAGE).status_code == 200
    assert client.get("/supervision", headers=PAGE).status_code == 403
    last = entries(browser)[-1]
    assert (last.user_id, last.action, last.detail) == ("olga", "sign_in", '{"origin":"oidc"}')


def test_roles_are_the_provider_s_at_every_sign_in_and_old_sessions_end(browser: Any, provider: idp.Provider) -> None:
    first, second = browser(), browser()
    back(first, provider)
    provider.claims["groups"] = ["polit-supervisors"]
    back(second, provider)
    assert second.get("/supervision", headers=PAGE).status_code == 200
    assert first.get("/queue", headers={"accept": "application/json"}).status_code == 401


def test_groups_may_come_from_the_userinfo_endpoint_of_the_same_subject(browser: Any, provider: idp.Provider) -> None:
    del provider.claims["groups"]
    provider.userinfo = {"sub": "1", "groups": ["polit-auditors"], "preferred_username": "admin"}
    answer = back(browser(), provider)
    assert answer.status_code == 200, answer.text
    with browser.app.app.state.store.reader() as session:
        assert [(u.user_id, u.roles) for u in session.scalars(select(User))] == [("olga", ["auditor"])]
    provider.userinfo["sub"] = "2"
    assert back(browser(), provider).status_code == 403


@pytest.mark.parametrize(
    "spoilt",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": "http://127.0.0.1"},
        {"exp": 1},
        {"sub": None},
        {"azp": "another"},
    ],
    ids=lambda s: next(iter(s)),
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    browser: Any, provider: idp.Provider, spoilt: dict[str, Any]
) -> None:
    provider.spoil = spoilt
    client = browser()
    answer = back(client, provider)
    assert answer.status_code == 403, answer.text
    assert "could not be verified" in answer.text
    assert client.get("/queue", headers=PAGE).status_code == 303


def test_a_token_signed_by_another_key_is_refused(browser: Any, provider: idp.Provider) -> None:
    assert back(browser(), provider).status_code == 200
    provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    assert back(browser(), provider).status_code == 403


def test_a_key_that_the_provider_has_changed_since_is_fetched(browser: Any, provider: idp.Provider) -> None:
    assert back(browser(), provider).status_code == 200
    provider.key = provider.published = RSAKey.generate_key(2048, {"kid": "2"})
    assert back(browser(), provider).status_code == 200


def test_signatures_by_a_shared_secret_are_not_accepted(browser: Any, provider: idp.Provider) -> None:
    """Whoever has the client's secret could make such a token; a provider that offers it changes nothing."""
    provider.algorithm, provider.key = "HS256", OctKey.import_key(idp.SECRET, {"kid": "1"})
    answer = back(browser(), provider)
    assert answer.status_code == 403
    assert "could not be verified" in answer.text


def test_a_way_back_that_was_not_begun_here_is_refused(browser: Any, provider: idp.Provider) -> None:
    away = browser().get("/sign-in/force", headers=PAGE)
    url = provider.visit(away.headers["location"])
    stranger = browser().get(url, headers=PAGE)
    assert stranger.status_code == 403
    assert "refused, or begun too long ago" in stranger.text
    client = browser()
    away = client.get("/sign-in/force", headers=PAGE)
    url = provider.visit(away.headers["location"])
    assert client.get(url, headers=PAGE).status_code == 200
    assert client.get(url, headers=PAGE).status_code == 403
    assert client.get("/sign-in/force/done?error=access_denied", headers=PAGE).status_code == 403


def test_who_has_no_group_here_is_refused_and_logged(browser: Any, provider: idp.Provider) -> None:
    provider.claims["groups"] = ["staff"]
    answer = back(browser(), provider)
    assert answer.status_code == 403
    assert "None of your groups" in answer.text
    last = entries(browser)[-1]
    assert (last.action, last.object) == ("sign_in.refused", "user:olga")


def test_a_silent_or_another_provider_is_an_error_that_says_so(browser: Any, provider: idp.Provider) -> None:
    provider.up = False
    answer = browser().get("/sign-in/force", headers=PAGE)
    assert answer.status_code == 503
    assert "identity provider does not answer" in answer.text
    provider.up, provider.issuer_said = True, "https://elsewhere.example"
    assert browser().get("/sign-in/force", headers=PAGE).status_code == 503


def test_the_target_stays_on_this_site(browser: Any, provider: idp.Provider) -> None:
    answer = back(browser(), provider, "/sign-in/force?next=https%3A%2F%2Felsewhere.example%2F")
    assert answer.headers["refresh"] == "0; url=/queue"
    asked = provider.visit(browser().get("/sign-in/force", headers=PAGE).headers["location"])
    assert urlsplit(asked).netloc == "127.0.0.1:8899"
    assert set(parse_qs(urlsplit(asked).query)) == {"code", "state"}


def test_without_a_provider_there_is_no_such_page(readers: dict[str, Client]) -> None:
    for path in ("/sign-in/force", "/sign-in/force/done"):
        assert readers[""].get(path, headers=PAGE).status_code == 404
    assert "force account" not in readers[""].get("/sign-in", headers=PAGE).text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oidc_issuer": "http://idp.example"}, "no https"),
        ({"oidc_client_id": ""}, "needs TRIAGE_OIDC_CLIENT_ID"),
        ({"oidc_secret_file": None}, "needs TRIAGE_OIDC_CLIENT_ID"),
        ({"oidc_secret_file": Path("/nowhere")}, "cannot be read"),
    ],
)
def test_half_a_configuration_does_not_start(configured: Settings, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        create_app(dataclasses.replace(configured, **changes))
