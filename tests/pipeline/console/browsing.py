"""A real browser for tests of the pages: how Chromium is started, and signing in."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.pipeline.console import world

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

COLOURS_ONCE = """
(() => {
    const color = axe.commons.color.Color.prototype, read = color.parseString, known = new Map();
    color.parseString = function (text) {
        const seen = known.get(text);
        if (seen) [this.r, this.g, this.b, this.alpha] = seen;
        else known.set(text, [read.call(this, text).r, this.g, this.b, this.alpha]);
        return this;
    };
})();
"""
"""For axe: each spelling of a colour is read once a page. It reads every element's anew, most of its time, though pages have few."""

MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]
"""Marks of a file of browser tests."""


def axe_script() -> str:
    """Axe's rules as they come, and COLOURS_ONCE: what a page has to run before `axe` is asked on it."""
    from axe_playwright_python.sync_playwright import Axe

    return f"{Axe().axe_script}\n{COLOURS_ONCE}"


def press(place: Any) -> None:
    """Click, and wait until the page that answers is whole.

    A click alone returns as soon as the answer begins to arrive: whoever then counts what is on the page, or looks it
    over, may see half of it.
    """
    place.click()
    place.page.wait_for_load_state("load")


def sign_in(page: Any, name: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(world.PASSWORD)
    press(page.get_by_role("button", name="Sign in"))
    page.wait_for_url("**/queue" if name != "admin" else "**/dashboard")
