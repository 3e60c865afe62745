"""A service of docker-compose.yml as an OCI bundle (runtime-spec 1.0): what Docker makes of the same lines, for runc."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.engine.images import Image, Mount, bind
from tests.deploy.engine.network import RESOLVER

UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
CLONE_NEWUSER = 0x10000000

KNOWN = {
    "build", "cap_add", "cap_drop", "command", "cpus", "depends_on", "environment", "group_add", "healthcheck", "image",
    "logging", "mem_limit", "network_mode", "networks", "pids_limit", "ports", "profiles", "read_only", "restart", "scale",
    "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
"""Keys of a service that are carried out or mean nothing here; any other one is an error, so that none is passed over."""


@dataclass(frozen=True)
class Place:
    """Where the composition lives: its project folder (secrets, bind mounts) and the folder of its named volumes."""

    project: Path
    volumes: Path
    binds: dict[str, Path]


def size(text: str | int) -> int:
    """Bytes of "256m"."""
    found = re.fullmatch(r"(\d+)([kmg]?)b?", str(text).lower())
    if found is None:
        raise ValueError(f"{text!r} is no size")
    return int(found[1]) * UNITS.get(found[2], 1)


def write(bundle: Path, service: dict[str, Any], image: Image, place: Place, **own: Any) -> None:
    """Write bundle/config.json. `own`: hostname, namespace (network), cgroup, and command and environment to replace."""
    unknown = set(service) - KNOWN
    if unknown:
        raise ValueError(f"keys of a service that this engine does not carry out: {sorted(unknown)}")
    bundle.mkdir(parents=True)
    uid, gid = (int(part) for part in service["user"].split(":"))
    variables = {**image.environment, "HOSTNAME": own["hostname"], "HOME": "/srv", **service.get("environment", {})}
    capabilities = [f"CAP_{c}" for c in service.get("cap_add", [])] if uid == 0 else []
    bounding = [f"CAP_{c}" for c in service.get("cap_add", [])]
    if service.get("cap_drop") != ["ALL"]:
        raise ValueError("only services that drop all capabilities are run here")
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid, "additionalGids": [int(g) for g in service.get("group_add", [])]},
            "args": own.get("command") or [*image.entrypoint, *service.get("command", image.command)],
            "env": [f"{k}={v}" for k, v in {**variables, **own.get("environment", {})}.items()],
            "cwd": image.folder,
            "noNewPrivileges": "no-new-privileges:true" in service.get("security_opt", []),
            "capabilities": {"bounding": bounding, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": str(image.root), "readonly": bool(service.get("read_only"))},
        "hostname": own["hostname"],
        "mounts": mounts(bundle, service, image, place, own["hostname"]),
        "linux": {
            "namespaces": [
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount")),
                {"type": "network", "path": f"/run/netns/{own['namespace']}"},
            ],
            "cgroupsPath": own["cgroup"],
            "resources": resources(service),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": SECCOMP,
        },
    }
    (bundle / "config.json").write_text(json.dumps(config, indent=1))


def resources(service: dict[str, Any]) -> dict[str, Any]:
    """Limits of memory, processes and CPU; no device but those that every container has."""
    return {
        "memory": {"limit": size(service["mem_limit"])},
        "pids": {"limit": service["pids_limit"]},
        "cpu": {"period": 100_000, "quota": int(float(service["cpus"]) * 100_000)},
        "devices": [{"allow": False, "access": "rwm"}],
    }


SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["unshare", "setns", "mount", "umount2", "pivot_root", "bpf", "perf_event_open", "keyctl", "add_key"],
         "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
         "args": [{"index": 0, "value": CLONE_NEWUSER, "valueTwo": CLONE_NEWUSER, "op": "SCMP_CMP_MASKED_EQ"}]},
    ],
}  # fmt: skip
"""What Docker's default profile refuses a process without capabilities that this product could want: namespaces, mounts."""


def mounts(bundle: Path, service: dict[str, Any], image: Image, place: Place, hostname: str) -> list[Mount]:
    """All mounts of the container, a folder before what lies in it."""
    plain = ["nosuid", "noexec", "nodev"]
    shm = size(service.get("shm_size", "64m"))
    made: list[Mount] = [
        *image.mounts,
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*plain, "mode=1777", f"size={shm}"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, "ro"]},
    ]  # fmt: skip
    for name, text in {
        "hosts": f"127.0.0.1 localhost\n{own_address(hostname)}",
        "resolv.conf": f"nameserver {RESOLVER}\noptions ndots:0 timeout:2\n",
        "hostname": f"{hostname}\n",
    }.items():
        (bundle / name).write_text(text)
        made.append(bind(bundle / name, f"/etc/{name}"))
    made += [volume(text, image, place) for text in service.get("volumes", [])]
    made += [tmpfs(text) for text in service.get("tmpfs", [])]
    for name in service.get("secrets", []):
        source = place.project / "secrets" / name
        if not source.is_file():
            raise FileNotFoundError(f"the secret {source} is not there")
        made.append(bind(source, f"/run/secrets/{name}"))
    return sorted(made, key=lambda m: m["destination"].count("/"))


def own_address(hostname: str) -> str:
    """A line of /etc/hosts by which a container finds itself; others find it by DNS."""
    return f"127.0.1.1 {hostname}\n"


def volume(text: str, image: Image, place: Place) -> Mount:
    """`name:/target[:ro]` or `./path:/target[:ro]`. A new named volume takes over owner and content of the image's folder."""
    source, target, *mode = text.split(":")
    write_ = mode != ["ro"]
    if source.startswith("."):
        path = place.project / source
        if not path.exists():
            path.mkdir()  # as Docker does: owned by root
        return bind(path.resolve(), target, write=write_)
    if source in place.binds:
        return bind(place.binds[source], target, write=write_)
    path = place.volumes / source
    if not path.exists():
        inside_image = image.root / target.lstrip("/")
        if inside_image.is_dir():
            shutil.copytree(inside_image, path, symlinks=True)
        else:
            path.mkdir(parents=True)
        owner = image.owned.get(target, 0)
        os.chown(path, owner, owner)
        for below in path.rglob("*"):
            os.chown(below, owner, owner)
    return bind(path, target, write=write_)


def tmpfs(text: str) -> Mount:
    """`/target[:options]`."""
    target, _, options = text.partition(":")
    words = ["nosuid", "nodev", "noexec", *(o for o in options.split(",") if o)]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": words}
