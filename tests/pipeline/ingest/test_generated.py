"""Twenty thousand generated packages: every one is read or refused with a reason, none raises anything else.

A package is a report of one of the formats in which values, keys, types and bytes were changed at random, with members
of any name. Generation and reading happen at the level of the report, so that all of them fit into the suite.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import records
from pipeline.ingest import rules, sources
from pipeline.ingest.landing.package import Member, Package, name_faults
from pipeline.ingest.reports import report
from pipeline.ingest.writing import rows
from pipeline.ingest.writing.context import Answers, Context
from pipeline.locator import Locator
from pipeline.sample.forms import FORMS
from pipeline.settings import Settings
from tests import factory
from tests.pipeline.ingest.sources.contract import cases

RULES = rules.load(Settings())
CASES = cases(11, 8)
PACKAGES = 20_000
EACH = 50

TEXTS = (
    "", " ", "\0", "a" * 5000, "=1+1", "../../x", "2026-13-45T99:99:99Z", "2026-03-01T10:00:00", "/Date(1)/",
    "999.999.999.999", "::ffff:1.2.3.4", "+44", "0", "-1", "1e9", "true", "null", "\u202e", "\U0001f600", "é" * 300,
    "01/02/2026 10:00", "{}", "<a/>", "Europe/London", "d41d8cd98f00b204e9800998ecf8427e", "0" * 64, "None",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**30, 1.5, -0.0, 1e308, [], {}, [[]], [None], [{}], {"": ""}, {"value": {}},
    {"value": [1]}, [{"value": {"value": "x"}}], ["x", 1, None, {}], {"a": {"b": {"c": []}}},
)  # fmt: skip
KEYS = ("value", "form", "reportId", "files", "subjects", "", "\0", "a/b", "~", "uploadedFiles", "new key", "facts")


def mutate(rng: random.Random, tree: Any) -> None:
    """One change somewhere in the tree."""
    node = tree
    while True:
        if isinstance(node, dict) and node:
            key: Any = rng.choice(list(node))
        elif isinstance(node, list) and node:
            key = rng.randrange(len(node))
        else:
            return
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.75:
            node = node[key]
            continue
        break
    change = rng.randrange(6)
    if change == 0:
        node[key] = rng.choice(TEXTS)
    elif change == 1:
        node[key] = json.loads(json.dumps(rng.choice(VALUES)))
    elif change == 2:
        del node[key]
    elif change == 3 and isinstance(node, dict):
        node[rng.choice(KEYS)] = node.pop(key)
    elif change == 4:
        node[key] = [node[key]] * rng.randrange(1, 4)
    else:
        node[key] = {rng.choice(KEYS): node[key]}


def noise(rng: random.Random, content: bytes) -> bytes:
    """Change, cut or double bytes."""
    raw = bytearray(content)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(raw)) if raw else 0
        kind = rng.randrange(4)
        if kind == 0 and raw:
            raw[place] = rng.randrange(256)
        elif kind == 1:
            del raw[place : place + rng.randrange(1, 60)]
        elif kind == 2:
            raw[place:place] = raw[place : place + rng.randrange(1, 60)]
        else:
            raw[place:place] = rng.choice(TEXTS).encode()
    return bytes(raw)


def generated(rng: random.Random) -> Package:
    """A package with a changed report and members of odd names."""
    name = rng.choice(list(FORMS))
    folder, file, writer = FORMS[name]
    content = writer(rng, rng.choice(CASES))
    if file.endswith(".json") and rng.random() < 0.8:
        tree = json.loads(content.decode("utf-8-sig"))
        for _ in range(rng.randrange(1, 9)):
            mutate(rng, tree)
        content = json.dumps(tree).encode()
    if rng.random() < 0.3:
        content = noise(rng, content)
    package = Package(folder, f"{folder}/p", "folder")
    package.members.append(Member(file, len(content), Locator(f"{folder}/p/{file}"), content))
    for _ in range(rng.randrange(3)):
        other = rng.choice(("media/a.jpg", "a b.png", "x", "second.json", "n.xml", "ü.csv"))
        if not name_faults(other, RULES.data["caps"]) and other not in package.by_name:
            small = b"{}" if other.endswith((".json", ".xml", ".csv")) else None
            package.members.append(Member(other, 2, Locator(f"{folder}/p/{other}"), small))
            del package.__dict__["by_name"]
    return package


def outcome(package: Package) -> str:
    """Read the package to checked rows; `refused` needs at least one reason."""
    found, reasons = report.find(package, RULES.report)
    if found is None:
        assert reasons
        assert all(reasons)
        return "refused"
    digests = {m.key: factory.digests(m.name.encode()) for m in package.payload if m.content is None}
    Answers(digests, {}).give(package.payload)
    context = Context(package, "0" * 64, "r" * 32, None, RULES, "run", factory.AS_OF)
    made = rows.compose(found, context)
    for table, listed in made.items():
        records.build(table, listed)
    named = {f["name"] for f in made["facts"]}
    assert named <= RULES.report.facts
    return "defects" if made["defects"] else "accepted"


SEEN: Counter[str] = Counter()


@pytest.mark.slow
@hypothesis_settings(
    max_examples=PACKAGES // EACH,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(seed=st.integers(0, 2**64))
def test_generated_packages_raise_nothing(seed: int) -> None:
    rng = random.Random(seed)
    for number in range(EACH):
        package = generated(rng)
        try:
            SEEN[outcome(package)] += 1
        except Exception as error:
            raise AssertionError(f"package {number} of seed {seed} raised {error!r}") from error


@pytest.mark.slow
def test_twenty_thousand_were_generated_and_all_three_ends_occur() -> None:
    if not SEEN:
        pytest.skip("the generating test did not run in this process")
    assert sum(SEEN.values()) >= PACKAGES
    assert min(SEEN["accepted"], SEEN["defects"], SEEN["refused"]) > PACKAGES // 100


def test_every_reader_meets_generated_reports() -> None:
    rng = random.Random(1)
    met = Counter(
        found.reader.name for _ in range(400) if (found := report.find(generated(rng), RULES.report)[0]) is not None
    )
    assert set(met) == {reader.name for reader in sources.READERS}
