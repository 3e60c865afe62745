"""Setting up compiles every kernel that a night needs, so that the first night begins with them ready."""

from __future__ import annotations

from typing import Any

import pytest

from deploy import init
from pipeline.settings import Settings


def test_kernels_of_matching_and_of_fingerprints_are_made_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Any] = []

    def warm(chunks: int) -> float:
        made.append(chunks)
        return 4.0

    monkeypatch.setattr(init, "warm", warm)
    monkeypatch.setattr(init.media, "warm", lambda policy: made.append(sorted(policy["limits"])[0]))
    init.compile_kernels(settings)
    assert made[:2] == [16, 4] and isinstance(made[2], str)
    said = capsys.readouterr().out
    assert "compiling, once" in said and "8 s for matching" in said
