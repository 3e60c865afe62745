"""The HTTP API against its own OpenAPI description: 5,000 generated requests, none may end in a server error.

Requests go to the application in this process, as a supervisor and as a DMI by token, with all forms that the
description allows and many that it does not.
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
SKIPPED = {("POST", "/sign-out"), ("POST", "/account/tokens/{token_id}/revoke"), ("POST", "/sql")}
"""They end the session or token that the test itself uses, or start a process per statement; all have tests of their own."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_five_thousand_generated_requests_bring_no_server_error(app: Any, browser_of: Any) -> None:
    clients: list[Client] = [browser_of("sue"), browser_of("dan")]
    number = clients[0].get("/queue?format=json").json()["cases"][0]["case_id"]
    schema = schemathesis.openapi.from_dict(app.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [o for o in operations if (o.method.upper(), o.path) not in SKIPPED]
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    strategies = {
        operation.label: st.one_of(
            *(
                operation.as_strategy(generation_mode=mode)
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            )
        )
        for operation in operations
    }
    varied = [o.label for o in operations if "{" in o.path or o.method.upper() == "POST" or list(o.query)]
    labels = [o.label for o in operations]
    for number_of_round in range(20):
        share = max(5, (REQUESTS - sum(statuses.values())) // len(labels) + 1)

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
            one = given(case=strategies[label], pick=st.integers(0, 1), real=st.integers(0, 9).map(lambda n: n == 0))
            seed(number_of_round)(bounded(one(ask)))()
        if sum(statuses.values()) >= REQUESTS and statuses[200] > 500:
            break
        labels = varied  # a route without parameters has only so many different requests
    assert failures == []
    assert sum(statuses.values()) >= REQUESTS
    assert statuses[200] > 500  # the requests reach the pages, not only their gates


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
