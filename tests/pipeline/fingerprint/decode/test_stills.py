"""What becomes of each kind of picture in the worker: hashes, frames, partial files, refusals, switched-off formats."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import policy
from pipeline.errors import DependencyError
from pipeline.fingerprint.decode import stills
from pipeline.fingerprint.hashes import picture
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Reason, Refusal, State
from pipeline.fingerprint.sandbox import spawner
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import ROOT, Settings
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import decoded_here, items, settings_with, write

KINDS = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".webp": "image/webp",
    ".heic": "image/heif",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
}


def outcomes(pool: Pool, files: dict[str, bytes], *, variants: bool = False) -> dict[str, Fingerprint | Failure]:
    locators = write(pool.settings, files)
    return {i.locator.container: outcome for i, outcome in pool.fingerprints(items(locators, variants=variants))}


@pytest.fixture(scope="module")
def found(real_pool: Pool) -> dict[str, Fingerprint | Failure]:
    return outcomes(real_pool, samples.stills())


@pytest.mark.parametrize("name", list(samples.stills()))
def test_every_format_is_hashed(found: dict[str, Fingerprint | Failure], name: str) -> None:
    one = found[name]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.reason) == (State.HASHED, Reason.NONE)
    assert one.media_type == KINDS[Path(name).suffix]
    assert one.hashes is not None
    assert (one.width, one.height) == ((32, 24) if name == "icon.ico" else (64, 48))
    assert one.digests.size == len(samples.stills()[name])


@pytest.mark.parametrize("name", [n for n in samples.stills() if n not in ("icon.ico", "photo.heic")])
def test_the_worker_says_what_hashing_here_says(
    found: dict[str, Fingerprint | Failure], real_settings: Settings, name: str
) -> None:
    """Nothing on the way (isolation, wire, another process) changes a hash."""
    rules = policy.load(real_settings, "fingerprint").data
    expected = picture.hash_picture(Image.open(io.BytesIO(samples.stills()[name])), rules, variants=False)
    one = found[name]
    assert isinstance(one, Fingerprint) and one.hashes is not None
    assert one.hashes.pdq == expected.pdq
    assert one.hashes.phash256 == expected.phash256
    assert one.hashes.phash64 == expected.phash64
    assert one.hashes.dhash64 == expected.dhash64
    assert one.hashes.pdq_quality == expected.pdq_quality


@pytest.mark.parametrize(
    ("name", "frames", "times"),
    [
        ("animated.png", 4, [0.0, 0.5, 1.0, 1.5]),
        ("animated.gif", 4, [0.0, 0.5, 1.0, 1.5]),
        ("animated.webp", 4, [0.0, 0.5, 1.0, 1.5]),
        ("pages.tif", 4, [0.0, 0.0, 0.0, 0.0]),
        ("big.tif", 2, [0.0, 0.0]),
        ("rgb.png", 1, []),
        ("still.gif", 1, []),
    ],
)
def test_frames_of_animations_and_pages(
    found: dict[str, Fingerprint | Failure], name: str, frames: int, times: list[float]
) -> None:
    one = found[name]
    assert isinstance(one, Fingerprint) and one.hashes is not None
    assert one.frames == frames
    assert [f.seconds for f in one.video_frames] == times
    assert len({f.pdq for f in one.video_frames}) == len(times), "the frames are different pictures"
    if times:
        assert one.video_frames[0].pdq == one.hashes.pdq, "the first frame is the picture"


def test_variants_on_request(real_pool: Pool) -> None:
    one = outcomes(real_pool, {"v.png": samples.stills()["rgb.png"]}, variants=True)["v.png"]
    assert isinstance(one, Fingerprint)
    assert len(one.variants) > 30
    assert len({v.name for v in one.variants}) == len(one.variants)


@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg", "rgb.png", "rgb.bmp", "still.gif", "plain.tif"])
def test_truncated_is_partial(real_pool: Pool, name: str) -> None:
    """Half a file is hashed with what is there and marked; a stub without pixels is refused."""
    whole = samples.stills(320, 240)[name]
    one = outcomes(real_pool, {name: whole[: int(len(whole) * 0.8)]})[name]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.reason) == (State.PARTIAL, Reason.TRUNCATED)
    assert one.hashes is not None
    stub = outcomes(real_pool, {name: whole[:40]})[name]
    assert isinstance(stub, Failure)
    assert stub.reason is Reason.MALFORMED


def _png(width: int, height: int) -> bytes:
    """An RGB PNG that claims this size and holds no pixels."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunk = lambda kind, data: (  # noqa: E731
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    )
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_pixel_limit(real_pool: Pool) -> None:
    """A header that claims too much is refused before anything is decoded."""
    found = outcomes(
        real_pool, {"area.png": _png(20_000, 20_000), "side.png": _png(70_000, 1), "huge.png": _png(60_000, 60_000)}
    )
    assert {o.reason for o in found.values()} == {Reason.TOO_MANY_PIXELS}


