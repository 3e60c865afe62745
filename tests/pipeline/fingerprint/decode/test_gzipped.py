"""A gzip stream read from any place gives what the standard library gives, and is unpacked little more than once."""

from __future__ import annotations

import gzip
import io
import random
import zlib

import pytest

from pipeline.fingerprint.decode import gzipped
from pipeline.fingerprint.decode.gzipped import SeekableGzip


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size // 4) * 4


@pytest.fixture(autouse=True)
def close_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzipped, "SPACING", 4096)
    monkeypatch.setattr(gzipped, "MOST", 8)


def test_every_place_gives_what_the_standard_library_gives() -> None:
    data = content(300_000)
    parts = [gzip.compress(data[:100_000]), gzip.compress(data[100_000:]) + bytes(700), gzip.compress(b""), bytes(3)]
    stream = SeekableGzip(io.BytesIO(b"".join(parts)), lambda _: None)
    rng = random.Random(2)
    for _ in range(300):
        at, length = rng.randrange(310_000), rng.randrange(1, 9_000)
        stream.seek(at)
        reader = io.BufferedReader(stream, 512)
        found = reader.read(length)
        reader.detach()
        assert found == data[at : at + length], f"{length} bytes at {at}"


def test_new_ground_is_told_once_and_what_is_told_can_stop_it() -> None:
    told: list[int] = []
    stream = SeekableGzip(io.BytesIO(gzip.compress(content(100_000))), told.append)
    assert len(stream.readall() or b"") == 100_000
    stream.seek(50_000)
    stream.read(10_000)
    assert told == sorted(set(told))
    assert told[-1] == 100_000

    def stopping(size: int) -> None:
        if size > 20_000:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        SeekableGzip(io.BytesIO(gzip.compress(bytes(1 << 20))), stopping).seek(1 << 19)


@pytest.mark.parametrize(("cut", "error"), [(slice(0, 900), EOFError), (slice(20, None), zlib.error)])
def test_a_damaged_stream_is_an_error(cut: slice, error: type[Exception]) -> None:
    with pytest.raises(error):
        SeekableGzip(io.BytesIO(gzip.compress(content(100_000))[cut]), lambda _: None).readall()


def test_going_back_begins_at_the_state_kept_before() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counted(gzip.compress(random.Random(3).randbytes(4 << 20)))
    stream = SeekableGzip(file, lambda _: None)
    stream.readall()
    before = file.taken
    for at in range(4_000_000, 0, -100_000):
        stream.seek(at)
        stream.read(100)
    assert file.taken - before < 10 * before, "from the first byte each time it would be twenty times the file"
