"""`triage fingerprint`: rows for files, folders and members; isolation; a stopped run taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.algorithms import algorithm_version
from pipeline.cli import triage
from pipeline.errors import UsageError
from pipeline.fingerprint import cli
from pipeline.fingerprint.sandbox import landlock
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import ROOT
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import FAULTY

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRIAGE_THREADS", "2")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(triage, ["fingerprint", *arguments])

    return invoke


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's decoder in place of the real one."""
    monkeypatch.setattr(cli, "Pool", lambda s, **kw: Pool(s, **{"decoder": FAULTY, **kw}))


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_files_folders_and_members(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.png").write_bytes(samples.stills()["rgb.png"])
    (folder / "deep" / "b.mkv").write_bytes(samples.videos()["clip.mkv"])
    (folder / "deep" / "c.txt").write_bytes(b"[synthetic message 4]")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("m/d.png", samples.stills()["rgb.png"])
    found = lines(run(str(folder), f"{tmp_path}/p.zip!/m/d.png", "--variants"))
    assert [row["file"] for row in found] == [
        f"{folder}/a.png",
        f"{folder}/deep/b.mkv",
        f"{folder}/deep/c.txt",
        f"{tmp_path}/p.zip!/m/d.png",
    ]
    assert [row["state"] for row in found] == ["hashed", "hashed", "digests_only", "hashed"]
    assert found[0]["pdq"] == found[3]["pdq"]
    assert len(found[0]["pdq"]) == 64
    assert found[0]["variants"].count("=") > 30
    assert "0.00=" in found[1]["video_frames"]
    assert found[2]["reason"] == "not_media"
    assert [row["algorithm_version"] for row in found] == [
        algorithm_version(),
        algorithm_version(),
        None,
        algorithm_version(),
    ]


@pytest.mark.usefixtures("light")
def test_bad_files_are_rows_too(run: Run, tmp_path: Path) -> None:
    for name, content in (("a", b"good"), ("b", b"FAULT:segv"), ("c", b"good too")):
        (tmp_path / name).write_bytes(content)
    result = run(*(str(tmp_path / n) for n in "abc"))
    assert [(r["state"], r["reason"]) for r in lines(result)] == [
        ("hashed", "none"),
        ("rejected", "crashed"),
        ("hashed", "none"),
    ]
    assert "3 files: 2 hashed, 1 rejected\nreasons: 1 crashed\nisolation: limits" in result.stderr
    assert "2 workers died and were replaced" in result.stderr


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "table", "parquet"])
def test_no_name_and_no_kind_of_file_stops_a_run(run: Run, tmp_path: Path, format_: str) -> None:
    """Names that are not UTF-8, loops of links, links that lead out, pipes: each is a row in every format."""
    folder = tmp_path / "in"
    (folder / "real!").mkdir(parents=True)
    (folder / "real!" / "a.bin").write_bytes(b"good")
    Path(os.fsdecode(bytes(folder) + b"/bad\xff\nname")).write_bytes(b"good too")
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    output = tmp_path / f"out.{format_}"
    result = run(str(folder), f"{folder}/real!/a.bin", "--format", format_, "--output", str(output))
    assert result.exit_code == 0, result.exception
    assert "5 files: 2 hashed, 3 rejected\nreasons: 1 missing, 1 not_a_file, 1 unreadable\n" in result.stderr
    if format_ == "jsonl":
        states = {row["file"]: row["reason"] for row in map(json.loads, output.read_bytes().splitlines())}
        assert states == {
            f"{folder}/bad\\xff\nname": "none",
            f"{folder}/broken": "missing",
            f"{folder}/loop": "unreadable",
            f"{folder}/pipe": "not_a_file",
            f"{folder}/real!/a.bin": "none",
        }


@pytest.mark.usefixtures("light")
def test_table_has_the_columns_that_fit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "a").write_bytes(b"good")
    head = run(str(tmp_path / "a"), "--format", "table").stdout.splitlines()
    assert next(line for line in head if line.strip()).split() == list(cli.SHORT)


def test_isolation_is_shown(run: Run) -> None:
    found = lines(run("--isolation"))
    assert [row["layer"].partition(".")[0] for row in found] == [
        "limits", "no_new_privileges", "namespaces", "landlock", "seccomp", "bubblewrap",
    ]  # fmt: skip
    assert found[3]["layer"] == (f"landlock.{landlock.abi()}" if landlock.abi() else "landlock")
    assert found[0]["active"] and found[0]["required_when_strict"]


def test_wrong_use(run: Run) -> None:
    assert isinstance(run().exception, UsageError)
    missing = run("/no/such/file").exception
    assert isinstance(missing, UsageError)
    assert missing.exit_code == 2


def test_help_teaches(run: Run) -> None:
    text = run("--help").stdout
    assert "goes on where it was" in text
    assert "package.zip!/media/0001.jpg" in text


STOPPED = """
import sys
from pipeline.cli import triage
from pipeline.fingerprint import cli
from pipeline.fingerprint.sandbox.pool import Pool
cli.Pool = lambda s, **kw: Pool(s, **{"decoder": "tests.pipeline.fingerprint.sandbox.faulty:decode", **kw})
triage.main(args=["fingerprint", *sys.argv[1:]])
"""


@pytest.mark.usefixtures("light")
def test_stopped_run_is_taken_up(run: Run, tmp_path: Path) -> None:
    """SIGKILL in the middle: the same command does the rest only, and the file is that of an undisturbed run."""
    folder, output = tmp_path / "in", tmp_path / "out.csv"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:04}.bin").write_bytes(f"content {number}".encode())
    (folder / "9999.bin").write_bytes(b"FAULT:sleep")
    journal = tmp_path / ".out.csv.resume"
    command = [sys.executable, "-c", STOPPED, str(folder), "--output", str(output), "--workers", "1"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, env={**os.environ})
    until = time.monotonic() + 600  # a busy machine takes its time
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 200):
        assert time.monotonic() < until, "the run does not come to its last file"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists(), "all or nothing"
    (folder / "9999.bin").write_bytes(b"ends now")
    with journal.open("ab") as file:
        file.write(b'00000000 {"key": "torn')
    result = run(str(folder), "--output", str(output))
    assert result.exit_code == 0, result.exception
    assert "200 files taken over" in result.stderr
    assert not journal.exists()
    whole = tmp_path / "whole.csv"
    assert run(str(folder), "--output", str(whole)).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    assert output.read_bytes().count(b"\n") == 202
