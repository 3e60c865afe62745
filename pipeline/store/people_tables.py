"""Tables of people and their access, and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.store.types import Base, JsonText


class Team(Base):
    """A team that cases are allocated to."""

    __tablename__ = "teams"

    team_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class User(Base):
    """A person's account. `password_hash` is null for accounts of the identity provider and before the first one is set."""

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    origin: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(JsonText)
    compartments: Mapped[list[str]] = mapped_column(JsonText)
    team_id: Mapped[str | None]
    disabled: Mapped[bool]
    failed_attempts: Mapped[int]
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_sign_in_at: Mapped[datetime | None]
    version: Mapped[int]
    issuer: Mapped[str | None]
    """Who vouches for the person, and the name under which: what an account of the identity provider is known by."""
    subject: Mapped[str | None]

    __table_args__ = (Index("ix_users_subject", "issuer", "subject", unique=True),)


class SignInDelay(Base):
    """Wrong passwords for an account from one address, and until when that address waits."""

    __tablename__ = "sign_in_delays"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    failed: Mapped[int]
    until: Mapped[datetime | None]


class WebSession(Base):
    """A console session. Only the SHA-256 of its token is stored: a copy of the store signs nobody in."""

    __tablename__ = "web_sessions"

    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    csrf: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    data: Mapped[dict[str, Any]] = mapped_column(JsonText)


class ApiToken(Base):
    """A token of the HTTP API; it acts with its owner's present roles, within its `scope`. Only its SHA-256 is stored."""

    __tablename__ = "api_tokens"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    scope: Mapped[str]


class PastQuery(Base):
    """A statement that a person asked, kept for that person alone for a while. `rows` is empty where it gave none."""

    __tablename__ = "past_queries"

    query_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    statement: Mapped[str]
    rows: Mapped[int | None]


class AuditEntry(Base):
    """One entry of the audit log (DPA 2018 s.62): append-only, each entry's hash covers the one before."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str]
    user_id: Mapped[str]
    user_name: Mapped[str]
    roles: Mapped[str]
    category: Mapped[str]
    action: Mapped[str]
    case_id: Mapped[str | None]
    object: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    recipient: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str]
    hash: Mapped[str]

    __table_args__ = (Index("ix_audit_case", "case_id", "seq"), Index("ix_audit_user", "user_id", "seq"))


class AuditHead(Base):
    """The last entry's number and hash: one row, locked while entries are added, so that the chain has no fork."""

    __tablename__ = "audit_head"

    head_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]
