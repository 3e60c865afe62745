"""Setting up compiles every kernel that a night needs, so that the first night begins with them ready."""

from __future__ import annotations

from typing import Any

import pytest

from deploy import init, kernels
from pipeline.settings import Settings


def test_kernels_of_matching_and_of_fingerprints_are_made_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Any] = []

    def warm(chunks: int) -> float:
        made.append(chunks)
        return 4.0

    monkeypatch.setattr(kernels, "warm", warm)
    monkeypatch.setattr(kernels.media, "warm", lambda policy: made.append(sorted(policy["limits"])[0]))
    init.compile_kernels(settings)
    assert made[:2] == [16, 4] and isinstance(made[2], str)
    said = capsys.readouterr().out
    assert "compiling, once" in said and "8 s for matching" in said


DIGEST = "sha256:" + "0" * 64


def test_an_image_named_by_a_tag_is_refused_unless_it_is_a_trial() -> None:
    init.check_pinned({"OTHER": "postgres:17"})
    init.check_pinned({"DEPLOYED_POSTGRES": f"postgres@{DIGEST}", "DEPLOYED_UNPINNED": "no"})
    tags = {
        "DEPLOYED_POSTGRES": f"postgres@{DIGEST}",
        "DEPLOYED_REDIS": "redis:7.2",
        "DEPLOYED_PROXY": f"nginx@{DIGEST[:-1]}",
    }
    with pytest.raises(SystemExit, match=r"nginx@sha256:0+, redis:7\.2\. Run `sh deploy/pin\.sh`"):
        init.check_pinned(tags)
    init.check_pinned({**tags, "DEPLOYED_UNPINNED": "yes"})
