"""One night over sample packages for all console tests, and copies of its home for those that change something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.console.app import create_app
from pipeline.settings import Settings
from tests import sharing
from tests.pipeline.console import world
from tests.pipeline.console.browsing import ARGUMENTS, CHROMIUM, axe_script, sign_in
from tests.pipeline.console.client import Client


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home after a real night, with accounts, made once for all workers. Only to be read."""
    folder = sharing.once(
        tmp_path_factory, "console", lambda place: world.prepared(place / "home", policy=world.cheap_policy(place))
    )
    return world.at(folder / "home", policy=folder / "policy")


@pytest.fixture
def home(night: Settings, tmp_path: Path) -> Settings:
    """A copy of that home, to be changed."""
    return world.copy_home(night, tmp_path / "home")


@pytest.fixture(scope="session")
def read_app(night: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application over a copy that is shared by tests which change nothing that matters to others."""
    settings = world.copy_home(night, tmp_path_factory.mktemp("shared") / "home")
    app = create_app(settings)
    app.app.state.evidence.refresh()
    yield app
    app.app.state.store.close()


@pytest.fixture
def app(home: Settings) -> Iterator[Any]:
    """The application over this test's own home."""
    made = create_app(home)
    made.app.state.evidence.refresh()
    yield made
    made.app.state.store.close()


@pytest.fixture
def browser_of(app: Any) -> Iterator[Callable[[str], Client]]:
    """Signed-in clients of this test's own application, by account name ("" for nobody)."""
    made: list[Client] = []

    def make(name: str) -> Client:
        client = Client(app)
        made.append(client)
        if name:
            assert client.sign_in(name).status_code == 303
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def readers(read_app: Any) -> Iterator[dict[str, Client]]:
    """One signed-in client an account, over the shared application; "" is nobody."""
    clients = {name: Client(read_app) for name in ("", "admin", *world.PEOPLE)}
    for name, client in clients.items():
        if name:
            assert client.sign_in(name).status_code == 303
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def served(night: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return world.copy_home(night, tmp_path_factory.mktemp("browser") / "home")


@pytest.fixture(scope="module")
def address(served: Settings) -> Iterator[str]:
    with world.server(served) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_as(chromium: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Signed-in pages by account name; JavaScript is off unless a test's own tool needs it."""
    contexts: list[Any] = []

    def make(name: str, *, script: bool = False, width: int = 1280) -> Any:
        context = chromium.new_context(
            java_script_enabled=script, viewport={"width": width, "height": 900}, base_url=address, bypass_csp=script
        )
        contexts.append(context)
        if script:
            context.add_init_script(axe_script())
        page = context.new_page()
        page.set_default_timeout(60_000)
        if name:
            sign_in(page, name)
        return page

    yield make
    for context in contexts:
        context.close()
