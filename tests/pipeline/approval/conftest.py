"""A store with one published release, six referrals whose contents were matched and assessed, and a strict policy."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hashsets.importing import landing
from pipeline.assess import stage as assessing
from pipeline.matching import stage as matching
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store, open_store
from tests.pipeline.assess.builders import commit, media, referral
from tests.pipeline.matching import synthetic_night as nights
from tests.pipeline.matching.synthetic_night import fingerprint, fingerprinted, known, start

STRICT = {
    "withdrawn: {above: 100, share: 0.01}": "withdrawn: {above: 0, share: 0}",
    "new: {above: 1000, share: 0.5}": "new: {above: 5, share: 0.1}",
    "recategorised: {above: 100, share: 0.01}": "recategorised: {above: 2, share: 0}",
    "cases_moved: {above: 25}": "cases_moved: {above: 1}",
}
OWN = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def strict(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with low limits, and release 1 published: known pictures 0 to 19."""
    shutil.copytree(settings.policy, tmp_path / "policy")
    path = tmp_path / "policy" / "hashsets.yaml"
    text = path.read_text()
    for before, after in STRICT.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    made = replace(settings, policy=tmp_path / "policy")
    nights.publish(made, "first", [known(i) for i in range(20)])
    return made


@pytest.fixture
def assessed(strict: Settings) -> Settings:
    """Contents 0 to 5 of six referrals: 0, 1 and 2 are known, the others hold the digests of pictures that are not yet. New
    material alone leaves a case just below a band's edge, which a match takes it over."""
    commit(
        strict,
        "in",
        referrals=[referral(f"R-{i}") for i in range(6)],
        media_files=[media(f"R-{i}", f"content {i}") for i in range(6)],
    )
    held = [known(i if i < 3 else 100 + i) for i in range(6)]
    unit = fingerprinted(strict, "a", [fingerprint(i, md5=item.md5) for i, item in enumerate(held)])
    matching.run(strict, start(strict), unit)
    assessing.run(strict, start(strict))
    return strict


@pytest.fixture
def store(strict: Settings) -> Iterator[Store]:
    """The case store, in which the machine account is a DMI."""
    opened = open_store(strict)
    with opened.session() as session:
        users._add(session, SYSTEM, OWN, "Test Person", roles=["dmi"], password=None)
    yield opened
    opened.close()


def deliver(settings: Settings, name: str, items: list[nights.Known], run: str) -> None:
    """A file of known pictures in the landing folder, imported and not built."""
    nights.write_set(settings, name, items)
    landing.run(settings, start(settings, run))
