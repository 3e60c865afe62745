"""Settings with tight limits, and files to read, for the tests of the media worker."""

from __future__ import annotations

import copy
import hashlib
import io
import socket
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from pipeline import policy as policies
from pipeline.fingerprint.decode.sniff import HEAD, media_type
from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.outcome import Digests, Fingerprint, Item
from pipeline.locator import Locator
from pipeline.settings import ROOT, Settings

FAULTY = "tests.pipeline.fingerprint.sandbox.faulty:decode"


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


def decoded_here(data: bytes, *, content: Any = None, **sections: dict[str, Any]) -> Fingerprint:
    """What the decoder says of our own harmless content, in this process, with sections of the policy changed.

    `content` stands for an open file that did not fit in the worker's buffer. Raises Refusal.
    """
    from pipeline.fingerprint.decode import media

    rules = copy.deepcopy(policies.load(Settings(), "fingerprint").data)
    for name, change in sections.items():
        rules[name].update(change)
    digests = Digests(hashlib.sha256(data).digest(), bytes(16), bytes(20), len(data))
    ours, theirs = socket.socketpair()
    before = Image.MAX_IMAGE_PIXELS
    with ours, theirs:
        task = Task(
            content or io.BytesIO(data), digests, media_type(data[:HEAD]), rules, False, [], content is None, theirs
        )
        try:
            found = media.decode(task)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    if not isinstance(found, Fingerprint):
        raise TypeError(found)
    return found


def rules() -> dict[str, Any]:
    """The fingerprint policy as shipped."""
    return policies.load(Settings(), "fingerprint").data


def items(locators: list[Locator], *, variants: bool = False) -> list[Item]:
    return [Item(locator, variants=variants) for locator in locators]


def digests_of(data: bytes) -> Digests:
    """Digests of a content, as they were made when it was taken in."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return Digests(hashlib.sha256(data).digest(), md5, hashlib.sha1(data, usedforsecurity=False).digest(), len(data))


def held_items(settings: Settings, files: dict[str, bytes]) -> list[Item]:
    """Items whose digests are known, as in a night; the files are written."""
    locators = write(settings, files)
    return [Item(loc, digests_of(data), variants=False) for loc, data in zip(locators, files.values(), strict=True)]
