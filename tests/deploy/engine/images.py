"""The images of docker-compose.yml over this machine's own programs: root file systems of bind mounts, read-only.

The product's image follows the Dockerfile: its COPY lines say what is in it, its ENV, ENTRYPOINT and folders are taken from
it, and its source is compiled. PostgreSQL, Redis and nginx are Debian's, started as their public images start them. Only paths
differ: Python comes from where this machine has it.
"""

from __future__ import annotations

import compileall
import hashlib
import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.settings import ROOT

HERE = Path(__file__).parent
Mount = dict[str, Any]


@dataclass
class Image:
    """What a container starts from. `owned`: folders with their owner, which a new volume mounted there takes over."""

    root: Path
    mounts: list[Mount]
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    folder: str = "/"
    owned: dict[str, int] = field(default_factory=dict)


def bind(source: Path | str, target: str, *, write: bool = False) -> Mount:
    """A bind mount, read-only unless told otherwise."""
    options = ["rbind", "rw" if write else "ro", "nosuid", "nodev"]
    return {"destination": target, "type": "bind", "source": str(source), "options": options}


def skeleton(root: Path, accounts: dict[str, int]) -> list[Mount]:
    """The folders and small files of a Debian root; programs and libraries are this machine's /usr."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "run/secrets", "srv", "opt", "var", "root"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)  # runc gives a tmpfs the mode of the folder that it is mounted on
    people = {"root": 0, **accounts}
    (root / "etc/passwd").write_text("".join(f"{n}:x:{i}:{i}::/srv:/usr/sbin/nologin\n" for n, i in people.items()))
    (root / "etc/group").write_text("".join(f"{n}:x:{i}:\n" for n, i in people.items()))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    mounts = [bind("/usr", "/usr")]
    for name in ("ld.so.cache", "ld.so.conf", "ssl", "localtime", "mime.types", "alternatives", "nginx"):
        here = Path("/etc") / name
        if here.exists():
            (root / "etc" / name).touch() if here.is_file() else (root / "etc" / name).mkdir()
            mounts.append(bind(here.resolve(), f"/etc/{name}"))
    return mounts


def product(root: Path, source: Path, environment: Path, kernels: Path | None) -> Image:
    """The product's image, from the Dockerfile in `source` and the installed Python environment in `environment`; `kernels`: the
    folder of compiled ones that a new volume begins with.
    """
    stage = (source / "Dockerfile").read_text().replace("\\\n", " ").split("\nFROM ")
    build, final = stage[-2], stage[-1]
    mounts = skeleton(root, {"triage": 10001})
    for folder in re.findall(r"^COPY (\w+) \w+$", build, re.MULTILINE):
        shutil.copytree(source / folder, root / "opt/triage" / folder)
    for name in re.search(r"^COPY ([\w. ]+) \./$", build, re.MULTILINE)[1].split():  # type: ignore[index]
        shutil.copy2(source / name, root / "opt/triage" / name)
    compileall.compile_dir(root / "opt/triage", quiet=1, stripdir=str(root))
    mounts += [bind(environment, place) for place in ("/opt/venv", str(environment))]
    base = Path(sys.base_prefix)
    if not base.is_relative_to("/usr"):
        mounts.append(bind(base, str(base)))
    variables = dict(w.split("=", 1) for line in re.findall(r"^ENV (.+)$", final, re.MULTILINE) for w in line.split())
    owned: dict[str, int] = {}
    for line in re.findall(r"install -d -o triage -g triage ([^&\n]+)", final):
        for folder in line.split():
            (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            shutil.chown(root / folder.lstrip("/"), 10001, 10001)
            owned[folder] = 10001
    if kernels is not None:
        keep(kernels, source, root, variables["NUMBA_CACHE_DIR"])
    entry = json.loads(re.search(r"^ENTRYPOINT (.+)$", final, re.MULTILINE)[1])  # type: ignore[index]
    return Image(root, mounts, variables, entry, ["triage", "--help"], "/opt/triage", owned)


COMPILED_THERE = "core"
"""The package whose few small kernels are left to airflow-init, so that it compiles as well as loads."""


def named(package: Path) -> str:
    """Numba's folder for the kernels of a package."""
    return f"{package.name}_{hashlib.sha1(str(package).encode(), usedforsecurity=False).hexdigest()}"


def keep(kernels: Path, source: Path, root: Path, folder: str) -> None:
    """Copy compiled kernels of this checkout to `folder` of the image, under the names that Numba gives those of /opt/triage."""
    for package in {path.parent for path in (source / "pipeline").rglob("*.py")}:
        inside = package.relative_to(source)
        own, there = (named(place / inside) for place in (ROOT, Path("/opt/triage")))
        if (kernels / own).is_dir() and package.name != COMPILED_THERE:
            shutil.copytree(kernels / own, root / folder.lstrip("/") / there)


def postgres(root: Path) -> Image:
    """As docker.io/postgres: an entry point that makes the cluster at the first start and runs /docker-entrypoint-initdb.d."""
    mounts = skeleton(root, {"postgres": 999})
    (root / "docker-entrypoint-initdb.d").mkdir()
    shutil.copy2(HERE / "postgres-start.sh", root / "opt" / "postgres-start.sh")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    variables = {"PATH": f"{programs}:/usr/bin:/bin", "PGDATA": "/var/lib/postgresql/data", "LANG": "C.UTF-8"}
    owned = {"/var/lib/postgresql/data": 999}
    return Image(root, mounts, variables, ["sh", "/opt/postgres-start.sh"], ["postgres"], "/", owned)


def redis(root: Path) -> Image:
    """As docker.io/redis: /data belongs to the account 999."""
    mounts = skeleton(root, {"redis": 999})
    return Image(root, mounts, {"PATH": "/usr/bin:/bin"}, [], ["redis-server"], "/", {"/data": 999})


def nginx(root: Path) -> Image:
    """As nginxinc/nginx-unprivileged."""
    mounts = skeleton(root, {"nginx": 101})
    (root / "var/log/nginx").mkdir(parents=True)
    (root / "var/lib/nginx").mkdir(parents=True)
    return Image(root, mounts, {"PATH": "/usr/sbin:/usr/bin:/bin"}, [], shlex.split("nginx -g 'daemon off;'"), "/")
