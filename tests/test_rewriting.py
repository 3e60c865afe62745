"""What one worker rewrites ahead is what pytest finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.assertion import rewrite

from tests import rewriting


def test_each_worker_writes_its_share_once_and_pytest_takes_it(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    modules = [tmp_path / f"test_{name}.py" for name in "abc"]
    for module in modules:
        module.write_text("def test() -> None:\n    assert [1] == [2]\n")
    (tmp_path / "helper.py").write_text("pass\n")
    assert rewriting.ahead(pytestconfig, 0, 2, tmp_path) == 2
    kept = [rewrite.get_cache_dir(module) / f"{module.stem}{rewrite.PYC_TAIL}" for module in modules]
    assert [file.exists() for file in kept] == [True, False, True]
    assert rewriting.ahead(pytestconfig, 1, 2, tmp_path) == 1
    assert rewriting.ahead(pytestconfig, 0, 1, tmp_path) == 0
    code = rewrite._read_pyc(modules[0], kept[0])
    assert code is not None
    found: dict[str, object] = {}
    exec(code, found)  # noqa: S102 - what pytest would run
    with pytest.raises(AssertionError, match=r"assert \[1\] == \[2\]"):
        found["test"]()  # type: ignore[operator]
    modules[0].write_text("def test() -> None:\n    assert [1] == [3]\n")
    assert rewriting.ahead(pytestconfig, 0, 1, tmp_path) == 1
