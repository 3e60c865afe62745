"""What a worker can still do, tried from inside; which layers hold; strict mode."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pipeline.errors import DependencyError
from pipeline.fingerprint.outcome import Fingerprint
from pipeline.fingerprint.sandbox import landlock, pool, seccomp, spawner
from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.fingerprint.sandbox.layers import Layer, Reached
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import ROOT
from tests.pipeline.fingerprint.makers import FAULTY, items, settings_with, write
from tests.pipeline.fingerprint.sandbox import escape


@pytest.mark.parametrize("bubblewrap", [True, False])
def test_nothing_works_from_inside(tmp_path: Path, bubblewrap: bool) -> None:
    """Writing, reading other files, connecting, starting and signalling processes, lifting limits: all refused."""
    settings = settings_with(tmp_path, sandbox={"bubblewrap": bubblewrap})
    (tmp_path / "outside.txt").write_text("not below landing")
    landing = settings.landing_dir
    (locator,) = write(settings, {"media.bin": str(landing).encode()})
    with Pool(settings, decoder="tests.pipeline.fingerprint.sandbox.escape:decode", workers=1) as one:
        ((_, outcome),) = one.fingerprints(items([locator]))
        reached = one.report.reached or sandbox.Reached(0)
        layers = Layer(reached.layers)
    assert isinstance(outcome, Fingerprint), outcome
    worked = {escape.ATTEMPTS[f.number].__name__ for f in outcome.video_frames if f.quality}
    if Layer.LANDLOCK in layers and Layer.SECCOMP in layers:
        assert worked == set()
    else:  # limits alone stop these
        assert worked.isdisjoint({"_write", "_append", "_core_limit", "_memory"})
    assert (landing / "media.bin").read_bytes() == str(landing).encode()
    assert len(list(landing.iterdir())) == 1


def test_layers_are_recorded(tmp_path: Path) -> None:
    with Pool(settings_with(tmp_path), decoder=None) as one:
        one.start()
        assert one.report.sandbox.startswith("limits+no_new_privileges")
        reached = one.report.reached or sandbox.Reached(0)
        layers = Layer(reached.layers)
    assert (Layer.LANDLOCK in layers) == (landlock.abi() > 0)
    assert reached.abi == landlock.abi()
    assert not reached.abi or f"landlock.{reached.abi}" in one.report.sandbox.split("+"), "the ABI is recorded by name"
    assert (Layer.BUBBLEWRAP in layers) == bool(spawner.bubblewrap_command(tmp_path))


def test_strict_mode_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is required and missing stops the run before any file is opened, with the layer's name."""
    from dataclasses import replace

    settings = replace(
        settings_with(tmp_path, sandbox={"bubblewrap": False, "required": ["limits", "bubblewrap"]}), sandbox="strict"
    )
    locators = write(settings, {"a": b"x"})
    with pytest.raises(DependencyError, match="bubblewrap missing") as refused:
        list(pool.digest_files(settings, locators))
    assert refused.value.exit_code == 3
    relaxed = replace(settings, sandbox="auto")
    assert len(list(pool.digest_files(relaxed, locators))) == 1


