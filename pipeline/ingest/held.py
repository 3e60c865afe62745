"""Which referrals have more waiting in quarantine: a package that was returned and shares its name, its report or a correction with one
that was taken in, and that nothing has put right.

Hardly any package of all nights is near another in this way. A night finds those that decide about its own in an extract of
digests of what packages share, and reads the rows of these alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ingest.returned import ENDING_RE2, QUARANTINED, plain_name
from pipeline.lake import Lake
from pipeline.lake.kept.extracts import Extract
from pipeline.lake.kept.keys import hashed

HELD_BACK = ["package_id", "container", "state", "referral_id", "report_sha256", "first_seen", "corrects"]
"""Columns of the packages record that `held_back` reads."""
_SHARED = ("name", "report_sha256", "corrects")
"""Columns of an extract of what packages may share."""


def held_back(packages: pa.Table) -> dict[str, tuple[str, ...]]:
    """Referral to the ids of packages in quarantine that bring more of it: same name or same report as a package that
    was taken in for it, none of which came after. `packages` has at least the columns of HELD_BACK."""
    waiting = packages.filter(pc.equal(packages["state"], QUARANTINED))
    if not waiting.num_rows:
        return {}
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in waiting.to_pylist():
        for key in shared_names(row):
            by_key.setdefault(key, []).append(row)
    taken = packages.filter(pc.not_equal(packages["state"], QUARANTINED))
    near = pa.array(_isin(digests(taken), np.unique(hashed(pa.array(list(by_key), pa.string())))))
    pairs = [
        (read, row) for read in taken.filter(near).to_pylist() for k in shared_names(read) for row in by_key.get(k, ())
    ]
    settled = {row["package_id"] for read, row in pairs if _puts_right(read, row)}
    found: dict[str, set[str]] = {}
    for read, row in pairs:
        if row["package_id"] not in settled:
            found.setdefault(read["referral_id"], set()).add(row["package_id"])
    return {referral: tuple(sorted(ids)) for referral, ids in sorted(found.items())}


def deciding(lake: Lake, column: str, values: Iterable[str]) -> pa.Table:
    """The packages (columns HELD_BACK) that decide what is held back of those that have one of the values in `column`, `package_id` or
    `referral_id`, and by them: `held_back` of these rows says the same of it as `held_back` of all."""
    parts = lake.extract(SHARED)
    ends = np.cumsum([0, *(rows.num_rows for _, rows in parts)])
    chosen = decided(pa.concat_tables([rows for _, rows in parts]), column, values) if parts else np.zeros(0, np.bool_)
    found = [
        lake.rows_at(part, HELD_BACK, np.flatnonzero(chosen[a:b]))
        for (part, _), a, b in zip(parts, ends, ends[1:], strict=False)
    ]
    return pa.concat_tables(found) if found else lake.read("packages", HELD_BACK)


def decided(shared: pa.Table, column: str, values: Iterable[str]) -> NDArray[np.bool_]:
    """Which rows of an extract are those of `deciding`; some more may be among them, whose digests agree by chance."""
    waits = shared["waits"].to_numpy()
    package = shared["package_id"].to_numpy()
    own = _among(shared[column], hashed(pa.array(sorted(values), pa.string())))
    near = waits & _isin(shared, _keys(shared, own))
    near = waits & _among(shared["package_id"], package[near])  # a package is settled in all its rows
    found: NDArray[np.bool_] = near | (~waits & _isin(shared, _keys(shared, near)))
    return found


def _keys(shared: pa.Table, chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Digests of what the chosen rows have to share."""
    found = np.unique(np.concatenate([shared[name].to_numpy()[chosen] for name in _SHARED]))
    keys: NDArray[np.uint64] = found[found != 0]
    return keys


def _isin(shared: pa.Table, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows share something that has one of the digests."""
    found = np.zeros(shared.num_rows, np.bool_)
    for name in _SHARED if len(keys) else ():
        found |= _among(shared[name], keys)
    return found


def _among(column: pa.ChunkedArray, wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values of a column are wanted, as np.isin, which would put the whole column in order."""
    found: NDArray[np.bool_] = pc.is_in(column, value_set=pa.array(wanted)).to_numpy()
    return found


def digests(packages: pa.Table) -> pa.Table:
    """Digests (uint64) of the ids of packages and of what they may share, 0 where there is none; and which wait in quarantine."""
    # in ASCII, lower case is what casefold gives; other names are taken one by one
    names = pc.utf8_lower(pc.replace_substring_regex(packages["container"], ENDING_RE2, "", max_replacements=1))
    other = pc.invert(pc.string_is_ascii(packages["container"]))
    folded = pa.array([plain_name(name) for name in packages["container"].filter(other).to_pylist()], pa.string())
    texts = {"name": pc.replace_with_mask(names.combine_chunks(), other.combine_chunks(), folded)}
    texts |= {c: packages[c].combine_chunks() for c in ("report_sha256", "corrects", "package_id", "referral_id")}
    found = {name: pa.array(hashed(column)) for name, column in texts.items()}
    return pa.table(found | {"waits": pc.equal(packages["state"], QUARANTINED)})


SHARED = Extract("packages", "shared-1", tuple(HELD_BACK), digests)


def shared_names(row: Mapping[str, Any]) -> set[str]:
    """What a package shares with another that brings the same or more of the same."""
    return {key for key in (plain_name(row["container"]), row["report_sha256"], row["corrects"]) if key}


def _puts_right(read: Mapping[str, Any], returned: Mapping[str, Any]) -> bool:
    if read["first_seen"] != returned["first_seen"]:
        return bool(read["first_seen"] > returned["first_seen"])
    return read["corrects"] is not None and read["corrects"] in (returned["package_id"], returned["corrects"])
