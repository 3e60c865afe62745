"""Kernels compiled in the image's build: for each family, used by every processor of it, without compiling, never written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import kernels
from pipeline import kernelfamilies
from pipeline.settings import PRIVATE, ROOT

MADE = """
import numpy as np
from pipeline.fingerprint.hashes import pdq
from pipeline.matching.core.compiled import reordering
pdq.pack(np.arange(256, dtype=np.float32))
reordering.reordered(np.arange(64, dtype=np.uint8).reshape(2, 32))
"""
PROBE = f"""
import sys
from pathlib import Path
from pipeline import kernelfamilies
adopted = sys.argv[1] != "named" and kernelfamilies.adopt(Path(sys.argv[1]))
{MADE}
from pipeline.matching.core.compiled import processor
made = [pdq.pack, reordering.reorder32]
print(adopted, processor.family(), sum(sum(k.stats.cache_hits.values()) for k in made), sum(sum(k.stats.cache_misses.values()) for k in made))
"""


def probe(image: Path | str, **more: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    command = [sys.executable, "-c", PROBE, str(image)]
    done = subprocess.run(command, env={**kept, **more}, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def tree(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kernels, compiled as the image's build compiles all."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("nothing is compiled")
    if kernelfamilies.of_this_machine() is None:
        pytest.skip("a processor without AVX2 compiles for itself")
    folder = tmp_path_factory.mktemp("image") / "kernels"
    # as the real program, which makes what it writes its own user's only
    kernels.build(folder, ("-c", f"import os; os.umask({PRIVATE})\n{MADE}"))
    return folder


def test_the_best_family_is_used_without_compiling_and_nothing_is_written(image: Path, tmp_path: Path) -> None:
    before = tree(image)
    family = kernelfamilies.of_this_machine()
    assert probe(image, NUMBA_CACHE_DIR=str(tmp_path)) == ["True", family, "2", "0"]
    assert tree(image) == before and list(tmp_path.iterdir()) == []


def test_everything_in_it_may_be_read_by_the_services_which_are_another_user(image: Path) -> None:
    for path in (image, *image.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & 0o777 == wanted, path


def test_every_family_that_this_machine_has_is_in_it(image: Path) -> None:
    able = json.loads((image / "families.json").read_text())
    assert able[-1] == "avx2" and able[0] == kernelfamilies.of_this_machine()
    for name in able:  # as a machine of that family is told to by its variables, which are the same on all of them
        found = probe("named", **kernelfamilies.environment(name), NUMBA_CACHE_DIR=str(image))
        assert found == ["False", name, "2", "0"]


def test_a_machine_whose_family_is_not_in_it_compiles_for_itself(image: Path, tmp_path: Path) -> None:
    shutil.copytree(image, tmp_path / "other")
    (tmp_path / "other" / "families.json").write_text('["sve"]')
    adopted, _, hits, misses = probe(tmp_path / "other", NUMBA_CACHE_DIR=str(tmp_path / "own"))
    assert (adopted, hits, misses) == ("False", "0", "2") and any((tmp_path / "own").iterdir())


def test_a_family_is_what_all_its_processors_have(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {name: set(features) for name, features in kernelfamilies.FAMILIES.items()}
    assert every["avx2"] < every["avx512"] and not any("avx512" in f for f in every["avx2"])
    for has, expected in (
        (every["avx512"], "avx512"),
        (every["avx512"] - {"avx512vpopcntdq"}, "avx2"),
        ({"sse2"}, None),
    ):
        monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda has=has: dict.fromkeys(has, True))
        assert kernelfamilies.of_this_machine() == expected
