"""The HTTP API against its own OpenAPI description: 5,000 generated requests, none may end in a server error.

Requests go to the application in this process, from a supervisor and from a DMI who are signed in, with all forms that
the description allows and many that it does not. Some carry a token that was never given: the others reach the pages.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from tests.pipeline.console.client import Client

REQUESTS = 5_000
PAGES = 750
"""More of them than this are answered with a page."""
SKIPPED = {("POST", "/sign-out"), ("POST", "/account/tokens/{token_id}/revoke"), ("POST", "/sql")}
"""They end the session or token that the test itself uses, or start a process per statement; all have tests of their own."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_five_thousand_generated_requests_bring_no_server_error(app: Any, browser_of: Any) -> None:
    clients: list[Client] = [browser_of("sue"), browser_of("dan")]
    number = clients[0].get("/queue?format=json").json()["cases"][0]["case_id"]
    labels, varied, tokens = operations(app.app.openapi(), tokens=True)
    _, _, strategies = operations(app.app.openapi(), tokens=False)
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    for number_of_round in range(21):
        made_up = number_of_round == 0
        share = 4 if made_up else max(5, (REQUESTS - sum(statuses.values())) // len(labels) + 1)

        def ask(case: Any, pick: int, real: bool) -> None:
            client = clients[pick]
            if real and "number" in (case.path_parameters or {}):
                case.path_parameters["number"] = number
            request = case.as_transport_kwargs(base_url="http://127.0.0.1:8899")
            answer = send(client, request)
            statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                failures.append(f"{case.method} {request['url']}: {answer.text[:200]}")

        for label in labels:
            bounded = settings(
                max_examples=share, deadline=None, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            case = (tokens if made_up else strategies)[label]
            one = given(case=case, pick=st.integers(0, 1), real=st.integers(0, 9).map(lambda n: n == 0))
            seed(number_of_round)(bounded(one(ask)))()
        if sum(statuses.values()) >= REQUESTS and statuses[200] > PAGES:
            break
        if not made_up:
            labels = varied  # a route without parameters has only so many different requests
    assert failures == []
    assert sum(statuses.values()) >= REQUESTS
    assert statuses[200] > PAGES  # the requests reach the pages, not only their gates
    assert 100 < statuses[401] < REQUESTS / 10, "few are stopped for a token that was never given"


def operations(description: dict[str, Any], *, tokens: bool) -> tuple[list[str], list[str], dict[str, Any]]:
    """Labels of all operations, of those whose requests vary, and what generates requests to each.

    With `tokens` requests carry made-up credentials too, which the gate stops.
    """
    schema = schemathesis.openapi.from_dict(description)
    schema.config.generation.update(with_security_parameters=tokens)
    found = [operation.ok() for operation in schema.get_all_operations()]
    found = [o for o in found if (o.method.upper(), o.path) not in SKIPPED]
    strategies = {}
    for o in found:
        modes = [GenerationMode.POSITIVE]
        if tokens or list(o.query) or list(o.path_parameters) or list(o.body):  # else there is nothing to get wrong
            modes.append(GenerationMode.NEGATIVE)
        strategies[o.label] = st.one_of(*(o.as_strategy(generation_mode=mode) for mode in modes))
    varied = [o.label for o in found if "{" in o.path or o.method.upper() == "POST" or list(o.query)]
    return [o.label for o in found], varied, strategies


def send(client: Client, request: dict[str, Any]) -> Any:
    """One generated request over the client's session; form posts carry its token."""
    method, url = request["method"], request["url"]
    headers = {
        k: v
        for k, v in dict(request.get("headers") or {}).items()
        if k.lower() not in {"host", "content-length", "cookie"}
    }
    extra: dict[str, Any] = {}
    if "json" in request:
        extra["json"] = request["json"]
    elif isinstance(request.get("data"), dict):
        extra["data"] = {
            **{str(k): v if isinstance(v, str | list) else str(v) for k, v in request["data"].items()},
            "csrf": client.csrf,
        }
    elif request.get("data") is not None:
        extra["content"] = request["data"]
    elif method.upper() == "POST":
        extra["data"] = {"csrf": client.csrf}
    if request.get("files"):
        extra.pop("content", None)
        extra.setdefault("data", {"csrf": client.csrf})
        extra["files"] = request["files"]
    if "data" in extra:
        headers = {k: v for k, v in headers.items() if k.lower() != "content-type"}
    return client.request(method, url, params=request.get("params"), headers=headers, **extra)
