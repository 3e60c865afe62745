"""Real broken, lying and bombing files, mixed with photographs: each ends in one counted state, the photographs unharmed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipeline.fingerprint.outcome import Failure, Fingerprint, Item, Reason, State
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import Locator
from pipeline.settings import ROOT, Settings
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import items, write

Outcomes = dict[Locator, Fingerprint | Failure]
DECIDED = {
    Reason.MALFORMED,
    Reason.TOO_MANY_PIXELS,
    Reason.TOO_MANY_SCANS,
    Reason.MEMORY,
    Reason.CPU_TIME,
    Reason.WALL_TIME,
    Reason.CRASHED,
    Reason.EMPTY,
    Reason.NO_FRAMES,
}
"""Reasons for which hostile content may be rejected; anything else would be a defect of ours."""


@pytest.fixture(scope="module")
def mixed(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Item], Outcomes, Pool]]:
    """Every hostile file with a photograph after each fourth, through two workers."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), landing=corpora, policy=ROOT / "policy", threads=2)
    hostile = sorted(p for p in (corpora / "hostile").rglob("*") if p.is_file())
    photos = _photographs(corpora)
    order: list[Path] = []
    for number, path in enumerate(hostile):
        order.append(path)
        if number % 4 == 0 and photos:
            order.append(photos.pop())
    wanted = items([Locator(str(path.relative_to(corpora))) for path in [*order, *photos]])
    with Pool(settings) as pool:
        outcomes = {item.locator: outcome for item, outcome in pool.fingerprints(wanted)}
    yield wanted, outcomes, pool


def _photographs(corpora: Path) -> list[Path]:
    return sorted(p for p in (corpora / "photos" / "cid22").rglob("*") if p.suffix.lower() in (".jpg", ".png"))


@pytest.mark.slow
def test_every_file_ends_in_one_state(mixed: tuple[list[Item], Outcomes, Pool], corpora: Path) -> None:
    wanted, outcomes, _ = mixed
    hostile = [item.locator for item in wanted if item.locator.container.startswith("hostile/")]
    assert len(hostile) >= 1150
    assert list(outcomes) == [item.locator for item in wanted]
    for locator in hostile:
        one = outcomes[locator]
        size = (corpora / locator.container).stat().st_size
        assert one.digests is not None and one.digests.size == size, locator
        if isinstance(one, Failure):
            assert one.reason in DECIDED, (locator, one)
        elif one.state is State.DIGESTS_ONLY:
            assert one.reason in (Reason.NOT_MEDIA, Reason.FORMAT_OFF, Reason.UNSEEN_CONTENT)
        else:
            assert one.hashes is not None
            assert (one.state is State.HASHED) == (one.reason is Reason.NONE)
    states = Counter("rejected" if isinstance(o, Failure) else o.state.value for o in map(outcomes.get, hostile) if o)
    assert min(states["hashed"], states["partial"], states["rejected"]) > 50


@pytest.mark.slow
def test_bombs(mixed: tuple[list[Item], Outcomes, Pool]) -> None:
    """What was made to eat pixels, scans and frames is refused for that reason, or survives it."""
    _, outcomes, pool = mixed
    made = {loc.container.split("/")[-1]: one.reason for loc, one in outcomes.items() if "/made/" in loc.container}
    for name in ("bomb_1bit_50000x50000.png", "gif_65535x65535.gif", "dim_2147483647x1.png"):
        assert made[name] in (Reason.TOO_MANY_PIXELS, Reason.MALFORMED)
    assert made["progressive_300scans_4000x4000.jpg"] is Reason.TOO_MANY_SCANS
    assert made["progressive_3000scans_4000x4000.jpg"] is Reason.TOO_MANY_SCANS
    assert made["gif_5000_frames_64.gif"] is Reason.NONE
    assert made["tiff_20000_ifds.tif"] in (Reason.NONE, Reason.MALFORMED, Reason.UNSEEN_CONTENT)
    assert pool.report.resident_kib <= 1 << 20, "no worker was ever larger than 1 GiB"
    assert pool.report.stderr_bytes > 0, "libtiff talks"


@pytest.mark.slow
def test_photographs_are_unharmed(mixed: tuple[list[Item], Outcomes, Pool], corpora: Path) -> None:
    """Good files have, among hostile ones, exactly what they have alone and with one worker."""
    _, outcomes, pool = mixed
    good = [Item(loc, variants=False) for loc in outcomes if loc.container.startswith("photos/")]
    assert len(good) > 40
    with Pool(pool.settings, workers=1) as alone:
        for item, outcome in alone.fingerprints(good):
            assert isinstance(outcome, Fingerprint)
            assert outcome == outcomes[item.locator]


def test_what_is_made_here(real_pool: Pool) -> None:
    """The same kinds of file without the corpora: bombs and liars among good ones."""
    bombs = {
        "zeros.png": samples.encoded(Image.new("1", (30_000, 30_000)), "PNG"),
        "frames.gif": _frames(3000),
        "endless.tif": _pages(5000),
        "loop.tif": _pages(3, loop=True),
    }
    good = samples.stills()
    names = [*good, *bombs]
    locators = write(real_pool.settings, {**good, **bombs})
    found = dict(zip(names, (o for _, o in real_pool.fingerprints(items(locators))), strict=True))
    assert found["zeros.png"].reason is Reason.TOO_MANY_PIXELS
    gif, pages, loop = found["frames.gif"], found["endless.tif"], found["loop.tif"]
    assert isinstance(gif, Fingerprint) and gif.frames == 2000, "counting stops at the limit"
    assert isinstance(pages, Fingerprint) and pages.frames == 2000
    assert isinstance(loop, Fingerprint) and loop.frames == 3
    assert all(isinstance(found[name], Fingerprint) for name in good)


def _frames(number: int) -> bytes:
    """An animated GIF with that many tiny frames."""
    one = samples.encoded(Image.fromarray(samples.scene(16, 16)), "GIF")
    start = one.index(b",")
    return one[:start] + one[start:-1] * number + one[-1:]


def _pages(number: int, *, loop: bool = False) -> bytes:
    """A TIFF whose page directory is repeated, one after the other."""
    one = samples.encoded(Image.fromarray(samples.scene(16, 16)), "TIFF")
    at = int.from_bytes(one[4:8], "little")
    entries = int.from_bytes(one[at : at + 2], "little")
    directory = one[at : at + 2 + 12 * entries]
    sink = io.BytesIO()
    sink.write(one[:4] + len(one).to_bytes(4, "little") + one[8:])
    for page in range(number):
        following = sink.tell() + len(directory) + 4 if page + 1 < number else len(one) * loop
        sink.write(directory + following.to_bytes(4, "little"))
    return sink.getvalue()
