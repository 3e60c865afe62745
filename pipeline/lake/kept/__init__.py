"""What is kept beside the lake so that a night reads little of it: each file follows from the lake alone, is checked before use, and can be
thrown away at any time."""

from collections.abc import Collection
from pathlib import Path


def remove_others(folder: Path | None, suffix: str, parts: Collection[str]) -> int:
    """Remove the files `<SHA-256 of a part>…<suffix>` of parts that are not among these; returns how many."""
    found = [] if folder is None else sorted(folder.glob(f"*{suffix}"))
    gone = [path for path in found if path.name.partition(".")[0] not in parts]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)
