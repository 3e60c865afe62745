"""The addresses of every page of the route table, filled from what is really there, and who may open each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.console.gate import access
from pipeline.store.actors import Actor
from tests.pipeline.console import world

NO_PAGES = {
    "/", "/static/{name}", "/metrics", "/health", "/ready", "/api/openapi.json", "/sign-in/force", "/sign-in/force/done",
}  # fmt: skip
"""Routes that answer GET with something that is no page of this console: a redirect, a file, text for a program."""
STATES = (
    "/queue?text=NONE", "/queue?order=target", "/queue?band=high&holder=nobody", "/supervision?tick=5", "/no-such-page",
    "/matches?grade=BENIGN", "/cases/{number}?files=all&audit=yes", "/cases/{number}/print?part=all",
    "/dashboard/yearly",
)  # fmt: skip
"""States of pages whose markup differs."""
SIGNED_OUT = {"/sign-in"}
"""Routes that lead a signed-in person elsewhere."""


def filled(ask: Callable[[str], Any]) -> dict[str, str]:
    """Values for the placeholders of the routes. `ask` gives the JSON of an address, as a supervisor sees it."""
    cases = ask("/queue?format=json")["cases"]
    match = ask("/matches?format=json")["matches"][0]
    return {
        "number": cases[0]["case_id"],
        "match_id": match["match_id"],
        "media_key": str(match["media_key"]),
        "name": "weekly",
        "run_id": ask("/runs?format=json")["runs"][0]["run_id"],
        "user_id": "ana",
    }


def routes() -> list[str]:
    """Every route that answers GET with a page, as routed."""
    return [path for method, path in access.MATRIX if method == "GET" and path not in NO_PAGES]


def reader(path: str, names: tuple[str, ...] = ("sue", "dan", "aud", "admin")) -> str:
    """The first of these accounts that may open a route. Raises LookupError when none may."""
    entry = access.rule("GET", path)
    for name in names:
        roles = world.PEOPLE[name][1] if name in world.PEOPLE else ["administrator"]
        if access.may(Actor(name, name, frozenset(roles)), entry):
            return name
    raise LookupError(f"Nobody of {names} may open {path}.")


def shared(ask: Callable[[str], Any]) -> dict[str, list[str]]:
    """Account ("": nobody) to the addresses it opens, so that every page is opened once by somebody who may."""
    values, found = filled(ask), dict[str, list[str]]()
    known = ask(f"/known/{values['media_key']}?format=json")
    with_match = values | {"number": known["matches"][0]["cases"][0]}
    for path in routes():
        of = with_match if "{match_id}" in path else values
        found.setdefault("" if path in SIGNED_OUT else reader(path), []).append(path.format(**of))
    found["sue"] += [path.format(**values) for path in STATES]
    return found
