"""Readers beside a publisher: every answer is that of one whole release, the one that it names."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from hashsets.release import publishing, releases
from pipeline import files
from pipeline.settings import ROOT, Settings
from tests.hashsets.test_faults import two_releases

READER = """
import json, sys, time
from pathlib import Path
from hashsets.release import releases
from pipeline.settings import Settings
settings, stop, answers = Settings(home=Path(sys.argv[1]), threads=1), Path(sys.argv[2]), {}
while True:
    last = stop.exists()
    release = releases.current(settings)
    answer = str((release.number, release.manifest["release"], release.describe(list(range(10))).num_rows))
    answers[answer] = answers.get(answer, 0) + 1
    if last:
        break
    time.sleep(0.002)  # the publisher gets its turn, however few cores there are
print(json.dumps(answers))
"""


def test_four_readers_over_five_hundred_publishes_never_see_half_a_set(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", threads=1)
    two_releases(tmp_path, settings)
    pointer = settings.releases_dir / releases.POINTER
    earlier = json.loads(pointer.read_bytes())
    first = releases.current(settings).describe(list(range(10))).num_rows
    stop = tmp_path / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(settings.home), str(stop)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for _ in range(500):
        assert publishing.publish(replace(settings)) == 2
        files.write_json(pointer, earlier)  # back to the first, as after a restore
    assert publishing.publish(settings) == 2
    stop.touch()
    seen: dict[str, int] = {}
    for reader in readers:
        said, error = reader.communicate(timeout=900)
        assert reader.returncode == 0, error[-2000:]
        for answer, count in json.loads(said).items():
            seen[answer] = seen.get(answer, 0) + count
    assert set(seen) == {str((1, 1, first)), str((2, 2, first + 1))}
    assert sum(seen.values()) > 4
