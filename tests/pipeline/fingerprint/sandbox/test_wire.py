"""What a worker answers is believed only if every field of it is right."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint.decode.sniff import TYPES
from pipeline.fingerprint.facts import Exif
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Frame, Hashes, Reason, State, Variant
from pipeline.fingerprint.sandbox import wire

DIGESTS = Digests(bytes(range(32)), bytes(range(16)), bytes(range(20)), 1234)
HASHES = Hashes(bytes(32), 77, b"\1" * 32, b"\2" * 8, b"\3" * 8, True)
FULL = Fingerprint(
    wire._NO_DIGESTS,
    "",
    State.PARTIAL,
    Reason.TRUNCATED,
    "OSError",
    640,
    480,
    3,
    12.5,
    HASHES,
    Exif("2026-01-02T03:04:05", "Maker", "Model 3/4", "Soft (1.0)", True),
    (Variant("padded left 5 %", b"\4" * 32, 50), Variant("turned 3 degrees clockwise", b"\5" * 32, 60)),
    (Frame(0, 0.0, b"\6" * 32, 100), Frame(25, 1.0, b"\7" * 32, 0)),
)

hashes_ = st.builds(
    Hashes,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 100),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8),
    st.booleans(),
)


def test_round_trip() -> None:
    answer = wire.parse(wire.result(7, 99, FULL))
    assert (answer.kind, answer.job, answer.resident_kib) == (wire.Kind.RESULT, 7, 99)
    assert answer.body == FULL


@given(hashes_, st.sampled_from([State.HASHED, State.PARTIAL]), st.integers(1, 65000), st.integers(1, 65000))
def test_round_trip_of_any_picture(hashes: Hashes, state: State, width: int, height: int) -> None:
    one = Fingerprint(wire._NO_DIGESTS, "", state, width=width, height=height, hashes=hashes)
    assert wire.parse(wire.result(1, 1, one)).body == one


def test_other_records() -> None:
    assert wire.parse(wire.hello(31, 6)).body == (31, 6)
    assert wire.parse(wire.tick(3, 1 << 40)).body == 1 << 40
    assert wire.parse(wire.digests(3, 5, DIGESTS, "image/png")).body == (DIGESTS, "image/png")
    assert wire.parse(wire.failed(3, 5, Reason.MALFORMED, "OSError")).body == Failure(Reason.MALFORMED, "OSError")
    refined = [(12, "known picture, 5 % cut off", 256), (256, "known picture", 44)]
    assert wire.parse(wire.refined(3, 5, refined)).body == refined


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_code(reason: Reason) -> None:
    assert wire.parse(wire.failed(1, 1, reason, "")).body.reason is reason


@pytest.mark.parametrize("media", TYPES, ids=lambda m: m.name)
def test_every_media_type_has_its_code(media: object) -> None:
    name = media.name  # type: ignore[attr-defined]
    assert wire.parse(wire.digests(1, 1, DIGESTS, name)).body[1] == name


@given(st.binary(max_size=400))
def test_random_bytes_are_rubbish(data: bytes) -> None:
    with pytest.raises(wire.RubbishError):
        wire.parse(data)


@given(st.integers(0, len(wire.result(1, 1, FULL)) - 1))
def test_any_shorter_answer_is_rubbish(length: int) -> None:
    with pytest.raises(wire.RubbishError):
        wire.parse(wire.result(1, 1, FULL)[:length])


@given(st.data())
def test_changed_bytes_are_rubbish_or_valid(data: st.DataObject) -> None:
    """A lie may be well-formed; then every field of it is still within its bounds."""
    raw = bytearray(wire.result(1, 1, FULL))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(17, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = wire.parse(bytes(raw)).body
    except wire.RubbishError:
        return
    assert found.hashes is None or 0 <= found.hashes.pdq_quality <= 100
    assert all(0 <= v.quality <= 100 and v.name.isprintable() for v in found.variants)
    assert all(math.isfinite(f.seconds) and f.seconds >= 0 for f in found.video_frames)
    assert found.duration is None or math.isfinite(found.duration)


@pytest.mark.parametrize(
    "lie",
    [
        Fingerprint(DIGESTS, "", State.HASHED),  # hashed without a hash
        Fingerprint(DIGESTS, "", State.REJECTED, hashes=HASHES),
        Fingerprint(DIGESTS, "", State.DIGESTS_ONLY, Reason.FORMAT_OFF, hashes=HASHES),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=Hashes(bytes(32), 101, bytes(32), bytes(8), bytes(8), False)),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, width=-1),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, width=1 << 30),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, duration=math.nan),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, duration=math.inf),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, exif=Exif(make="a\x1b[31m")),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, variants=(Variant("<script>", bytes(32), 1),)),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, variants=(Variant("", bytes(32), 1),)),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, variants=(Variant("a", bytes(32), 101),)),
        Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, variants=(Variant("a", bytes(32), 1),) * 2),
        Fingerprint(DIGESTS, "", State.HASHED, video_frames=(Frame(0, math.nan, bytes(32), 1),)),
        Fingerprint(DIGESTS, "", State.HASHED, video_frames=(Frame(1, 0, bytes(32), 1), Frame(1, 1, bytes(32), 1))),
        Fingerprint(DIGESTS, "", State.HASHED, video_frames=(Frame(1, 2, bytes(32), 1), Frame(2, 1, bytes(32), 1))),
    ],
)
def test_lies_are_rubbish(lie: Fingerprint) -> None:
    with pytest.raises(wire.RubbishError):
        wire.parse(wire.result(1, 1, lie))


@pytest.mark.parametrize(("bits", "weighed"), [(257, 1), (-1, 1), (1, 257), (1, -1)])
def test_distance_beyond_its_range_is_rubbish(bits: int, weighed: int) -> None:
    with pytest.raises(wire.RubbishError):
        wire.parse(wire.refined(1, 1, [(bits, "known picture", weighed)]))


def test_detail_is_a_word() -> None:
    assert wire.parse(wire.failed(1, 1, Reason.INTERNAL, "Some Error: /home/x\n")).body.detail == "SomeErrorhomex"


def test_name_that_does_not_fit_is_our_defect() -> None:
    one = Fingerprint(DIGESTS, "", State.HASHED, hashes=HASHES, variants=(Variant("a" * 81, bytes(32), 1),))
    with pytest.raises(ValueError, match="longer than the 80 bytes"):
        wire.result(1, 1, one)


def test_request_carries_bytes_as_hex() -> None:
    assert json.loads(wire.request(job=1, sha256=b"\1\2", known_pdqs=[b"\3"])) == {
        "job": 1,
        "sha256": "0102",
        "known_pdqs": ["03"],
    }