def scans(number: int, *, embedded: int = 0) -> bytes:
    """A progressive JPEG whose last scan is repeated; `embedded` look-alikes of the marker in an application segment."""
    data = samples.stills()["progressive.jpg"]
    last = data.rindex(b"\xff\xda")
    segment = b"\xff\xeb" + struct.pack(">H", 2 + 2 * embedded) + b"\xff\xda" * embedded if embedded else b""
    before = data.count(b"\xff\xda")
    return data[:2] + segment + data[2:last] + data[last:-2] * (number - before + 1) + data[-2:]


def test_scans_are_counted() -> None:
    assert stills.count_scans(samples.stills()["baseline.jpg"]) == 1
    for number in (10, 256, 257, 1000):
        assert stills.count_scans(scans(number)) == number
        assert stills.count_scans(scans(number, embedded=600)) == number
        assert stills.count_scans(scans(number) + b"\xff\xda" * 500) == number, "what follows the end is not counted"


def test_scan_limit(real_pool: Pool) -> None:
    found = outcomes(
        real_pool, {"many.jpg": scans(300), "some.jpg": scans(200), "tail.jpg": scans(20) + b"\xff\xda" * 400}
    )
    assert {name: o.reason for name, o in found.items()} == {
        "many.jpg": Reason.TOO_MANY_SCANS,
        "some.jpg": Reason.NONE,
        "tail.jpg": Reason.NONE,
    }


@pytest.mark.parametrize(
    ("data", "change", "state", "reason"),
    [
        (samples.stills()["rgb.png"], {"png": False}, State.DIGESTS_ONLY, Reason.FORMAT_OFF),
        (samples.stills()["still.gif"], {"png": False}, State.HASHED, Reason.NONE),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), {}, State.DIGESTS_ONLY, Reason.FORMAT_OFF),
        (b"8BPS\0\1" + bytes(40), {}, State.DIGESTS_ONLY, Reason.FORMAT_OFF),
        (b"\xff\x0a" + bytes(40), {}, State.DIGESTS_ONLY, Reason.FORMAT_OFF),
        (b"[synthetic message 1]", {}, State.DIGESTS_ONLY, Reason.NOT_MEDIA),
        (bytes(range(200, 256)), {}, State.DIGESTS_ONLY, Reason.NOT_MEDIA),
    ],
)
def test_formats_that_are_off(data: bytes, change: dict[str, bool], state: State, reason: Reason) -> None:
    """Digests only, counted as such; never an attempt to decode."""
    one = decoded_here(data, formats=change)
    assert (one.state, one.reason) == (state, reason)


def test_formats_switched_on(tmp_path: Path) -> None:
    """What is off as delivered is decoded in the isolated worker where the policy says so, and nothing else changes."""
    risky = samples.risky_stills()
    with Pool(settings_with(tmp_path, formats={"jpeg2000": True, "psd": True, "jpegxl": True})) as pool:
        found = outcomes(pool, {**risky, "rgb.png": samples.stills()["rgb.png"]})
        assert "pillow-jxl-plugin" in pool.report.versions
    same = found["rgb.png"]
    assert isinstance(same, Fingerprint)
    kinds = {".jp2": "image/jp2", ".j2k": "image/jp2", ".psd": "image/vnd.adobe.photoshop", ".jxl": "image/jxl"}
    for name in risky:
        one = found[name]
        assert isinstance(one, Fingerprint), (name, one)
        assert (one.state, one.media_type) == (State.HASHED, kinds[Path(name).suffix])
        assert (one.hashes, one.width, one.height) == (same.hashes, 64, 48), name


