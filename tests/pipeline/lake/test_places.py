"""Where a lake may lie: folders and object stores; anything else is refused, and a real S3 server serves two writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.lake.places import LakePlace, root_of
from tests.bucket import bucket

__all__ = ["bucket"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://host/lake", "of no supported kind"),
        ("http://host/lake", "of no supported kind"),
        ("gs://bucket/lake", "of no supported kind"),
        ("s3:/bucket/lake", "does not name a bucket"),
        ("s3://", "does not name a bucket"),
        ("s3:///lake", "does not name a bucket"),
        ("s3://bucket/lake?region=x", "does not name a bucket"),
        ("s3://key:secret@bucket/lake", "credentials"),
        ("file://other/lake", "not a folder of this machine"),
    ],
)
def test_a_bad_or_unsupported_url_is_refused(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        root_of(text)


def test_folders_and_urls_are_told_apart() -> None:
    assert root_of("var/lake") == Path("var/lake")
    assert root_of("file:///srv/lake") == Path("/srv/lake")
    assert root_of("s3://bucket/lake/") == "s3://bucket/lake"
    assert root_of("abfss://lake@account.dfs.core.windows.net/home") == "abfss://lake@account.dfs.core.windows.net/home"
    assert LakePlace("s3://bucket/lake").uri("matches") == "s3://bucket/lake/matches"


WORKER = """
import sys
from pathlib import Path
from pipeline.lake import Lake
from tests.pipeline.lake.test_lake import variants, frames
lake = Lake("s3://lake/home", cache=Path(sys.argv[1]))
for n in range(5):
    lake.commit("f", f"{sys.argv[2]}{n}", {"variants": variants(2), "video_frames": frames(1)}, run_id="n")
lake.commit("f", "shared", {"variants": variants(1)}, run_id="n")
lake.merge("n")
"""

READER = """
import sys
from pathlib import Path
from pipeline.errors import IntegrityError
from pipeline.lake import Lake
lake = Lake("s3://lake/home", cache=Path(sys.argv[1]))
print(len(lake.commits()), lake.read("variants").num_rows, lake.read("video_frames").num_rows, lake.verify() > 0)
print(lake.merge("n") != {}, lake.read("variants").num_rows, lake.sweep())
part = lake.parts("variants")[0]
part.path.write_bytes(b"another")
try:
    Lake("s3://lake/home", cache=Path(sys.argv[1])).read("variants")
except IntegrityError as error:
    print("refused")
"""


@pytest.mark.slow
def test_two_workers_that_share_nothing_but_the_bucket(tmp_path: Path, bucket: dict[str, str]) -> None:
    environment = {**os.environ, **bucket, "PYTHONPATH": str(Path(__file__).parents[3])}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / name), name], env=environment, stderr=subprocess.PIPE
        )
        for name in ("a", "b")
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=1200)
        assert worker.returncode == 0, errors.decode()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", READER, str(tmp_path / "c")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0] == "11 21 10 True", done.stderr
    assert lines[1].split()[1] == "21" and lines[2] == "refused"
