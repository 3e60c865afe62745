"""The shapes of what the API answers, for its description. Tests hold the real answers to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Open(BaseModel):
    """A shape whose answers may have more than it names."""

    model_config = ConfigDict(extra="allow")


class Problem(BaseModel):
    """Why something was refused, and what to do about it."""

    error: str = Field(description="What kind of refusal")
    message: str = Field(description="What happened")
    remedy: str = Field(description="What to do; may be empty")


class CaseState(BaseModel):
    """How a case stands."""

    case_id: str
    state: str
    band: str
    holder: str | None
    due_at: datetime | None
    version: int = Field(description="Goes with the next change of the case")


class Done(BaseModel):
    """What became of a deed. `case` is null where it concerned none, or one that the person may not see any more."""

    done: str
    text: str
    next: str = Field(description="The page that a browser would be led to")
    case: CaseState | None


class TokenGiven(BaseModel):
    """A token and whom it acts for."""

    token: str
    token_id: str
    scope: str
    expires_at: datetime
    name: str
    roles: list[str]


class QueueCase(Open):
    """A case in the queue."""

    case_id: str
    band: str
    urgency: str
    state: str
    score: float | None
    source: str | None
    holder: str | None
    due_at: datetime
    flagged: bool
    version: int


class Queue(Open):
    """Cases by risk, or by target. `next` is the address of what follows, if anything does."""

    as_of: datetime
    total: int
    order: str
    counts: dict[str, int]
    cases: list[QueueCase]
    next: str | None


class CaseHead(Open):
    """A case as the case store has it."""

    case_id: str
    state: str
    band: str
    score: float | None
    holder: str | None
    due_at: datetime
    version: int


class WholeCase(Open):
    """Everything that is known of a case."""

    case: CaseHead
    urgency: str
    unknowns: list[dict[str, Any]]
    referrals: list[dict[str, Any]]
    files: list[dict[str, Any]]
    history: list[dict[str, Any]]


class LookupRow(Open):
    """A hit, or a hash that is not known."""

    line: int
    input: str
    result: str
    algorithm: str | None
    distance: int | None
    media_key: int | None
    grade: str | None


class LookupReject(BaseModel):
    """A line that is no hash, and why."""

    line: int
    text: str
    reason: str


class Looked(Open):
    """The answer to a look-up: every line is in `rows` or in `rejects`."""

    release: int
    rows: list[LookupRow]
    rejects: list[LookupReject]
