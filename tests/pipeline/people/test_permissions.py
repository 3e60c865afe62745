"""The permission table, every role by every action; compartments; that every service asks before it acts."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.people import permissions
from pipeline.settings import ROOT
from pipeline.store import refusals
from pipeline.store.actors import SYSTEM, Actor
from pipeline.store.tables import Case

# Written out a second time, by role instead of by action: a slip in one of the two shows.
EXPECTED = {
    "analyst": """queue.list case.read case.read_text case.timeline case.claim case.release case.note case.decide
        case.raise case.propose_lowering case.request_information case.transfer case.kirat case.answer case.notify case.acknowledge case.group case.grade
        outcomes.own mine.list case.safeguarded filters.own lookup.hash matches.list reports.read password.own tokens.own""",
    "supervisor": """queue.list case.read case.read_text case.timeline case.claim case.release case.note case.decide
        case.raise case.propose_lowering case.request_information case.transfer case.kirat case.answer case.notify case.acknowledge case.group case.grade
        outcomes.own mine.list case.safeguarded filters.own case.allocate case.approve_lowering case.reopen case.review case.second_look case.retain case.erase
        supervision.list wellbeing.read lookup.hash matches.list export.data model.report release.approve reports.read users.read password.own
        tokens.own night.expire_claims quarantine.read""",
    "dmi": """queue.list filters.own case.read case.note case.grade lookup.hash matches.list query.sql export.data model.report release.approve reports.read
        password.own tokens.own""",
    "auditor": """queue.list filters.own case.read case.timeline supervision.list reports.read users.read password.own tokens.own
        audit.read audit.export audit.verify audit.anchor""",
    "administrator": "reports.read quarantine.read users.read users.manage password.own audit.verify audit.anchor",
    "system": "audit.verify audit.anchor night.publish night.expire_claims",
}


@pytest.mark.parametrize(("role", "action"), list(itertools.product(EXPECTED, permissions.TABLE)))
def test_every_role_by_every_action(role: str, action: str) -> None:
    actor = Actor("x", "X", frozenset({role}))
    expected = action in EXPECTED[role].split()
    assert permissions.allowed(actor, action) is expected
    if expected:
        permissions.require(actor, action)
    else:
        with pytest.raises(PermissionDeniedError, match=action):
            permissions.require(actor, action)


def test_the_table_names_known_roles_and_every_expected_action() -> None:
    assert set().union(*permissions.TABLE.values()) <= {*permissions.ROLES, "system"}
    assert {a for text in EXPECTED.values() for a in text.split()} == set(permissions.TABLE)


@pytest.mark.parametrize("action", list(permissions.TABLE))
def test_nobody_without_a_role_may_do_anything(action: str) -> None:
    assert not permissions.allowed(Actor("x", "X", frozenset()), action)


def test_an_action_that_is_not_in_the_table_is_a_fault() -> None:
    with pytest.raises(KeyError):
        permissions.allowed(SYSTEM, "case.invent")


@pytest.mark.parametrize("role", permissions.ROLES)
@pytest.mark.parametrize("action", [a for a in permissions.TABLE if a.startswith("case.")])
def test_a_restricted_case_reads_as_unknown_whatever_the_role(role: str, action: str) -> None:
    case = Case(case_id="C-1", compartment="ucol")
    with pytest.raises(UsageError) as hidden:
        permissions.require(Actor("x", "X", frozenset({role})), action, case)
    assert str(hidden.value) == str(refusals.no_such_case("C-1"))
    cleared = Actor("x", "X", frozenset({role}), frozenset({"ucol"}))
    if role in permissions.TABLE[action]:
        permissions.require(cleared, action, case)
    else:
        with pytest.raises(PermissionDeniedError):
            permissions.require(cleared, action, case)


# Functions that take a session and an actor, and neither check themselves nor call one of these, would be open doors.
ASKING = {"require", "find", "for_change", "_with_cases"}
EXEMPT = {
    ("cases", "require_holder"): "a further check, after the permission",
    ("cases", "changed"): "a step of functions that have asked",
    ("cases", "decide"): "a step of functions that have asked",
    ("bands", "withdraw_pending"): "a step of functions that have asked",
    ("second_looks", "ask"): "a step of functions that have asked",
    ("audit", "record"): "writes the log for everybody",
    ("sessions", "start"): "after signing in",
    ("hiding", "referrals"): "says what to leave out",
    ("hiding", "among"): "says what to leave out",
    ("hiding", "referrals_among"): "says what to leave out",
    ("hiding", "anything"): "says whether to look",
    ("queue", "cells"): "conditions for functions that have asked",
    ("queue", "counts"): "tally, which it calls, asks",
}


def services() -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for path in sorted((ROOT / "pipeline" / "cases").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
                if {"session", "actor"} <= names or {"opened", "actor"} <= names:
                    found.append((Path(path).stem, node))
    return found


@pytest.mark.parametrize(("module", "node"), [pytest.param(m, n, id=f"{m}.{n.name}") for m, n in services()])
def test_every_service_asks_the_table(module: str, node: ast.FunctionDef) -> None:
    called = {
        call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    }
    assert (module, node.name) in EXEMPT or called & ASKING
