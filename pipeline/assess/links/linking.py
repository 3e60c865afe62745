"""Links: which referrals share an identifier, a person or a file, with the evidence and its strength.

Incremental: keys of what is new are looked up among the keys of everything; only pairs in which something is new are
judged, each on all that the two share. Judging everything at once gives the same links (tests compare the two, and
both with a slow twin). One link per pair and kind; a link that changes gets a new row with a higher version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from pipeline import policy
from pipeline.assess import database
from pipeline.assess.evidence.case_file import ListHit
from pipeline.assess.links import conflicts, keys, lists, naming, sharing, similar, stored
from pipeline.assess.links.index import KeyIndex
from pipeline.assess.links.judging import judge
from pipeline.assess.links.strength import LinkRules
from pipeline.assess.touched import Chains
from pipeline.collector import no_cycle_search
from pipeline.contract import Night
from pipeline.ingest.geography import forces
from pipeline.lake import Lake
from pipeline.settings import Settings


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
        return stored.current(self.lake, stored.LIGHT)

    def of(self, referrals: frozenset[str] | None) -> tuple[pa.Table, list[ListHit]]:
        """The links that hold of some referrals (None: all) without their evidence, looked up by key, and the hits on lists and
        conflicts of these referrals."""
        now = self.current if referrals is None else stored.current_of(self.lake, referrals)
        return now, lists.hits(self.settings, now) + conflicts.hits(self.settings, self.lake, now)


def link(settings: Settings, night: Night, lake: Lake) -> Linked:
    """Link what no earlier run has linked and match the lists anew; commits the new and changed links.

    Raises SettingsError for a policy file that cannot be used, BusyError while another process links.
    """
    with no_cycle_search():
        return _link(settings, night, lake)


def _link(settings: Settings, night: Night, lake: Lake) -> Linked:
    rules = policy.load(settings, "linking")
    done, before, last = stored.done(lake, rules.digest), stored.lists_before(lake), lake.last()
    index = KeyIndex(settings, rules.digest)
    with database.connection(settings, {}) as con:
        came = keys.fresh(lake, done)
        fresh = sorted(p.name for p in came)
        kept = index.attach(con, lake, done, writing=bool(fresh))
        keys.views(con, lake, done, came, indexed=kept)
        _look_up(settings, con, index, rules.data, done, kept=kept, writing=bool(fresh))
        found = find(con, rules.data, Chains.read(lake).root, first=not done, kept=True) if fresh else Found()
        listed = lists.match(settings, night, con, rules.data, before if kept else "")
        told = _told_before(con, found, listed) if done else None
        meta = {"policy": rules.digest, "through": done, "lists": before}
        kinds = ("ip", *rules.data["kinds"])
        writer = stored.LinkWriter(lake, night, kinds=kinds, told=told, fresh=fresh, meta=meta)
        judged = _write(writer, found, listed)
        meta |= {"through": last if fresh else done, "lists": listed.digest}
        through = writer.close(meta, always=bool(fresh))
        if fresh:
            index.add(con, through, _referrals(con, "new"))
    counts: dict[str, int | float | str] = {"links_new_or_changed": writer.rows, "links_judged": judged}
    return Linked(settings, lake, counts | listed.counts, writer.outputs)


def _write(writer: stored.LinkWriter, found: Found, listed: lists.Listed) -> int:
    """Hand all that was found to the writer, each pair with all its links; how many links that were."""
    number, left = 0, set(found.pairs)
    for part in found.parts:
        writer.judged(part.pairs, part.links)
        number += len(part.links)
        left -= part.pairs
    writer.judged(left, [])
    writer.others()
    writer.listed(listed)
    return number


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


@dataclass(frozen=True)
class JudgedPairs:
    """Some pairs and all their links."""

    pairs: set[tuple[str, str]]
    links: list[dict[str, Any]]


@dataclass(frozen=True)
class Found:
    """Every pair of referrals that is judged, and their links, part by part while they are asked for: a link of such a pair that is
    not among them no longer holds (its value is now part of a better link). Pairs that are in no part have none."""

    pairs: set[tuple[str, str]] = field(default_factory=set)
    parts: Iterable[JudgedPairs] = ()


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
    everything = keys.kept() if kept else keys.old()
    if not first:
        con.execute(database.sql("link_touched"))
        _also(con, "touched", kept=kept)
    con.execute(database.sql("link_holders"))
    con.execute(database.sql("link_pairs", hub=int(rules["hub"]), few=int(rules["hub_links"])))
    if database.query(con, "FROM old_pairs LIMIT 1").num_rows:
        con.execute(database.sql("link_more", old=database.sql("link_wanted", keys=everything)))
        _also(con, "more", kept=kept)
        con.execute(database.sql("link_holders"))
    return Found(sharing.choose(con, judged), _parts(con, judged))


def _also(con: duckdb.DuckDBPyConnection, among: str, *, kept: bool) -> None:
    """Put to the keys that are affected the old ones of a table with the columns kind and value."""
    old = keys.kept_near(con, among) if kept else keys.old()
    con.execute(database.sql("link_also", among=among, old=database.sql("link_wanted", keys=old)))


def _parts(con: duckdb.DuckDBPyConnection, rules: LinkRules) -> Iterator[JudgedPairs]:
    """The pairs of the table `shared`, judged part by part."""
    for shared, sightings in sharing.parts(con):
        pairs = set(zip(shared["a"].to_pylist(), shared["b"].to_pylist(), strict=True))
        yield JudgedPairs(pairs, judge(rules, shared, sightings))


_CHAINS = pa.schema([("referral_id", pa.string()), ("root", pa.string())])


def _referrals(con: duckdb.DuckDBPyConnection, age: str) -> list[str]:
    """Ids of new or old referrals, and of those that they extend."""
    rows = database.query(con, database.sql("rows", view=f"{age}_referrals"))
    return [x for name in ("referral_id", "supplements") for x in rows[name].drop_null().to_pylist()]
