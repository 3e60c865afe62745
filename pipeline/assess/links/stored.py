"""Links as the lake keeps them: one for each pair and kind, and of each as many rows as it has had versions; the highest holds.

What is found is compared with what is stored part by part, and committed some thousands of rows at a time: a changed policy, by
which all pairs are judged anew, takes no more memory than a large night.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import jsontext, records
from pipeline.assess.links import lists
from pipeline.contract import Night
from pipeline.lake import Lake
from pipeline.lake.parts import Where

STAGE = "link"
COMMIT_ROWS = 20_000
"""Rows of one commit, whose evidence is some kilobytes each."""

_COMPARED = ("kind", "strength", "evidence", "explanation", "shared", "withdrawn")
_DATED = re.compile(r'"dated":"\d{4}-\d{2}-\d{2}",|, dated \d{4}-\d{2}-\d{2},')

LIGHT = ["link_id", "left", "right", "kind", "strength", "explanation", "withdrawn", "version"]
"""Columns of links that concern every night; the evidence is the bulk of a link and read of few."""


def latest(lake: Lake, columns: Sequence[str] | None = None, where: Where | None = None) -> pa.Table:
    """Of each link the row with the highest version, ordered by link id; withdrawn ones included."""
    return newest(lake.read("links", columns, where=where))


def newest(rows: pa.Table) -> pa.Table:
    """Of each link_id the row with the highest version (of equal ones the last), ordered by link id."""
    if not rows.num_rows:
        return rows
    rows = rows.combine_chunks()
    order = pa.table(
        {
            "link_id": rows["link_id"],
            "version": pc.fill_null(rows["version"], 1),
            "place": pa.array(np.arange(rows.num_rows, dtype=np.int64)),
        }
    ).sort_by([("link_id", "ascending"), ("version", "ascending"), ("place", "ascending")])
    ids = order["link_id"].combine_chunks()
    last = pa.concat_arrays([pc.not_equal(ids[1:], ids[:-1]), pa.array([True])])
    return rows.take(order["place"].combine_chunks().filter(last))


def current(lake: Lake, columns: Sequence[str] | None = None) -> pa.Table:
    """The links that hold, ordered by link id."""
    return _held(latest(lake, columns))


def _held(table: pa.Table) -> pa.Table:
    return table.filter(pc.invert(pc.fill_null(table["withdrawn"], False)))


def current_of(lake: Lake, referrals: frozenset[str]) -> pa.Table:
    """The links that hold of some referrals, without their evidence, looked up by key."""
    wanted = pa.array(sorted(referrals), pa.string())
    rows = pa.concat_tables([lake.read("links", LIGHT, where=(side, wanted)) for side in ("left", "right")])
    return _held(newest(rows))


def link_id(left: str, right: str, kind: str) -> str:
    """Stable id of a link: both sides and the kind (`ip` and `ip_port_time` are one kind that can grow stronger)."""
    kind = "ip" if kind == "ip_port_time" else kind
    return "L-" + hashlib.sha256(f"{left}\x1f{right}\x1f{kind}".encode()).hexdigest()[:32]


@dataclass
class LinkWriter:
    """Compares what a night finds with the stored links, and commits what is new, changed or holds no more.

    `told` are the referrals that earlier nights may have linked with each other or with a list; None for all of them, where every
    pair is judged anew. `meta`, which says how far earlier nights came, goes with every commit but the last: a process that was
    killed before that judges the same again, and finds what it has written already unchanged.
    """

    lake: Lake
    night: Night
    _: KW_ONLY
    kinds: Sequence[str]
    told: Collection[str] | None
    fresh: Sequence[str]
    meta: Mapping[str, Any]
    rows: int = 0
    outputs: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _waiting: list[dict[str, Any]] = field(default_factory=list)

    def judged(self, pairs: Set[tuple[str, str]], links: Iterable[dict[str, Any]]) -> None:
        """All links of some pairs. A stored one of these pairs that is not among them holds no more."""
        rows = [_row(link, self.night) for link in links]
        stored = self._stored_of(pairs)
        still = {row["link_id"] for row in rows}
        if self.told is None:
            self._seen |= still | stored.keys()
        self._add(stored, [*rows, *_not_found(stored, still)])

    def others(self) -> None:
        """Where every pair was judged: stored links of pairs that no longer share anything hold no more."""
        if self.told is not None:
            return
        kept = current(self.lake, ["link_id", "right", "version", "withdrawn"])
        kept = kept.filter(pc.invert(pc.starts_with(kept["right"], "list:")))
        gone = sorted(set(kept["link_id"].to_pylist()) - self._seen)
        for first in range(0, len(gone), COMMIT_ROWS):
            stored = self._stored(gone[first : first + COMMIT_ROWS])
            self._add(stored, _not_found(stored, frozenset()))

    def listed(self, listed: lists.Listed) -> None:
        """The links to entries of the force's lists."""
        rows = [_row(link, self.night) for link in listed.links]
        stored = self._stored(r["link_id"] for r in rows if self.told is None or r["left"] in self.told)
        if listed.read:
            all_of = pa.array(sorted(listed.read), pa.string())
            stored |= {r["link_id"]: r for r in latest(self.lake, where=("kind", all_of)).to_pylist()}
        self._add(stored, [*rows, *lists.withdrawn(stored, listed)])

    def close(self, meta: Mapping[str, Any], *, always: bool) -> int:
        """Commit what waits, and that all is done, if anything was found or `always`; the commit up to which all is linked."""
        if self._waiting or self.outputs or always:
            return self._commit(meta)
        return int(meta["through"])

    def _stored_of(self, pairs: Set[tuple[str, str]]) -> dict[str, dict[str, Any]]:
        """Stored links of some pairs by id: of few pairs looked up by every id that they can have, of all by their left sides, which
        those of a part have in common."""
        if self.told is not None:
            known = [(a, b) for a, b in pairs if a in self.told and b in self.told]
            return self._stored(link_id(a, b, kind) for a, b in known for kind in self.kinds)
        rows = latest(self.lake, where=("left", pa.array(sorted({a for a, _ in pairs}), pa.string()))).to_pylist()
        return {row["link_id"]: row for row in rows if (row["left"], row["right"]) in pairs}

    def _stored(self, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Stored links by id, of each its latest row."""
        ids = sorted(set(wanted)) if self.lake.parts("links") else []
        rows = latest(self.lake, where=("link_id", pa.array(ids, pa.string()))).to_pylist() if ids else []
        return {row["link_id"]: row for row in rows}

    def _add(self, stored: Mapping[str, Mapping[str, Any]], rows: Iterable[dict[str, Any]]) -> None:
        self._waiting += _changed(stored, rows, self.night)
        if len(self._waiting) >= COMMIT_ROWS:
            self._commit(self.meta)

    def _commit(self, meta: Mapping[str, Any]) -> int:
        """The commit is named by the policy, what came, and its rows: the same work of a run is done once."""
        table = records.build("links", sorted(self._waiting, key=lambda row: str(row["link_id"])))
        names = [*map(str, table["link_id"].to_pylist()), *map(str, table["version"].to_pylist())]
        name = hashlib.sha256("\n".join([meta["policy"], *self.fresh, *names]).encode()).hexdigest()
        key = f"{self.night.run_id}-{name[:16]}"
        commit = self.lake.commit(
            STAGE, key, {"links": table}, run_id=self.night.run_id, meta={**meta, "links": table.num_rows}
        )
        self.rows += table.num_rows
        self.outputs.append(f"{STAGE}/{key}")
        self._waiting = []
        return int(commit.meta["through"])


def _row(found: Mapping[str, Any], night: Night) -> dict[str, Any]:
    identity = link_id(found["left"], found["right"], found["kind"])
    return {**found, "link_id": identity, "withdrawn": False, "run_id": night.run_id, "found_at": night.as_of}


def _changed(
    known: Mapping[str, Mapping[str, Any]], rows: Iterable[dict[str, Any]], night: Night
) -> list[dict[str, Any]]:
    """The rows that are new or differ from what holds, each with the next version."""
    result = []
    for row in sorted(rows, key=lambda r: str(r["link_id"])):
        old = known.get(row["link_id"])
        evidence = orjson.loads(row["evidence"]) if isinstance(row["evidence"], str) else row["evidence"]
        if old is not None:
            text = row["evidence"] if isinstance(row["evidence"], str) else jsontext.json_text(row["evidence"])
            now = {**row, "evidence": _undated(text), "explanation": _undated(row["explanation"])}
            then = {**old, "evidence": _undated(old["evidence"]), "explanation": _undated(old["explanation"])}
            then["withdrawn"] = bool(old["withdrawn"])
            if all(now[c] == then[c] for c in _COMPARED):
                continue
        version = 1 if old is None else (old["version"] or 1) + 1
        moment = {"version": version, "run_id": night.run_id, "found_at": night.as_of}
        result.append({**row, "evidence": evidence, **moment})
    return result


def _undated(text: str) -> str:
    """Evidence or explanation without the date of the list file: a newer file that says the same changes nothing."""
    return _DATED.sub("", text)


def _not_found(stored: Mapping[str, Mapping[str, Any]], still: Collection[str]) -> list[dict[str, Any]]:
    """Stored links between referrals that no rule makes any longer."""
    return [
        {**row, "withdrawn": True, "explanation": "Withdrawn: another link says more, or the rules make none."}
        for identity, row in stored.items()
        if identity not in still and not row["withdrawn"] and not row["right"].startswith("list:")
    ]


def done(lake: Lake, digest: str) -> int:
    """The last commit that has been linked under this policy, since it last came into force; 0 when none has."""
    newest = lake.newest(STAGE)
    if not newest or newest[0].meta["policy"] != digest:
        return 0
    return int(newest[0].meta.get("through", 0))  # links of the version before are judged once more


def lists_before(lake: Lake) -> str:
    """Digest of the lists that all referrals up to the last linked commit were matched against; empty where none was noted."""
    newest = lake.newest(STAGE)
    return str(newest[0].meta.get("lists", "")) if newest else ""
