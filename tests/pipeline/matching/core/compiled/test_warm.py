"""What is compiled when nothing was: every function once, because types that differ by accident cost seconds at a first start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.matching.core.compiled.jit import JIT
from pipeline.settings import ROOT

COMPILED = """
import json
from collections import Counter

from numba.core import event
from pipeline.matching.core.compiled.warm import warm
from pipeline.matching.core.index.build import warm_build


class Forms(event.Listener):
    def __init__(self):
        self.seen = Counter()

    def on_start(self, started):
        function = started.data["dispatcher"].py_func
        if function.__module__.startswith("pipeline."):
            self.seen[f"{function.__module__}.{function.__name__}"] += 1

    def on_end(self, ended):
        pass


forms = Forms()
event.register("numba:compile", forms)
for chunks, algorithm in ((16, "pdq"), (4, "phash64")):
    warm(chunks)
    warm_build(algorithm)
print(json.dumps(forms.seen))
"""


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_every_function_of_the_core_is_compiled_in_one_form(tmp_path: Path) -> None:
    # how well it is compiled is not asked: without optimising it takes less time
    given = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    forms: dict[str, int] = json.loads(done.stdout)
    assert {name: count for name, count in forms.items() if count > 1} == {} and len(forms) > 20
