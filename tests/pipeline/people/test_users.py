"""Accounts, passwords and lockout, console sessions, API tokens, the identity provider's claims."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from pipeline.console.gate import access
from pipeline.errors import BusyError, ConflictError, PermissionDeniedError, SettingsError, UsageError
from pipeline.people import oidc, passwords, sessions, users
from pipeline.settings import Settings
from pipeline.store import secret
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.people_tables import ApiToken, AuditEntry, User, WebSession
from tests.pipeline.cases.conftest import ADMINISTRATOR, ANALYST, AUDITOR, PASSWORD, Clock, add_people

CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example",
    "sub": "1",
    "preferred_username": "Olga",
    "name": "Olga Idp",
    "groups": ["polit-analysts", "polit-ucol", "staff"],
}


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
        found = sessions.bearer(session, text)
        assert found is not None
        assert (found.actor.user_id, found.scope) == ("ana", "read")
        assert sessions.bearer(session, text + "x") is None
        assert [t.token_id for t in sessions.tokens(session, ANALYST)] == [row.token_id]
        assert text not in repr(session.execute(select(ApiToken.__table__)).all())
    with pytest.raises(PermissionDeniedError), store.session() as session:
        sessions.revoke_token(session, AUDITOR, row.token_id)
    with store.session() as session:
        sessions.revoke_token(session, ANALYST, row.token_id)
        assert sessions.bearer(session, text) is None


def test_claims_give_roles_anew_at_every_sign_in(store: Store) -> None:
    with store.session() as session:
        first = oidc.admit(session, CLAIMS)
    assert (first.user_id, first.roles, first.compartments) == ("olga", {"analyst"}, {"ucol"})
    with store.session() as session:
        second = oidc.admit(session, {**CLAIMS, "groups": "polit-dmi"})
    assert (second.roles, second.compartments) == ({"dmi"}, frozenset())


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {**CLAIMS, "preferred_username": "a b"},
        {**CLAIMS, "preferred_username": "system"},
        {**CLAIMS, "sub": ""},
        {**CLAIMS, "groups": ["staff"]},
        {**CLAIMS, "groups": {"x": 1}},
    ],
)
def test_claims_that_give_nothing_are_refused(sqlite_store: Store, claims: dict[str, Any]) -> None:
    with pytest.raises(PermissionDeniedError), sqlite_store.session() as session:
        oidc.admit(session, claims)


def test_the_provider_cannot_take_over_a_local_account(store: Store) -> None:
    add_people(store)
    with pytest.raises(PermissionDeniedError, match="cannot sign in"), store.session() as session:
        oidc.admit(session, {**CLAIMS, "preferred_username": "adm"})


def token_of(store: Store, actor: Actor, days: int = 30) -> str:
    with store.session() as session:
        return sessions.create_token(session, actor, "script", days)[1]


def test_tokens_end_with_a_new_password_and_a_changed_account(store: Store) -> None:
    """Whoever holds a token loses it when the person's access changes; a reset shuts out who has stolen it."""
    add_people(store)
    text = token_of(store, ANALYST)
    with store.session() as session:
        users.set_password(session, ADMINISTRATOR, "ana", "correct horse battery")
        assert sessions.bearer(session, text) is None
    text = token_of(store, ANALYST)
    with store.session() as session:
        version = next(u.version for u in users.listing(session, ADMINISTRATOR) if u.user_id == "ana")
        users.change(session, ADMINISTRATOR, "ana", version=version, roles=["analyst", "dmi"])
        assert sessions.bearer(session, text) is None


def test_a_provider_that_takes_the_groups_away_ends_the_tokens(store: Store, clock: Clock) -> None:
    with store.session() as session:
        olga = oidc.admit(session, CLAIMS)
    text = token_of(store, olga)
    gone = {**CLAIMS, "groups": []}
    with pytest.raises(PermissionDeniedError), store.session() as session:
        oidc.admit(session, gone)
    with store.session() as session:
        oidc.refused(session, gone, "no group")
        assert sessions.bearer(session, text) is None


