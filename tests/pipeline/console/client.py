"""A browser without a screen: the application called in this process, cookies and form tokens as a browser keeps them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import httpx

from tests.pipeline.console.world import PASSWORD


class Client:
    """Calls an ASGI application; one instance is one browser."""

    def __init__(self, app: Any, host: str = "127.0.0.1:8899") -> None:
        self._loop = asyncio.new_event_loop()
        self._asked: asyncio.Queue[tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._server = self._loop.create_task(self._serve())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")
        self.csrf = ""

    async def _serve(self) -> None:
        """Everything that is asked, in one task, as a server does: threads for handlers end with the task that started them."""
        while True:
            asked, answer = await self._asked.get()
            try:
                answer.set_result(await asked)
            except Exception as error:  # noqa: BLE001 - raised where it was asked
                answer.set_exception(error)

    def _run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        answer = self._loop.create_future()
        self._asked.put_nowait((asked, answer))
        return self._loop.run_until_complete(answer)

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        return self._run(self.http.request(method, path, **kwargs))

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
        self._run(self.http.aclose())
        self._server.cancel()
        self._loop.run_until_complete(asyncio.wait({self._server}))
        self._loop.close()


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
