"""Families of vector instructions: which one is compiled for, and that each gives the same pairs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from pipeline.matching.core.compiled import nibbles, processor
from pipeline.matching.core.compiled.jit import JIT
from pipeline.settings import ROOT

ROOM = "tests/pipeline/matching/core"
SAME_CASES = [
    f"{ROOM}/{name}.py"
    for name in ("test_oracle", "test_joining", "test_selection", "index/test_store", "groups/test_groups")
]


def run(family: str, *command: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "NUMBA_CPU"))}
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, **processor.environment(family)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def other() -> str:
    """The family that this process does not run: AVX2 where there is AVX-512, else the one without AVX."""
    return "avx2" if processor.family() == "avx512" else "plain"


def test_a_processor_is_told_by_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    for features, family in (
        ({"avx2", "avx512f", "avx512vpopcntdq"}, "avx512"),
        ({"avx2", "avx512f"}, "avx2"),
        ({"sse4.2"}, "plain"),
    ):
        monkeypatch.setattr(processor, "target", lambda found=frozenset(features): ("x", "y", found))
        assert processor.family.__wrapped__() == family


def test_a_family_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx2": True, "avx512vpopcntdq": False})
    with pytest.raises(ValueError, match="no avx512vpopcntdq"):
        processor.environment("avx512")
    assert processor.environment("avx2")["NUMBA_CPU_FEATURES"] == "+avx2,-avx512vpopcntdq"
    assert processor.environment("plain")["NUMBA_CPU_FEATURES"] == "-avx2,-avx512vpopcntdq"


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_features_can_be_switched_off() -> None:
    show = "from pipeline.matching.core.compiled import nibbles, processor; print(processor.family(), nibbles.USED)"
    wanted = other()
    assert run(wanted, "-c", show).stdout.split() == [wanted, str(wanted == "avx2")]
    assert (processor.family() == "avx2") == nibbles.USED


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_the_same_cases_hold_in_the_other_family() -> None:
    """Oracles, damage and canaries, once more, compiled for the other family."""
    done = run(other(), "-m", "pytest", "-q", *SAME_CASES)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 100