def test_tokens_of_a_providers_account_rest_until_its_roles_are_told_again(store: Store, clock: Clock) -> None:
    with store.session() as session:
        olga = oidc.admit(session, CLAIMS)
    text = token_of(store, olga)
    clock.forward(days=2)
    with store.session() as session:
        assert sessions.bearer(session, text) is not None
    clock.forward(days=1)
    with store.session() as session:
        assert sessions.bearer(session, text) is None
        oidc.admit(session, CLAIMS)
        assert sessions.bearer(session, text) is not None


def test_an_account_is_the_subject_not_the_name(store: Store) -> None:
    """A name that the provider gives to somebody else opens nothing; a person who is renamed keeps the account."""
    with store.session() as session:
        oidc.admit(session, CLAIMS)
    with pytest.raises(PermissionDeniedError, match="somebody else"), store.session() as session:
        oidc.admit(session, {**CLAIMS, "sub": "2"})
    with pytest.raises(PermissionDeniedError, match="somebody else"), store.session() as session:
        oidc.admit(session, {**CLAIMS, "iss": "https://other.example"})
    with store.session() as session:
        assert oidc.admit(session, {**CLAIMS, "preferred_username": "olga.new"}).user_id == "olga"


def test_a_token_has_a_scope(store: Store) -> None:
    add_people(store)
    with pytest.raises(UsageError, match="no scope"), store.session() as session:
        sessions.create_token(session, ANALYST, "x", 1, "everything")
    assert access.token_may("read", "GET", "/queue") and access.token_may("read", "POST", "/api/lookup")
    assert not access.token_may("read", "POST", "/cases/{number}/note")
    assert access.token_may("work", "POST", "/cases/{number}/note")
    for scope in sessions.SCOPES:
        assert not access.token_may(scope, "POST", "/account/tokens"), "no token makes another"
        assert not access.token_may(scope, "GET", "/account")


def test_wrong_passwords_make_their_own_address_wait_only(store: Store, clock: Clock) -> None:
    """Somebody who tries passwords for another person does not lock that person out."""
    add_people(store)
    for _ in range(5):
        with pytest.raises(PermissionDeniedError):
            users.sign_in(store, "ana", "wrong password 1", "192.0.2.9")
    with pytest.raises(PermissionDeniedError):
        users.sign_in(store, "ana", PASSWORD, "192.0.2.9")
    assert users.sign_in(store, "ana", PASSWORD, "192.0.2.1").user_id == "ana"
    clock.forward(minutes=16)
    assert users.sign_in(store, "ana", PASSWORD, "192.0.2.9").user_id == "ana"


def test_hashing_holds_no_transaction_and_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a password is verified the store is free; one address makes one hash at a time, and is told when it is too busy."""
    add_people(store)
    right = passwords.verify
    seen: list[str] = []

    def verify(policy: Any, stored: str | None, password: str) -> bool:
        with store.session() as session:  # somebody else writes meanwhile
            seen.append(sessions.start(session, ANALYST))
        with pytest.raises(BusyError), passwords.one_of_few("192.0.2.1"):
            pass
        with passwords.one_of_few("192.0.2.2"):
            return right(policy, stored, password)

    monkeypatch.setattr(passwords, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(passwords, "verify", verify)
    assert users.sign_in(store, "ana", PASSWORD, "192.0.2.1").user_id == "ana"
    assert len(seen) == 1


def test_the_secret_is_made_once_and_private(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path / "home")
    assert secret.load(settings) == secret.load(settings)
    assert (settings.home / "secret").stat().st_mode & 0o777 == 0o600
    assert secret.derive(settings, "a") != secret.derive(settings, "b")
    short = tmp_path / "short"
    short.write_text("x")
    with pytest.raises(SettingsError, match="fewer than 32"):
        secret.load(Settings(home=tmp_path, secret_file=short))
