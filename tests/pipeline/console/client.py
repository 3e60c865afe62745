"""A browser without a screen: the application called in this process, cookies and form tokens as a browser keeps them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx

from tests.pipeline.console.world import PASSWORD


class Client:
    """Calls an ASGI application; one instance is one browser."""

    def __init__(self, app: Any, host: str = "127.0.0.1:8899") -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")
        self.csrf = ""

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self._runner.run(self.http.request(method, path, **kwargs))

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, data: dict[str, Any] | None = None, **kwargs: Any) -> httpx.Response:
        """A form post with the session's token."""
        return self.request("POST", path, data={"csrf": self.csrf, **(data or {})}, **kwargs)

    def sign_in(self, name: str, password: str = PASSWORD, **data: Any) -> httpx.Response:
        token = token_of(self.get("/sign-in"))
        answer = self.post("/sign-in", {"name": name, "password": password, "csrf": token, **data})
        if answer.status_code == 303:
            self.csrf = token_of(self.get("/account"))
        return answer

    def close(self) -> None:
        self._runner.run(self.http.aclose())
        self._runner.close()


def token_of(page: httpx.Response) -> str:
    """The form token on a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, f"no form on {page.url}: {page.status_code}"
    return found[1]


def version_of(page: httpx.Response) -> str:
    """The case version in the page's forms."""
    found = re.search(r'name="version" value="(\d+)"', page.text)
    assert found
    return found[1]
