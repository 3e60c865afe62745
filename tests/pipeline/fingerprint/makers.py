"""Settings with tight limits, and files to read, for the tests of the media worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.fingerprint.outcome import Item
from pipeline.locator import Locator
from pipeline.settings import ROOT, Settings

FAULTY = "tests.pipeline.fingerprint.faulty:decode"


def settings_with(folder: Path, **limits: Any) -> Settings:
    """Settings whose landing folder is folder/landing, with some limits of the fingerprint policy changed.

    A value that is a dict changes a whole section: video={"cpu_seconds": 1}.
    """
    policy = folder / "policy"
    policy.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "policy").iterdir():
        if path.is_file():
            (policy / path.name).write_bytes(path.read_bytes())
    rules = yaml.safe_load((ROOT / "policy" / "fingerprint.yaml").read_text())
    for name, value in limits.items():
        rules[name].update(value) if isinstance(value, dict) else rules["limits"].update({name: value})
    (policy / "fingerprint.yaml").write_text(yaml.safe_dump(rules))
    landing = folder / "landing"
    landing.mkdir(exist_ok=True)
    return Settings(home=folder / "home", landing=landing, policy=policy, threads=2)


def write(settings: Settings, files: dict[str, bytes]) -> list[Locator]:
    """Put files into the landing folder; their locators in the order given."""
    for name, content in files.items():
        path = settings.landing_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [Locator(name) for name in files]


def items(locators: list[Locator], *, variants: bool = False) -> list[Item]:
    return [Item(locator, variants=variants) for locator in locators]
