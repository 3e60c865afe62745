"""Pictures of every page for docs/, from a real browser over a real night: `python -m tests.pipeline.console.screenshots`.

    python -m tests.pipeline.console.screenshots [--home HOME --policy POLICY] [--width 1280] [FOLDER]

Without --home it makes a night over sample packages first (a few minutes). PNG in at most 64 colours, to stay small.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import click
from PIL import Image

from pipeline.settings import ROOT, Settings
from tests.pipeline.console import world
from tests.pipeline.console.browsing import ARGUMENTS, CHROMIUM, press, sign_in

LONGEST = 1_600
"""Pixels of height after which a page is cut."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--home", type=Path, help="A home with accounts, as tests/pipeline/console/world.py makes it.")
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.home:
            made = Settings(home=given.home, force="ZZ", **({"policy": given.policy} if given.policy else {}))
        else:
            made = world.prepared(Path(scratch) / "made", policy=world.cheap_policy(Path(scratch)))
        settings = world.copy_home(made, Path(scratch) / "home")
        given.folder.mkdir(parents=True, exist_ok=True)
        with world.server(settings) as address:
            take(address, given.folder, given.width)


def take(address: str, folder: Path, width: int) -> None:
    """Walk through the pages as every role."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def person(name: str) -> Any:
            page = browser.new_context(
                viewport={"width": width, "height": 900}, base_url=address, java_script_enabled=False, locale="en-GB"
            ).new_page()
            page.set_default_timeout(120_000)
            if name:
                sign_in(page, name)
            return page

        nobody, sue, dan, ana, aud, admin = (person(name) for name in ("", "sue", "dan", "ana", "aud", "admin"))
        _walk(nobody, folder, {"sign-in": "/sign-in"})
        ana.goto("/queue?band=very_high&band=high")
        _save(ana, folder / "queue.png")
        press(ana.get_by_role("button", name="Give me the next case"))
        number = ana.url.split("?")[0].split("/")[-1]
        ana.goto(f"/cases/{number}")
        _save(ana, folder / "case.png")
        _walk(ana, folder, {"texts": f"/cases/{number}/texts", "outcomes": "/outcomes", "break": "/break",
                            "print": f"/cases/{number}/print", "account": "/account", "missing": "/cases/C-NOTHERE",
                            "mine": "/mine", "group": f"/cases/{number}/group",
                            "childrens-services": f"/cases/{number}/childrens-services"})  # fmt: skip
        ana.locator("#search").fill("sample")
        press(ana.get_by_role("button", name="Search"))
        _save(ana, folder / "search.png")
        _walk(sue, folder, {"supervision": "/supervision", "dashboard": "/dashboard", "report": "/dashboard/stage_times",
                            "runs": "/runs", "partners": "/dashboard/partners", "wellbeing": "/supervision/wellbeing",
                            "quarantine": "/quarantine"})  # fmt: skip
        sue.goto("/runs")
        _walk(sue, folder, {"run": sue.locator("main table a").first.get_attribute("href")})
        dan.goto("/matches")
        _save(dan, folder / "matches.png")
        near = dan.goto("/matches?kind=near&format=json").json()["matches"]
        chosen = near[0] if near else dan.goto("/matches?format=json").json()["matches"][0]
        _walk(dan, folder, {"match": f"/matches/{chosen['match_id']}"})
        dan.goto("/look-up")
        dan.get_by_label("Hashes, one per line").fill(
            f"{chosen['algorithm']}:{chosen['known_hash']}\n{'0' * 32}\nnot a hash\n"
        )
        dan.get_by_label("Why you ask").fill("synthetic request 12")
        press(dan.get_by_role("button", name="Look up"))
        _save(dan, folder / "look-up.png")
        _walk(dan, folder, {"known": f"/known/{chosen['media_key']}", "graded": f"/cases/{number}/graded"})
        dan.goto("/sql")
        dan.locator("#sql").fill("@open_cases")
        press(dan.get_by_role("button", name="Run", exact=True))
        _save(dan, folder / "sql.png")
        aud.goto("/audit")
        press(aud.get_by_role("button", name="Verify the log"))
        _save(aud, folder / "audit.png")
        _walk(admin, folder, {"accounts": "/accounts", "account-of-one": "/accounts/ana"})
        browser.close()


def _walk(page: Any, folder: Path, paths: dict[str, str]) -> None:
    for name, path in paths.items():
        page.goto(path)
        _save(page, folder / f"{name}.png")


def _save(page: Any, path: Path) -> None:
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        cut = picture.convert("RGB").crop((0, 0, picture.width, min(picture.height, LONGEST)))
    cut.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    click.echo(f"{path.name} {cut.width} x {cut.height}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
