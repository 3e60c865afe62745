"""Sample packages: the same for the same seed, every format and mishap, harmless, and their truth is true."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pdqhash
import pytest
from PIL import Image

from pipeline.assess.links import lists
from pipeline.sample import cases as sample_cases
from pipeline.sample.cases import case, person
from pipeline.sample.folder import write
from pipeline.sample.forms import FORMS
from pipeline.sample.lists import write as write_lists
from pipeline.sample.media import EDITS, Gallery, generated, saved
from pipeline.sample.packages import WRAPPINGS
from pipeline.settings import Settings
from tests import factory


def bits(content: bytes) -> list[int]:
    with Image.open(io.BytesIO(content)) as image:
        import numpy as np

        return [int(b) for b in pdqhash.compute(np.asarray(image.convert("RGB")))[0]]


def distance(a: bytes, b: bytes) -> int:
    return sum(x != y for x, y in zip(bits(a), bits(b), strict=True))


def test_the_same_seed_gives_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIAGE_CORPORA", raising=False)
    listings = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = Settings(home=tmp_path / name)
        factory.sample_landing(settings, seed=seed, referrals=12)
        listings.append(
            {
                str(p.relative_to(settings.home)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in settings.home.rglob("*")
                if p.is_file()
            }
        )
    assert listings[0] == listings[1]
    assert listings[0] != listings[2]


def test_every_format_wrapping_and_state_occurs(settings: Settings) -> None:
    counts = factory.sample_landing(settings, seed=1, referrals=60)
    truth = json.loads((settings.home / "ground_truth.json").read_text())
    packages = truth["packages"]
    assert {p["format"] for p in packages if "format" in p} == set(FORMS)
    assert {p["wrapping"] for p in packages if "wrapping" in p} == set(WRAPPINGS)
    assert {p["state"] for p in packages} == {"accepted", "duplicate", "supplement", "quarantined", "waiting"}
    files = [f for p in packages for f in p["files"]]
    assert {f["truth"] for f in files} == {"exact", "near", "unknown"}
    assert {f["edit"] for f in files} == {*EDITS, None}
    assert any(not p["files"] for p in packages if p["state"] == "accepted")
    assert counts == truth["counts"]
    assert (settings.landing_dir / "hashsets" / "demo" / "demo.json").is_file()


def test_the_hash_set_knows_what_the_truth_says(settings: Settings) -> None:
    factory.sample_landing(settings, seed=2, referrals=15, known=8)
    hashset = json.loads((settings.landing_dir / "hashsets" / "demo" / "demo.json").read_text())
    assert hashset["@odata.context"].endswith("#Media")
    media = {m["MediaID"]: m for m in hashset["value"]}
    assert sorted(media) == list(range(1, 9))
    assert {h["HashName"] for m in media.values() for h in m["AlternativeHashes"]} == {"PDQ"}
    by_md5 = {m["MD5"].lower(): m["MediaID"] for m in media.values()}
    found: Counter[str] = Counter()
    contents = {hashlib.sha256(p.read_bytes()).hexdigest(): p.read_bytes() for p in settings.landing_dir.rglob("*.jpg")}
    truth = json.loads((settings.home / "ground_truth.json").read_text())
    for file in (f for p in truth["packages"] for f in p["files"] if f["sha256"] in contents):
        md5 = hashlib.md5(contents[file["sha256"]], usedforsecurity=False).hexdigest()
        known = by_md5.get(md5)
        assert (file["truth"] == "exact") == (known is not None)
        if known is not None:
            assert known == file["known"]
        found[file["truth"]] += 1
    assert min(found["exact"], found["near"], found["unknown"]) > 0


def test_generated_pictures_are_told_apart_and_edits_are_near() -> None:
    gallery = Gallery(1, 4)
    pictures = [saved(generated(n), 85) for n in range(6)]
    assert min(distance(a, b) for n, a in enumerate(pictures) for b in pictures[:n]) > 60
    for number in range(2):
        original = gallery.original(number)
        for name in ("resize", "recompress"):
            change, quality = EDITS[name]
            assert distance(original, saved(change(gallery.base(number)), quality)) <= 31, name


def test_photographs_are_used_where_there_are_any(corpora: Path) -> None:
    assert corpora.is_dir()
    first, second = Gallery(1, 4).original(0), Gallery(1, 4).original(0)
    assert first == second
    assert Gallery(1, 4)._photographs


def test_nobody_in_it_is_real() -> None:
    for number in (1, 999, 1000, 16_999, 123_456):
        someone = sample_cases.Person(number, "samplechat", "192.0.2.1", 1)
        assert someone.email.endswith("@example.org")
        assert someone.phone.removeprefix("+44 ").startswith(sample_cases.PHONES)
        assert "Sample" in someone.name


def test_defects_are_those_of_the_flawed_reports(settings: Settings) -> None:
    factory.sample_landing(settings, seed=11, referrals=40)
    factory.ingest(settings)
    truth = json.loads((settings.home / "ground_truth.json").read_text())["packages"]
    flawed = {p["container"] for p in truth if p.get("flawed") and p["state"] == "accepted"}
    defects = {row["package_id"] for row in factory.table(settings, "defects")}
    rows = factory.table(settings, "packages")
    assert flawed
    assert {r["container"] for r in rows if r["package_id"] in defects and r["state"] == "accepted"} == flawed


def test_two_samples_in_one_landing_folder_do_not_meet(settings: Settings) -> None:
    for seed in (1, 2):
        factory.sample_landing(settings, seed=seed, referrals=10)
    factory.ingest(settings)
    states = Counter(row["state"] for row in factory.table(settings, "packages"))
    assert states["accepted"] == 20


def test_texts_are_neutral_and_numbered(settings: Settings) -> None:
    factory.sample_landing(settings, seed=9, referrals=20)
    factory.ingest(settings)
    texts = {row["text"] for row in factory.table(settings, "narratives") if row["kind"] != "note"}
    assert texts
    assert all(text.startswith("[synthetic ") for text in texts)


def test_times_are_relative_to_the_day_and_make_a_believable_queue(tmp_path: Path) -> None:
    """Half of the cases came within the last day, a few are a backlog, and nothing lies in the future."""
    day = datetime(2026, 11, 28, tzinfo=UTC)
    rng = random.Random(3)
    made = [case(rng, Gallery(3, 4, True, 4), n, day, people=[], files=0) for n in range(300)]
    ages = [day - c.steps[-1] for c in made]
    assert all(timedelta(0) <= a < timedelta(days=46) for a in ages)
    assert 0.4 < sum(a < timedelta(days=1) for a in ages) / 300 < 0.6
    assert 0.02 < sum(a > timedelta(days=20) for a in ages) / 300 < 0.2
    assert all(a <= b for c in made for a, b in pairwise(c.steps))


def test_the_force_s_lists_name_some_suspects_and_are_usable(tmp_path: Path) -> None:
    day = datetime(2026, 11, 28, tzinfo=UTC)
    landing, truth = tmp_path / "landing", tmp_path / "ground_truth.json"
    write(landing, truth, seed=3, referrals=20, day=day, known=4, unknown=8, files=1)
    named = json.loads(truth.read_text())["lists"]
    settings = Settings(home=tmp_path, landing=landing)
    assert set(named) == set(lists.in_force(settings)) and len(named) == 4
    assert [f.problem for f in lists.files(settings)] == [""] * 4


def test_the_protection_address_is_one_that_a_referral_states(tmp_path: Path) -> None:
    rng, day = random.Random(1), datetime(2026, 11, 28, tzinfo=UTC)
    people = [person(rng, n) for n in range(1, 14)]
    homes: dict[int, str | None] = {p.number: "ZZ99 1AA" if p.number == 9 else None for p in people}
    assert write_lists(tmp_path, people, homes, day)["child_protection_addresses"] == 9
    [listed] = tmp_path.glob("child_protection_addresses-*.csv")
    assert "9 Sample Street, Sampletown, ZZ99 1AA" in listed.read_text()
    assert "child_protection_addresses" not in write_lists(tmp_path, people, dict.fromkeys(homes, None), day)
