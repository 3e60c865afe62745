"""Links: which referrals share an identifier, a person or a file, with the evidence and its strength.

Incremental: keys of what is new are looked up among the keys of everything; only pairs in which something is new are
judged, each on all that the two share. Judging everything at once gives the same links (tests compare the two, and
both with a slow twin). One link per pair and kind; a link that changes gets a new row with a higher version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import jsontext, policy, records
from pipeline.assess import database
from pipeline.assess.evidence.case_file import ListHit
from pipeline.assess.links import conflicts, keys, lists, naming, sharing, similar
from pipeline.assess.links.index import KeyIndex
from pipeline.assess.links.judging import judge
from pipeline.assess.links.strength import LinkRules
from pipeline.assess.touched import Chains
from pipeline.collector import no_cycle_search
from pipeline.contract import Night
from pipeline.ingest.geography import forces
from pipeline.lake import Lake
from pipeline.lake.parts import Where
from pipeline.settings import Settings

STAGE = "link"

_COMPARED = ("kind", "strength", "evidence", "explanation", "shared", "withdrawn")
_DATED = re.compile(r'"dated":"\d{4}-\d{2}-\d{2}",|, dated \d{4}-\d{2}-\d{2},')


@dataclass
class Linked:
    """What linking hands on: the links that hold now, the hits on the force's lists, and figures for the report."""

    settings: Settings
    lake: Lake
    counts: dict[str, int | float | str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def current(self) -> pa.Table:
        """The links that hold, without their evidence."""
        return current(self.lake, LIGHT)

    def of(self, referrals: frozenset[str] | None) -> tuple[pa.Table, list[ListHit]]:
        """The links that hold of some referrals (None: all) without their evidence, looked up by key, and the hits on lists and
        conflicts of these referrals."""
        now = self.current if referrals is None else _current_of(self.lake, referrals)
        return now, lists.hits(self.settings, now) + conflicts.hits(self.settings, self.lake, now)


def _current_of(lake: Lake, referrals: frozenset[str]) -> pa.Table:
    wanted = pa.array(sorted(referrals), pa.string())
    rows = pa.concat_tables([lake.read("links", LIGHT, where=(side, wanted)) for side in ("left", "right")])
    return _held(newest(rows))


def link(settings: Settings, night: Night, lake: Lake) -> Linked:
    """Link what no earlier run has linked and match the lists anew; commits the new and changed links.

    Raises SettingsError for a policy file that cannot be used, BusyError while another process links.
    """
    with no_cycle_search():
        return _link(settings, night, lake)


def _link(settings: Settings, night: Night, lake: Lake) -> Linked:
    rules = policy.load(settings, "linking")
    done, last = _done(lake, rules.digest), lake.last()
    index = KeyIndex(settings, rules.digest)
    with database.connection(settings, {}) as con:
        came = keys.fresh(lake, done)
        fresh = sorted(p.name for p in came)
        kept = index.attach(con, lake, done, writing=bool(fresh))
        keys.views(con, lake, done, came, indexed=kept)
        _look_up(settings, con, index, rules.data, done, kept=kept, writing=bool(fresh))
        found = find(con, rules.data, Chains.read(lake).root, first=not done, kept=True) if fresh else Found()
        listed = lists.match(settings, night, con, rules.data, _lists_before(lake) if kept else "")
        told = _told_before(con, found, listed)
        table = _table(lake, night, found, listed, told, everything=not done, kinds=("ip", *rules.data["kinds"]))
        counts: dict[str, int | float | str] = {
            "links_new_or_changed": table.num_rows,
            "links_judged": len(found.links),
        }
        outputs = []
        if fresh or table.num_rows:
            meta = {"policy": rules.digest, "through": last if fresh else done, "links": table.num_rows}
            meta["lists"] = listed.digest
            key = _key(night, rules.digest, fresh, table)
            commit = lake.commit(STAGE, key, {"links": table}, run_id=night.run_id, meta=meta)
            outputs.append(f"{commit.stage}/{commit.key}")
            if fresh:
                index.add(con, int(commit.meta["through"]), _referrals(con, "new"))
    return Linked(settings, lake, counts | listed.counts, outputs)


def _look_up(
    settings: Settings,
    con: duckdb.DuckDBPyConnection,
    index: KeyIndex,
    rules: Mapping[str, Any],
    done: int,
    *,
    kept: bool,
    writing: bool,
) -> None:
    """Look up the spellings of what is new; where the index of the keys of earlier nights was not there, of everything, and
    make it anew."""
    naming.register(con, rules)
    similar.register(con, forces.counties(settings), kept=kept)
    if not kept:
        index.make(con, done, _referrals(con, "old"), writing=writing)
        keys.written(con, "new")


def _told_before(con: duckdb.DuckDBPyConnection, found: Found, listed: lists.Listed) -> frozenset[str]:
    """Those of the referrals that were judged, or are on a list, that earlier nights linked: only between these, and of these with
    lists, there can be a stored link."""
    judged = {side for pair in found.pairs for side in pair} | {row["left"] for row in listed.links}
    con.register("judged", pa.table({"referral_id": pa.array(sorted(judged), pa.string())}))
    return frozenset(database.query(con, database.sql("link_old"))["referral_id"].to_pylist())


def _table(
    lake: Lake,
    night: Night,
    found: Found,
    listed: lists.Listed,
    told: Container[str],
    *,
    everything: bool,
    kinds: Iterable[str],
) -> pa.Table:
    """The links that are new or have changed, and those that hold no more, each with its next version. `told`: referrals that may
    have stored links with each other."""
    rows = [_row(f, night) for f in (*found.links, *listed.links)]
    wanted: set[str] = set()
    if lake.parts("links"):
        wanted = {link_id(a, b, kind) for a, b in found.pairs if a in told and b in told for kind in kinds}
        wanted |= {r["link_id"] for r in rows if r["left"] in told and r["right"].startswith("list:")}
    known = _known(lake, wanted, listed.read, everything=everything)
    gone = _not_found(known, found, everything=everything)
    return records.build("links", _changed(known, [*rows, *gone, *lists.withdrawn(known, listed)], night))


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


def _known(lake: Lake, wanted: set[str], to_lists: set[str], *, everything: bool) -> dict[str, dict[str, Any]]:
    """Stored links by id: those wanted and all to some lists (whose name is the kind of the link), or everything."""
    if everything:
        return {r["link_id"]: r for r in latest(lake).to_pylist()}
    chosen = (("link_id", wanted), ("kind", to_lists))
    some = [latest(lake, where=(c, pa.array(sorted(values), pa.string()))) for c, values in chosen if values]
    return {r["link_id"]: r for table in some for r in table.to_pylist()}


@dataclass
class Found:
    """Links that were judged, and every pair of referrals that was: a link of such a pair that is not among them no
    longer holds (its value is now part of a better link)."""

    links: list[dict[str, Any]] = field(default_factory=list)
    pairs: set[tuple[str, str]] = field(default_factory=set)


def find(
    con: duckdb.DuckDBPyConnection,
    rules: Mapping[str, Any],
    chains: Mapping[str, str],
    *,
    first: bool = False,
    kept: bool = False,
) -> Found:
    """Links among the views of `keys.views` (and `naming`) in which something new takes part, ordered by both sides and kind.

    `rules` is policy/linking.yaml; `chains` maps referrals that extend another, or are extended, to the first of their case:
    within a case only supplements are linked. `first` says that no earlier night has linked anything, so that there is nothing
    old to look among; `kept` that the keys of what is old stand in the kept index (they are made from the views otherwise).
    """
    judged = LinkRules(dict(rules))
    con.register("kinds", sharing.kinds(rules))
    con.register("ignored", pa.table({"role": pa.array(rules["ignored_roles"], pa.string())}))
    con.register("chains", pa.table({"referral_id": list(chains), "root": list(chains.values())}, schema=_CHAINS))
    wanted = database.sql("link_wanted", keys=database.sql("rows", view="new_keys"))
    con.execute(database.sql("link_affected", new=keys.new(), wanted=wanted))
    everything, near = (keys.kept(), keys.kept_near) if kept else (keys.old(), lambda _among: keys.old())
    if not first:
        con.execute(database.sql("link_touched", old=database.sql("link_wanted", keys=near("touched"))))
    con.execute(database.sql("link_holders"))
    con.execute(database.sql("link_pairs", hub=int(rules["hub"]), few=int(rules["hub_links"])))
    if database.query(con, "FROM old_pairs LIMIT 1").num_rows:
        of_pairs = database.sql("link_wanted", keys=everything)
        con.execute(database.sql("link_widen", old=of_pairs, near=database.sql("link_wanted", keys=near("more"))))
        con.execute(database.sql("link_holders"))
    found = Found(pairs=sharing.choose(con, judged))
    for shared, sightings in sharing.parts(con):
        found.links += judge(judged, shared, sightings)
    return found


_CHAINS = pa.schema([("referral_id", pa.string()), ("root", pa.string())])


def link_id(left: str, right: str, kind: str) -> str:
    """Stable id of a link: both sides and the kind (`ip` and `ip_port_time` are one kind that can grow stronger)."""
    kind = "ip" if kind == "ip_port_time" else kind
    return "L-" + hashlib.sha256(f"{left}\x1f{right}\x1f{kind}".encode()).hexdigest()[:32]


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


def _not_found(known: Mapping[str, Mapping[str, Any]], found: Found, *, everything: bool) -> list[dict[str, Any]]:
    """Stored links of the judged pairs that no rule makes any longer; of all pairs, when everything was judged."""
    if not known:
        return []
    still = {link_id(f["left"], f["right"], f["kind"]) for f in found.links}
    return [
        {**row, "withdrawn": True, "explanation": "Withdrawn: another link says more, or the rules make none."}
        for identity, row in known.items()
        if identity not in still
        and not row["withdrawn"]
        and not row["right"].startswith("list:")
        and (everything or (row["left"], row["right"]) in found.pairs)
    ]


def _referrals(con: duckdb.DuckDBPyConnection, age: str) -> list[str]:
    """Ids of new or old referrals, and of those that they extend."""
    rows = database.query(con, database.sql("rows", view=f"{age}_referrals"))
    return [x for name in ("referral_id", "supplements") for x in rows[name].drop_null().to_pylist()]


def _done(lake: Lake, digest: str) -> int:
    """The last commit that has been linked under this policy, since it last came into force; 0 when none has."""
    newest = lake.newest(STAGE)
    if not newest or newest[0].meta["policy"] != digest:
        return 0
    return int(newest[0].meta.get("through", 0))  # links of the version before are judged once more


def _lists_before(lake: Lake) -> str:
    """Digest of the lists that all referrals up to the last linked commit were matched against; empty where none was noted."""
    newest = lake.newest(STAGE)
    return str(newest[0].meta.get("lists", "")) if newest else ""


def _key(night: Night, digest: str, fresh: Iterable[str], table: pa.Table) -> str:
    text = "\n".join([digest, *fresh, *map(str, table["link_id"].to_pylist()), *map(str, table["version"].to_pylist())])
    return f"{night.run_id}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