def test_bubblewrap_that_does_not_work_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed, but not allowed on this machine: the run goes on without it and says so."""
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))
    assert spawner.bubblewrap_command(tmp_path) == []
    with Pool(settings_with(tmp_path), decoder=FAULTY) as one:
        one.start()
        assert "bubblewrap" not in one.report.sandbox
    broken.unlink()
    assert spawner.bubblewrap_command(tmp_path) == []


def test_kernel_cache_has_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    assert spawner.kernel_cache(tmp_path) == (tmp_path / "named", {"NUMBA_CACHE_DIR": str(tmp_path / "named")})
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    checkout = ROOT / "pipeline" / "fingerprint" / "__pycache__" / "kernels"
    assert spawner.kernel_cache(tmp_path) == (checkout, {"NUMBA_CACHE_DIR": str(checkout)})
    monkeypatch.setattr(spawner.os, "access", lambda *_: False)
    folder, environment = spawner.kernel_cache(tmp_path)
    assert folder == tmp_path / "cache" / "kernels"
    assert environment == {"NUMBA_CACHE_DIR": str(folder)}


def test_kernels_of_one_start_are_loaded_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were compiled at every start once their modules had moved out of the one folder that the sandbox lets be written."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    settings = settings_with(tmp_path)
    found: list[dict[str, int]] = []
    for _ in range(2):
        with Pool(settings, decoder="tests.pipeline.fingerprint.sandbox.kernel:decode") as one:
            one.start()
        found.append({p.name: p.stat().st_mtime_ns for p in (tmp_path / "kernels").rglob("*.nb?")})
    assert len(found[0]) == 2 and found[1] == found[0]


def test_names_of_layers() -> None:
    assert Reached(0).describe() == "none"
    assert Reached(Layer.LIMITS | Layer.SECCOMP).describe() == "limits+seccomp"
    assert Reached(Layer.LIMITS | Layer.LANDLOCK, 4).describe() == "limits+landlock.4"
    assert Reached(Layer.LIMITS).missing(["limits", "landlock"], 6) == ["landlock"]
    old = Reached(Layer.LIMITS | Layer.LANDLOCK, 2)
    assert old.missing(["limits", "landlock"], 2) == []
    assert old.missing(["limits", "landlock"], 6) == ["Landlock ABI 6 (this kernel has 2)"]
    assert Reached(Layer.LIMITS | Layer.LANDLOCK, 6).common(old) == old


def test_strict_mode_names_the_landlock_abi(tmp_path: Path) -> None:
    """A kernel whose Landlock is older than the policy wants is refused by what it has, not by a bare name."""
    from dataclasses import replace

    wanted = {"bubblewrap": False, "required": ["limits", "landlock"], "landlock_abi": 99}
    settings = replace(settings_with(tmp_path, sandbox=wanted), sandbox="strict")
    with pytest.raises(DependencyError, match=r"Landlock ABI 99 \(this kernel has \d+\) missing|landlock missing"):
        list(pool.digest_files(settings, write(settings, {"a": b"x"})))


def test_libraries_but_not_the_home(tmp_path: Path) -> None:
    """The worker may load libraries; the folder that holds TRIAGE_HOME by default is not among them."""
    paths = [Path(p) for p in sandbox.library_paths()]
    assert ROOT / "pipeline" in paths
    assert not any((ROOT / "var").is_relative_to(p) for p in paths)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_on_paper(machine: str) -> None:
    """The filter, run by a small interpreter, refuses what it should and nothing else."""
    code = seccomp.program(machine, pid=77)
    arch = seccomp._AUDIT_ARCH[machine]
    special = seccomp._SPECIAL[machine]
    allowed = seccomp.syscalls.X86_64 if machine == "x86_64" else seccomp.syscalls.ARM64
    allow, refuse, absent, kill = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000

    def verdict(number: int, *arguments: int, machine_arch: int = arch) -> int:
        data = struct.pack("<IIQ6Q", number, machine_arch, 0, *arguments, *[0] * (6 - len(arguments)))
        return interpret(code, data)

    assert all(verdict(number) == allow for number in allowed.values())
    judged = {*allowed.values(), *special.values()}
    for number in range(600):
        if number not in judged:
            assert verdict(number) == (refuse if number <= seccomp.syscalls.HIGHEST else absent)
    for number in (452, 463, 466):  # fchmodat2, setxattrat, removexattrat: younger than the list
        assert verdict(number) == absent
    for number in (442, 443, 448):  # mount_setattr, quotactl_fd, process_mrelease
        assert verdict(number) == refuse
    for command in (0, 1, 2, 3, 1030):
        assert verdict(special["fcntl"], 5, command) == allow
    for command in (
        4,
        6,
        7,
        8,
        10,
        15,
        16,
        1024,
        1033,
    ):  # F_SETFL, F_SETLK(W), F_SETOWN, F_SETSIG, F_SETOWN_EX, leases, seals
        assert verdict(special["fcntl"], 5, command, 77) == refuse
    assert verdict(special["ioctl"], 1, 0x5401) == allow
    for command in (0x8901, 0x8902, 0x5452, 0x5412):  # FIOSETOWN, SIOCSPGRP, FIOASYNC, TIOCSTI
        assert verdict(special["ioctl"], 1, command) == refuse
    assert verdict(special["prctl"], 15) == allow
    assert verdict(special["prctl"], 4, 1) == verdict(special["prctl"], 22) == refuse, "dumpable, seccomp"
    assert verdict(special["openat"], 0, 0, 0) == allow
    for flags in (1, 2, 0o100, 0o1000, 0o2000000 | 1):
        assert verdict(special["openat"], 0, 0, flags) == refuse
    assert verdict(special["openat"], 0, 0, 0o2000000) == allow
    assert verdict(special["kill"], 77, 9) == allow
    assert verdict(special["kill"], 78, 9) == verdict(special["kill"], 0, 9) == refuse
    assert verdict(special["kill"], (1 << 32) - 1, 9) == refuse
    assert verdict(special["prlimit64"], 0) == verdict(special["prlimit64"], 77) == allow
    assert verdict(special["prlimit64"], 1) == refuse
    assert verdict(special["clone"], 0x10000) == allow
    assert verdict(special["clone"], 17) == refuse
    assert verdict(special["clone3"]) == verdict(special["openat2"]) == absent
    assert verdict(0 if machine == "x86_64" else 63) == allow, "read"
    assert verdict(0, machine_arch=1) == kill
    if machine == "x86_64":
        assert verdict(special["open"], 0, 1) == refuse
        assert verdict(special["open"], 0, 0) == allow
        assert verdict(0x40000000) == kill


def interpret(code: list[seccomp.Instruction], data: bytes) -> int:
    """Classic BPF, the six instructions that the filter uses."""
    at = value = 0
    while True:
        operation, yes, no, constant = code[at]
        at += 1
        if operation == seccomp._LOAD:
            (value,) = struct.unpack_from("<I", data, constant)
        elif operation == seccomp._RET:
            return constant
        else:
            test = {
                seccomp._JEQ: value == constant,
                seccomp._JGE: value >= constant,
                seccomp._JGT: value > constant,
                seccomp._JSET: bool(value & constant),
            }[operation]
            at += yes if test else no