def test_risky_formats_are_off_as_delivered(real_pool: Pool) -> None:
    found = outcomes(real_pool, samples.risky_stills())
    assert {(o.reason, isinstance(o, Fingerprint) and o.state) for o in found.values()} == {
        (Reason.FORMAT_OFF, State.DIGESTS_ONLY)
    }
    assert "pillow-jxl-plugin" not in real_pool.report.versions, "its parser is not even loaded"


def test_format_without_a_decoder_is_not_switched_on_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with a reason before it begins; files of the format are not passed over as `format off`."""
    monkeypatch.delitem(Image.OPEN, "PSD")
    rules = policy.load(Settings(), "fingerprint").data["formats"]
    with pytest.raises(DependencyError, match="switches on psd, for which no decoder"):
        stills.set_up({**rules, "psd": True})
    monkeypatch.setattr(spawner, "ROOT", tmp_path)
    (tmp_path / "pipeline").symlink_to(ROOT / "pipeline")
    (tmp_path / "pillow_jxl.py").write_text("raise ModuleNotFoundError('not installed here')")
    with (
        Pool(settings_with(tmp_path, formats={"jpegxl": True})) as pool,
        pytest.raises(DependencyError, match="switches on jpegxl"),
    ):
        pool.start()


def test_large_damaged_picture_has_room_for_the_second_attempt(real_pool: Pool) -> None:
    """The pixels of the strict attempt are given back before the tolerant one, or 81 MP would take twice 324 MB."""
    one = outcomes(real_pool, {"liar.png": _png(9000, 9000)})["liar.png"]
    assert isinstance(one, Fingerprint), one
    assert (one.state, one.reason) == (State.PARTIAL, Reason.TRUNCATED)
    assert one.hashes is not None and one.hashes.low_information
    assert real_pool.report.resident_kib < 1 << 20


def test_name_does_not_decide(real_pool: Pool) -> None:
    found = outcomes(real_pool, {"picture.txt": samples.stills()["rgb.png"], "text.jpg": b"[synthetic message 2]"})
    assert found["picture.txt"].media_type == "image/png"
    assert found["text.jpg"].reason is Reason.NOT_MEDIA


def test_empty_and_changed(real_pool: Pool) -> None:
    from pipeline.fingerprint.outcome import Item

    assert outcomes(real_pool, {"empty.jpg": b""})["empty.jpg"].reason is Reason.EMPTY
    (locator,) = write(real_pool.settings, {"other.png": samples.stills()["rgb.png"]})
    taken_in = Digests(bytes(32), bytes(16), bytes(20), len(samples.stills()["rgb.png"]))
    ((_, one),) = real_pool.fingerprints([Item(locator, taken_in)])
    assert one.reason is Reason.CHANGED


def test_low_information_is_kept_and_flagged(real_pool: Pool) -> None:
    flat = samples.encoded(Image.fromarray(np.full((80, 100, 3), 90, np.uint8)), "PNG")
    one = outcomes(real_pool, {"flat.png": flat})["flat.png"]
    assert isinstance(one, Fingerprint) and one.hashes is not None
    assert one.hashes.low_information
    assert one.hashes.pdq_quality == 0


def test_too_large_for_memory() -> None:
    """A still beyond the buffer is not decoded."""
    data = samples.stills()["rgb.bmp"]
    with tempfile.TemporaryFile() as file, pytest.raises(Refusal) as refused:
        decoded_here(data, content=file)
    assert refused.value.reason is Reason.TOO_LARGE


def test_exif_facts(real_pool: Pool) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Maker\x07 ", "Model 1", "Editor " + "x" * 200
    exif.get_ifd(0x8769)[0x9003] = "2026:05:04 03:02:01"
    exif.get_ifd(0x8769)[0x9011] = "+01:00"
    exif.get_ifd(0x8825)[2] = (51.0, 0.0, 0.0)
    image = Image.fromarray(samples.scene())
    kinds = {"e.jpg": "JPEG", "e.png": "PNG", "e.webp": "WEBP", "e.heic": "HEIF", "e.avif": "AVIF"}
    found = outcomes(real_pool, {name: samples.encoded(image, kind, exif=exif) for name, kind in kinds.items()})
    for one in found.values():
        assert isinstance(one, Fingerprint) and one.exif is not None
        assert one.exif.as_dict() == {
            "captured": "2026-05-04T03:02:01+01:00",
            "make": "Maker",
            "model": "Model 1",
            "software": "Editor " + "x" * 33,
            "gps": True,
        }
