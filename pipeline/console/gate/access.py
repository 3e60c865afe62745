"""Who may call what: one entry per route, by the actions of `pipeline/people/permissions.py`. No entry, no access.

The check runs before every route (deny by default); a test walks the application's routes and fails on one that is
not here, and calls every route as every role and as nobody.
"""

from __future__ import annotations

from pipeline.people import permissions
from pipeline.store.actors import Actor

PUBLIC = "public"
"""Anybody, signed in or not."""
SIGNED_IN = "signed in"
"""Anybody who is signed in, whatever the role."""

MATRIX: dict[tuple[str, str], str] = {
    # signing in
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): PUBLIC,
    ("GET", "/sign-in/force"): PUBLIC,
    ("GET", "/sign-in/force/done"): PUBLIC,
    ("POST", "/sign-out"): SIGNED_IN,
    ("GET", "/static/{name}"): PUBLIC,
    ("GET", "/health"): PUBLIC,
    ("GET", "/ready"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,  # by its own token, see the route
    ("GET", "/"): SIGNED_IN,
    # the analyst's day
    ("GET", "/search"): "case.read",
    ("POST", "/search"): "case.read",
    ("GET", "/queue"): "queue.list",
    ("POST", "/queue/next"): "case.claim",
    ("GET", "/cases/{number}"): "case.read",
    ("GET", "/cases/{number}/print"): "case.read",
    ("GET", "/cases/{number}/texts"): "case.read_text",
    ("GET", "/cases/{number}/matches/{match_id}"): "case.read",
    ("POST", "/cases/{number}/claim"): "case.claim",
    ("POST", "/cases/{number}/release"): "case.release",
    ("POST", "/cases/{number}/note"): "case.note",
    ("POST", "/cases/{number}/decide"): "case.decide",
    ("POST", "/cases/{number}/request"): "case.request_information",
    ("POST", "/cases/{number}/answer"): "case.request_information",
    ("POST", "/cases/{number}/answers"): "case.answer",
    ("POST", "/cases/{number}/transfer"): "case.transfer",
    ("POST", "/cases/{number}/transfer/settle"): "case.transfer",
    ("POST", "/cases/{number}/kirat"): "case.kirat",
    ("POST", "/cases/{number}/notify"): "case.notify",
    ("POST", "/cases/{number}/told"): "case.acknowledge",
    ("GET", "/cases/{number}/group"): "case.read",
    ("POST", "/cases/{number}/group/claim"): "case.claim",
    ("POST", "/cases/{number}/group/decide"): "case.decide",
    ("POST", "/cases/{number}/group/apart"): "case.group",
    ("POST", "/cases/{number}/group/back"): "case.group",
    ("GET", "/cases/{number}/childrens-services"): "case.notify",
    ("POST", "/cases/{number}/childrens-services"): "case.notify",
    ("GET", "/cases/{number}/graded"): "case.grade",
    ("POST", "/cases/{number}/graded"): "case.grade",
    ("POST", "/cases/{number}/graded/{upload_id}/send"): "case.grade",
    ("POST", "/cases/{number}/graded/{upload_id}/withdraw"): "case.grade",
    ("POST", "/notices/{notice_id}/read"): SIGNED_IN,
    ("GET", "/mine"): "mine.list",
    ("POST", "/cases/{number}/export"): "export.data",
    ("GET", "/outcomes"): "outcomes.own",
    ("GET", "/break"): SIGNED_IN,
    ("POST", "/break"): SIGNED_IN,
    # supervision
    ("GET", "/supervision"): "supervision.list",
    ("POST", "/supervision/allocate"): "case.allocate",
    ("POST", "/cases/{number}/allocate"): "case.allocate",
    ("POST", "/cases/{number}/lowering"): "case.approve_lowering",
    ("POST", "/cases/{number}/review"): "case.review",
    ("POST", "/cases/{number}/second-look"): "case.second_look",
    ("POST", "/cases/{number}/retain"): "case.retain",
    ("POST", "/cases/{number}/erase"): "case.erase",
    # evidence
    ("GET", "/look-up"): "lookup.hash",
    ("POST", "/look-up"): "lookup.hash",
    ("POST", "/api/lookup"): "lookup.hash",
    ("GET", "/known/{media_key}"): "lookup.hash",
    ("GET", "/sql"): "query.sql",
    ("POST", "/sql"): "query.sql",
    ("GET", "/matches"): "matches.list",
    ("GET", "/matches/{match_id}"): "matches.list",
    # reports
    ("GET", "/dashboard"): "reports.read",
    ("GET", "/dashboard/partners"): "reports.read",
    ("GET", "/dashboard/{name}"): "reports.read",
    ("GET", "/supervision/wellbeing"): "wellbeing.read",
    ("POST", "/queue/filters"): "filters.own",
    ("POST", "/queue/filters/remove"): "filters.own",
    ("POST", "/cases/{number}/safeguarded"): "case.safeguarded",
    ("GET", "/runs"): "reports.read",
    ("GET", "/runs/{run_id}"): "reports.read",
    ("GET", "/quarantine"): "quarantine.read",
    ("POST", "/quarantine/{package_id}/sent"): "quarantine.read",
    # one's own account
    ("GET", "/account"): SIGNED_IN,
    ("POST", "/account/tokens"): "tokens.own",
    ("POST", "/account/tokens/{token_id}/revoke"): "tokens.own",
    # auditors and administrators
    ("GET", "/audit"): "audit.verify",
    ("POST", "/audit/verify"): "audit.verify",
    ("POST", "/audit/export"): "audit.export",
    ("GET", "/accounts"): "users.read",
    ("POST", "/accounts"): "users.manage",
    ("GET", "/accounts/{user_id}"): "users.read",
    ("POST", "/accounts/{user_id}"): "users.manage",
    ("POST", "/accounts/{user_id}/end"): "users.manage",
    ("POST", "/accounts/{user_id}/tokens/{token_id}/revoke"): "users.manage",
    # for programs
    ("POST", "/api/sign-in"): PUBLIC,
    ("POST", "/api/sign-out"): "tokens.own",
    # the description of all this
    ("GET", "/api/openapi.json"): SIGNED_IN,
}
"""(method, path as routed) to an action of the permission table, or PUBLIC or SIGNED_IN."""


def rule(method: str, path: str) -> str | None:
    """The entry of a route; None when it has none, which refuses everybody. HEAD is as GET."""
    return MATRIX.get(("GET" if method == "HEAD" else method, path))


_ASKING = frozenset({("POST", "/api/lookup"), ("POST", "/look-up"), ("POST", "/sql"), ("POST", "/api/sign-out")})
"""Routes that only ask although they take a body, and the end of the token itself."""


def token_may(scope: str, method: str, path: str) -> bool:
    """Whether an API token of this scope may call a route at all. None may act on the account: a token that was stolen
    makes no other, and ends with the password."""
    if path.startswith(("/account", "/sign-")):
        return False
    return scope == "work" or method in ("GET", "HEAD", "OPTIONS") or (method, path) in _ASKING


def may(actor: Actor | None, entry: str | None) -> bool:
    """Whether the person (None: nobody signed in) may pass this entry (None: a route that has none)."""
    if entry is None:
        return False
    if entry == PUBLIC:
        return True
    if actor is None:
        return False
    return entry == SIGNED_IN or permissions.allowed(actor, entry)
