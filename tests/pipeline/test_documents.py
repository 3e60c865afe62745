"""Documents against their schema, and what is not loaded for that."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pipeline import documents
from pipeline.leftout import left_out
from pipeline.settings import ROOT

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"enum": ["x"]}}, "required": ["c"]}


def test_all_faults_are_named_in_the_order_of_their_places() -> None:
    assert documents.faults(SCHEMA, {"c": 1, "b": 2, "a": "x"}) == []
    found = documents.faults(SCHEMA, {"b": "two", "a": "y"})
    assert [list(e.absolute_path) for e in found] == [[], ["a"], ["b"]]
    assert "'c' is a required property" in found[0].message


def test_formats_that_no_schema_names_are_not_loaded() -> None:
    """Parsing the grammar of IRIs took longer than most commands, in every process that reads a policy file."""
    said = (
        "import sys; from pipeline import documents;"
        "print(sorted(set(documents.UNUSED_FORMATS) & set(sys.modules)));"
        "import isoduration; print(isoduration.parse_duration('P1D').date.days)"
    )
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "1"]
    assert not [p.name for p in (ROOT / "schemas").rglob("*.json") if re.search(r'"format":\s*"', p.read_text())]


def test_a_module_is_left_out_only_for_a_while_and_a_loaded_one_stays() -> None:
    sys.modules.pop("this", None)
    with left_out("this", "json"):
        import json  # noqa: F401

        with pytest.raises(ImportError):
            import this  # noqa: F401
    assert "this" not in sys.modules and sys.modules["json"] is not None


def test_kernels_are_loaded_without_linear_algebra() -> None:
    said = "import sys; import pipeline.kernelcache; print('numba.np.arraymath' in sys.modules, 'scipy.linalg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
