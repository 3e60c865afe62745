"""How many cores this process may use: those of the machine, or the share of them that its container is limited to.

The kernel shows a container all cores of the machine, however few it may use at a time (`cpus` of docker-compose.yml, `limits`
on Kubernetes). On a machine of 64 cores, a worker limited to 2 would start 64 media workers and run out of memory.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits; on a machine without containers the files are not there, or say that there is none."""


def usable(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use, at least one; part of a core counts as one."""
    cores = len(os.sched_getaffinity(0))
    limit = _limit(cgroup)
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def _limit(cgroup: Path) -> float | None:
    """Cores at a time that the control group allows (version 2: cpu.max, version 1: cpu.cfs_*); None where it allows all."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except FileNotFoundError:
        first = cgroup / "cpu"
        try:
            quota, period = ((first / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except FileNotFoundError:
            return None
    return None if quota in {"max", "-1"} else int(quota) / int(period)
