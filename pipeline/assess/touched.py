"""Which cases a night has to look at: those that something new concerns, or all of them when the rules have changed.

What a case file is made of is the same as at its last assessment unless a commit since then brought a row of it: of one of
its referrals, of a content that it holds, of a link, an answer, or a package in quarantine that belongs to it. The commits
up to which all cases were assessed, and by which rules, stand in the lake as the stage `assessed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import __version__, policy
from pipeline.assess.evidence.case_file import case_id, roots
from pipeline.assess.models.model import Model
from pipeline.contract import Night
from pipeline.ingest.held import deciding, held_back
from pipeline.lake import Commit, Lake, Part
from pipeline.lake.kept.extracts import Extract
from pipeline.settings import Settings

STAGE = "assessed"
REFERRAL = ("referrals", "media_files", "facts", "subjects", "packages")
"""Tables whose rows name the referral that they belong to."""
OF_ALL = ("floods", "flood_releases")
"""Tables of which any new row may concern every case."""
POLICIES = ("facts", "lists", "linking")


def _extending(rows: pa.Table) -> pa.Table:
    """Referrals that extend another, with the case that each would be alone: its id is a digest, and these are all nights'."""
    rows = rows.filter(pc.is_valid(rows["supplements"])).select(["referral_id", "supplements"])
    return rows.append_column("case_id", pa.array(map(case_id, rows["referral_id"].to_pylist()), pa.string()))


EXTENDING = Extract("referrals", "extending-2", ("referral_id", "supplements"), _extending)
_NONE = _extending(pa.table({name: pa.array([], pa.string()) for name in EXTENDING.columns}))


@dataclass(frozen=True)
class Chains:
    """Which referrals make a case, as far as one extends another; any other referral is a case of its own.

    `root` has the first referral of each that extends or is extended, `joined` the ids of cases that have joined another so.
    """

    root: Mapping[str, str]
    joined: pa.Array

    @classmethod
    def read(cls, lake: Lake) -> Chains:
        """Those of all referrals in a lake. They follow from its parts, whose names say what is in them: a process that asks
        again, before anything came, is given what it has."""
        return _of_parts(lake, tuple(lake.parts("referrals")))

    def case(self, referral: str) -> str:
        return case_id(self.root.get(referral, referral))

    def members(self, referrals: Iterable[str]) -> set[str]:
        """All referrals of the cases of some; a root that has not arrived is among them."""
        own = set(referrals)
        wanted = {self.root[r] for r in own if r in self.root}
        return own | {r for r, root in self.root.items() if root in wanted}


@lru_cache(maxsize=1)
def _of_parts(lake: Lake, parts: tuple[Part, ...]) -> Chains:
    rows = pa.concat_tables([_NONE, *(found for _, found in lake.extract(EXTENDING))])
    names = rows["referral_id"].to_pylist()
    found = roots(dict(zip(names, rows["supplements"].to_pylist(), strict=True)))
    firsts = set(found.values())
    joined = rows["case_id"].filter(pa.array([name not in firsts for name in names], pa.bool_()))
    return Chains(found | {root: root for root in firsts}, joined.combine_chunks())


@dataclass(frozen=True)
class Work:
    """What is to be assessed: `referrals` of the cases concerned, or None for every case. `through` is the last commit
    that was looked at, `rules` the digest of what else decides."""

    referrals: frozenset[str] | None
    through: int
    rules: str
    fresh: int


def find(settings: Settings, model: Model, lake: Lake) -> Work:
    """The work since the last night that assessed all that it had to, by the same rules."""
    rules, last = _rules(settings, model), lake.last()
    newest = lake.newest(STAGE)
    before: dict[str, Any] = newest[0].meta if newest else {"rules": "", "through": 0, "own": []}
    fresh = [c for c in lake.commits(after=int(before["through"])) if f"{c.stage}/{c.key}" not in before["own"]]
    fresh = [c for c in fresh if c.stage not in (STAGE, "assess") and c.parts]
    if before["rules"] != rules or any(p.table in OF_ALL for c in fresh for p in c.parts):
        return Work(None, last, rules, max(1, len(fresh)))
    if not fresh:
        return Work(frozenset(), last, rules, 0)
    return Work(frozenset(_concerned(lake, fresh)), last, rules, len(fresh))


