"""Accounts, passwords and lockout, console sessions, API tokens, the identity provider's claims."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pipeline.errors import ConflictError, PermissionDeniedError, SettingsError, UsageError
from pipeline.people import oidc, sessions, users
from pipeline.settings import Settings
from pipeline.store import secret
from pipeline.store.opening import Store
from pipeline.store.people_tables import ApiToken, AuditEntry, User, WebSession
from tests.pipeline.cases.conftest import ADMINISTRATOR, ANALYST, AUDITOR, PASSWORD, Clock, add_people

CLAIMS = {"preferred_username": "Olga", "name": "Olga Idp", "groups": ["polit-analysts", "polit-ucol", "staff"]}


def test_the_first_account_is_the_administrator_and_the_only_free_one(store: Store) -> None:
    add_people(store)
    assert users.sign_in(store, "adm", PASSWORD).roles == {"administrator"}
    with pytest.raises(ConflictError, match="accounts already"), store.session() as session:
        users.first(session, "eve", "Eve", PASSWORD)
    with pytest.raises(PermissionDeniedError), store.session() as session:
        users.add(session, ANALYST, "eve", "Eve", roles=["administrator"])


def test_wrong_passwords_lock_the_account_for_a_while(store: Store, clock: Clock) -> None:
    add_people(store)
    for name in ("ana", "ana", "ana", "ana", "ana", "nobody"):
        with pytest.raises(PermissionDeniedError) as caught:
            users.sign_in(store, name, "wrong password")
        assert caught.value.message == users.WRONG
    with pytest.raises(PermissionDeniedError):
        users.sign_in(store, "ana", PASSWORD)
    clock.forward(minutes=15)
    assert users.sign_in(store, "ana", PASSWORD).user_id == "ana"
    with store.reader() as session:
        logged = session.scalars(select(AuditEntry.action).where(AuditEntry.object == "user:ana")).all()
        stored = session.scalars(select(User.password_hash)).all()
    assert logged.count("sign_in.refused") == 6
    assert logged.count("account.locked") == 1
    assert all(h is not None and h.startswith("$argon2id$") for h in stored)


def test_changes_end_open_sessions_and_keep_an_administrator(store: Store) -> None:
    add_people(store)
    with store.session() as session:
        token = sessions.start(session, ANALYST)
    with store.session() as session:
        users.change(session, ADMINISTRATOR, "ana", version=1, disabled=True)
    with store.reader() as session:
        assert sessions.resume(session, token) is None
    with pytest.raises(PermissionDeniedError):
        users.sign_in(store, "ana", PASSWORD)
    with pytest.raises(ConflictError, match="last administrator"), store.session() as session:
        users.change(session, ADMINISTRATOR, "adm", version=1, roles=["analyst"])
    with pytest.raises(ConflictError, match="changed after"), store.session() as session:
        users.change(session, ADMINISTRATOR, "bob", version=7, name="B")


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"user_id": "Ü"}, "account name"),
        ({"user_id": "system"}, "account name"),
        ({"roles": ["god"]}, "'god' is no role"),
        ({"compartments": ["moon"]}, "'moon' is no compartment"),
        ({"team_id": "south"}, "no team"),
        ({"password": "short"}, "12 to 1024"),
    ],
)
def test_accounts_that_cannot_be(sqlite_store: Store, over: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"user_id": "new", "name": "New", "roles": ["analyst"]} | over
    with pytest.raises(UsageError, match=words), sqlite_store.session() as session:
        users.add(session, ADMINISTRATOR, **given)


def test_sessions_end_by_idleness_and_by_age(store: Store, clock: Clock) -> None:
    add_people(store)
    with store.session() as session:
        token = sessions.start(session, ANALYST, {"next": "/queue"})
        other = sessions.start(session, ANALYST)
    assert token != other
    with store.reader() as session:
        found = sessions.resume(session, token)
        assert found is not None
        assert (found.actor.roles, found.data, found.touch) == ({"analyst"}, {"next": "/queue"}, False)
        assert token.encode() not in [row.token_sha256 for row in session.scalars(select(WebSession))]
        assert sessions.resume(session, "guess") is None
    clock.forward(minutes=30)
    with store.reader() as session:
        assert sessions.resume(session, token) is None
    with store.session() as session:
        token = sessions.start(session, ANALYST)
    for _ in range(30):
        clock.forward(minutes=20)
        with store.session() as session:
            sessions.touch(session, token)
    with store.session() as session:
        assert sessions.resume(session, token) is None
        sessions.end(session, token)
        assert session.scalars(select(WebSession)).all() == []


def test_tokens_act_for_their_owner_until_they_end(store: Store, clock: Clock) -> None:
    add_people(store)
    with store.session() as session:
        row, text = sessions.create_token(session, ANALYST, "script", 30)
        with pytest.raises(UsageError, match="1 to 90"):
            sessions.create_token(session, ANALYST, "script", 91)
        with pytest.raises(PermissionDeniedError):
            sessions.create_token(session, ADMINISTRATOR, "x", 1)
    with store.session() as session:
        found = sessions.token_actor(session, text)
        assert found is not None
        assert found.user_id == "ana"
        assert sessions.token_actor(session, text + "x") is None
        assert [t.token_id for t in sessions.tokens(session, ANALYST)] == [row.token_id]
        assert text not in repr(session.execute(select(ApiToken.__table__)).all())
    with pytest.raises(PermissionDeniedError), store.session() as session:
        sessions.revoke_token(session, AUDITOR, row.token_id)
    with store.session() as session:
        sessions.revoke_token(session, ANALYST, row.token_id)
        assert sessions.token_actor(session, text) is None


def test_claims_give_roles_anew_at_every_sign_in(store: Store) -> None:
    with store.session() as session:
        first = oidc.admit(session, CLAIMS)
    assert (first.user_id, first.roles, first.compartments) == ("olga", {"analyst"}, {"ucol"})
    with store.session() as session:
        second = oidc.admit(session, {**CLAIMS, "groups": "polit-dmi"})
    assert (second.roles, second.compartments) == ({"dmi"}, frozenset())


@pytest.mark.parametrize(
    "claims",
    [{}, {**CLAIMS, "preferred_username": "a b"}, {**CLAIMS, "groups": ["staff"]}, {**CLAIMS, "groups": {"x": 1}}],
)
def test_claims_that_give_nothing_are_refused(sqlite_store: Store, claims: dict[str, Any]) -> None:
    with pytest.raises(PermissionDeniedError), sqlite_store.session() as session:
        oidc.admit(session, claims)


def test_the_provider_cannot_take_over_a_local_account(store: Store) -> None:
    add_people(store)
    with pytest.raises(PermissionDeniedError, match="cannot sign in"), store.session() as session:
        oidc.admit(session, {**CLAIMS, "preferred_username": "adm"})


def test_the_secret_is_made_once_and_private(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path / "home")
    assert secret.load(settings) == secret.load(settings)
    assert (settings.home / "secret").stat().st_mode & 0o777 == 0o600
    assert secret.derive(settings, "a") != secret.derive(settings, "b")
    short = tmp_path / "short"
    short.write_text("x")
    with pytest.raises(SettingsError, match="fewer than 32"):
        secret.load(Settings(home=tmp_path, secret_file=short))