def since(lake: Lake, through: int) -> frozenset[str] | None:
    """Referrals concerned by what came after a commit, assessments left out; None where that may be every case."""
    fresh = [c for c in lake.commits(after=through) if c.stage not in (STAGE, "assess") and c.parts]
    if any(p.table in OF_ALL for c in fresh for p in c.parts):
        return None
    return frozenset(_concerned(lake, fresh)) if fresh else frozenset()


def done(lake: Lake, night: Night, work: Work, own: Iterable[str]) -> None:
    """Note that all of the work is assessed. `own` are the commits that it made itself (`<stage>/<key>`)."""
    if work.fresh:
        meta = {"through": work.through, "rules": work.rules, "own": sorted(own)}
        lake.commit(STAGE, f"{night.run_id}-{work.through}-{work.rules[:12]}", {}, run_id=night.run_id, meta=meta)


def _rules(settings: Settings, model: Model) -> str:
    parts = [model.digest, __version__, settings.force, *(policy.load(settings, name).digest for name in POLICIES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _concerned(lake: Lake, fresh: list[Commit]) -> set[str]:
    """Referrals of which a fresh commit brought something."""

    def new(table: str, columns: list[str]) -> pa.Table:
        return lake.read(table, columns, commits=fresh)

    found: set[str] = set()
    for table in REFERRAL:
        found.update(new(table, ["referral_id"])["referral_id"].drop_null().to_pylist())
    links = new("links", ["left", "right"])
    found.update(x for side in ("left", "right") for x in links[side].to_pylist() if not x.startswith("list:"))
    matches = new("matches", ["sha256", "file_id"])
    prints = new("fingerprints", ["sha256"])
    files = pc.unique(matches["file_id"].drop_null())
    contents = pa.concat_arrays([*matches["sha256"].chunks, *prints["sha256"].chunks, pa.array([], pa.binary(32))])
    for column, values in (("sha256", contents.unique()), ("file_id", files)):
        if len(values):
            found.update(lake.read("media_files", ["referral_id"], where=(column, values))["referral_id"].to_pylist())
    found |= _moved(lake, new("referrals", ["referral_id", "supplements"]))
    found |= _quarantine(lake, new("packages", ["package_id"])["package_id"])
    answered = set(new("answers", ["case_id"])["case_id"].to_pylist())
    if answered:
        chains = Chains.read(lake)
        everyone = lake.read("referrals", ["referral_id"])["referral_id"].to_pylist()
        found.update(r for r in everyone if chains.case(r) in answered or case_id(r) in answered)
    return found


def _moved(lake: Lake, fresh: pa.Table) -> set[str]:
    """Referrals linked with cases that a supplement may have brought together: what was two other cases may be one."""
    extending = fresh.filter(pc.is_valid(fresh["supplements"]))["referral_id"].to_pylist()
    if not extending:
        return set()
    members = pa.array(sorted(Chains.read(lake).members(extending)), pa.string())
    found: set[str] = set()
    for side in ("left", "right"):
        links = lake.read("links", ["left", "right"], where=(side, members))
        found.update(x for name in ("left", "right") for x in links[name].to_pylist() if not x.startswith("list:"))
    return found


def _quarantine(lake: Lake, fresh: pa.ChunkedArray) -> set[str]:
    """Referrals whose packages in quarantine are others since the packages with these ids came."""
    if not len(fresh):
        return set()
    packages = deciding(lake, "package_id", fresh.to_pylist())
    came = pc.is_in(packages["package_id"], value_set=fresh.combine_chunks())
    before, after = held_back(packages.filter(pc.invert(came))), held_back(packages)
    return {r for r in before.keys() | after.keys() if before.get(r) != after.get(r)}
