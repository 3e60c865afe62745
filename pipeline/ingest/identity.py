"""Is this package new, the same again, or more about a referral that is held already?

- the same content as a package held already: duplicate, whatever its container is called;
- the same source, reference and report, and no file that is not held: duplicate too;
- the same source and reference otherwise: supplement of that referral;
- naming an earlier report that is held (subsequent report, priorCTReports): supplement of that;
- anything else: a referral of its own.

Activist groups, other forces and who else phones in number their referrals each for itself: where two of them say who
they are, the same reference of both means two referrals.

A supplement keeps its own row; `supplements` names the first referral of the chain. Nothing held is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
import pyarrow as pa

from pipeline.ingest.returned import Returned, ReturnedIndex, plain_name
from pipeline.ingest.writing import personas
from pipeline.ingest.writing.context import stable_id
from pipeline.lake import Lake
from pipeline.senders import SOURCES


@dataclass(frozen=True)
class Arrival:
    """What decides: the package's content id, its report, and the digests of its media."""

    package_id: str
    source: str
    reference: str | None
    report_sha256: str
    prior: tuple[str, ...]
    media: frozenset[bytes]
    sender: str | None = None
    """Who numbers the reference, where the source has many (`sender`)."""

    @cached_property
    def own_ids(self) -> list[str]:
        """The ids that it can get for a referral of its own: the second when another sender has its number."""
        first = stable_id("referral", self.source, self.reference or self.report_sha256)
        if self.reference is None:
            return [first]
        return [first, stable_id("referral", self.source, self.reference, self.sender)]


@dataclass(frozen=True)
class Identified:
    """`state` as in the packages record, the referral the package belongs to, and the one that it extends."""

    state: str
    referral_id: str
    supplements: str | None = None


def sender(source: str, extension: Any) -> str | None:
    """Who numbers the references of a referral, for comparison; None when its source is one sender, or it does not say."""
    for key in SOURCES[source].sender:
        extension = extension.get(key) if isinstance(extension, dict) else None
    return " ".join(extension.casefold().split()) or None if isinstance(extension, str) else None


@dataclass
class Held:
    """What the lake holds of what has been asked for, and what this run has decided so far."""

    containers: dict[tuple[str, str], str] = field(default_factory=dict)
    packages: dict[str, str | None] = field(default_factory=dict)
    references: dict[tuple[str, str], str] = field(default_factory=dict)
    numbered: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """Of a source and reference the first referral by sender, for those that say who they are."""
    roots: dict[str, str] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    reports: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    media: dict[str, set[bytes]] = field(default_factory=dict)
    returned: dict[str, Returned] = field(default_factory=dict)
    lake: Lake | None = None
    quarantine: ReturnedIndex | None = None
    _asked: set[tuple[str, str]] = field(default_factory=set)
    """Column and value of what was looked up already: what this run decides is not read back over it."""

    @classmethod
    def read(cls, lake: Lake, quarantine: ReturnedIndex) -> Held:
        """Nothing yet: everything is looked up by key when packages come that it may concern."""
        return cls(lake=lake, quarantine=quarantine)

    def look_up_packages(self, packages: Iterable[str]) -> None:
        """Learn what the lake holds of packages with these ids."""
        columns = ["package_id", "container", "state", "referral_id"]
        for package, container, state, referral in self._rows("packages", "package_id", packages, columns):
            self.containers[package, container] = state
            self.packages[package] = self.packages.get(package) or referral

    def look_up(self, arrivals: Mapping[str, Arrival]) -> None:
        """Learn what the lake holds that can decide these arrivals, by container: the referrals with their references, with those
        that they name as earlier ones, and with the ids that they would get, each with its whole chain; and what they can put
        right."""
        wanted = list(arrivals.values())
        self._look_up_returned(n for c, a in arrivals.items() for n in _names(c, a.report_sha256, a.prior))
        self.look_up_packages(a.package_id for a in wanted)
        named = {a.reference for a in wanted if a.reference is not None}.union(*(a.prior for a in wanted))
        columns = ["referral_id", "source", "source_reference", "supplements", "extension"]
        roots = {i for a in wanted for i in a.own_ids}
        for referral, source, reference, root, extension in self._rows("referrals", "source_reference", named, columns):
            who = sender(source, orjson.loads(extension)) if extension and SOURCES[source].sender else None
            self._refer(source, reference, root or referral, who)
            roots.add(root or referral)
        while roots:  # the rows of an id, and of the chain that it begins or belongs to
            chain = ["referral_id", "supplements", "report_sha256"]
            of_chain = [
                *self._rows("referrals", "referral_id", roots, chain),
                *self._rows("referrals", "supplements", roots, chain),
            ]
            for referral, root, report in dict.fromkeys(of_chain):
                self._belong(referral, root, report)
            roots = {root for _, root, _ in of_chain if root and ("referral_id", root) not in self._asked}

    def _rows(self, table: str, column: str, values: Iterable[str], columns: list[str]) -> Iterator[tuple[Any, ...]]:
        """Rows of the lake in which a column has one of the values that were not asked for before."""
        fresh = sorted({v for v in values if (column, v) not in self._asked})
        self._asked.update((column, v) for v in fresh)
        if self.lake is None or not fresh:
            return iter(())
        found = self.lake.read(table, columns, where=(column, pa.array(fresh, pa.string())))
        return zip(*(found[c].to_pylist() for c in columns), strict=True)

    def remember(  # noqa: PLR0917 - the columns of a row
        self, referral: str, source: str, reference: str | None, root: str | None, report: str, who: str | None = None
    ) -> None:
        """A referral row that exists from now on; `who` as `sender`."""
        self._belong(referral, root, report)
        if reference is not None:
            self._refer(source, reference, root or referral, who)

    def _belong(self, referral: str, root: str | None, report: str) -> None:
        """A referral and the chain that it belongs to."""
        self.roots[referral] = root or referral
        members = self.members.setdefault(root or referral, [])
        if referral not in members:
            members.append(referral)
        self.reports.setdefault((root or referral, report), set()).add(referral)

    def _refer(self, source: str, reference: str, root: str, who: str | None) -> None:
        """A reference and the first referral of the chain that has it."""
        for key in (_family(source), source):
            self.references.setdefault((key, reference), root)
            if who:
                self.numbered.setdefault((key, reference), {}).setdefault(who, root)

    def root(self, source: str, reference: str, who: str | None) -> str | None:
        """The first referral that has a reference; of several senders the one that says it is `who`."""
        first = self.references.get((source, reference))
        named = self.numbered.get((source, reference))
        if first is None or not who or not named:
            return first
        return named.get(who, None if first in named.values() else first)

    def put_back(self, package: str, container: str, report: str | None, returned: Returned) -> None:
        """A package that is in quarantine from now on. Of several with one name the earliest clock counts."""
        for key in filter(None, (package, plain_name(container), report)):
            known = self.returned.get(key, returned)
            self.returned[key] = min(known, returned, key=_earliest)

    def corrected_by(self, container: str, report: str | None, prior: Iterable[str]) -> Returned | None:
        """The package in quarantine that a package puts right: it names its reference, has its report or its name."""
        keys = _names(container, report, prior)
        self._look_up_returned(keys)
        found = [known for key in keys if (known := self.returned.get(key))]
        return min(found, key=_earliest, default=None)

    def _look_up_returned(self, keys: Iterable[str]) -> None:
        """Learn which packages in quarantine have one of these names, reports or ids."""
        fresh = sorted({k for k in keys if ("returned", k) not in self._asked})
        self._asked.update(("returned", k) for k in fresh)
        for key, found in self.quarantine.named(fresh) if self.quarantine and fresh else ():
            self.returned[key] = min(found, self.returned.get(key, found), key=_earliest)

    def media_of(self, root: str) -> set[bytes]:
        """SHA-256 of every file held for a referral and its supplements."""
        if root not in self.media:
            members = pa.array(sorted(self.members.get(root, [])), pa.string())
            where = ("referral_id", members)
            found = self.lake.read("media_files", ["sha256"], where=where) if self.lake and len(members) else None
            self.media[root] = set(found["sha256"].drop_null().to_pylist()) if found else set()
        return self.media[root]

    @cached_property
    def personas(self) -> personas.KnownPersonas:
        """Names that covert sources use."""
        return personas.KnownPersonas(self.lake)


def _names(container: str, report: str | None, prior: Iterable[str]) -> list[str]:
    """Under which a package is found that this one puts right."""
    return [*prior, *filter(None, (report, plain_name(container)))]


def _earliest(returned: Returned) -> tuple[datetime, str]:
    return returned.clock_from, returned.package_id


def _family(source: str) -> str:
    return "family:" + SOURCES[source].family


def decide(arrival: Arrival, held: Held) -> Identified:
    """The state of one package; `held` learns it."""
    known = held.packages.get(arrival.package_id)
    if known is not None:
        return Identified("duplicate", known)
    own, *another = arrival.own_ids
    who = arrival.sender
    root = held.root(arrival.source, arrival.reference, who) if arrival.reference else held.roots.get(own)
    if root is None and own in held.roots:  # another sender has this number
        [own] = another
    if root is not None:
        if (root, arrival.report_sha256) in held.reports and arrival.media <= held.media_of(root):
            held.packages[arrival.package_id] = root
            return Identified("duplicate", root)
        decision = Identified("supplement", stable_id("referral", own, arrival.package_id), root)
    else:
        prior = [r for p in sorted(set(arrival.prior)) if (r := held.root(_family(arrival.source), p, who))]
        decision = Identified("supplement", own, prior[0]) if prior else Identified("accepted", own)
    first = decision.supplements or decision.referral_id
    media = held.media_of(first) if decision.supplements else set()
    held.packages[arrival.package_id] = decision.referral_id
    held.remember(
        decision.referral_id, arrival.source, arrival.reference, decision.supplements, arrival.report_sha256, who
    )
    held.media[first] = media | arrival.media
    return decision


def in_order(arrivals: Iterable[tuple[str, Arrival]]) -> list[str]:
    """Keys of arrivals so that a report comes after those it names as earlier; otherwise by key.

    Reports that name each other in a circle come in order of their keys.
    """
    waiting = dict(sorted(arrivals, key=lambda item: item[0]))
    by_reference: dict[tuple[str, str], list[str]] = {}
    for key, arrival in waiting.items():
        if arrival.reference is not None:
            by_reference.setdefault((_family(arrival.source), arrival.reference), []).append(key)
    done: dict[str, None] = {}
    for start in waiting:
        stack = [start]
        entered: set[str] = set()
        while stack:
            key = stack[-1]
            needs = [] if key in entered else _needed(waiting[key], by_reference)
            entered.add(key)
            needs = [n for n in needs if n not in done and n not in entered]
            if needs:
                stack.extend(reversed(needs))
            else:
                done.setdefault(stack.pop())
    return list(done)


def _needed(arrival: Arrival, by_reference: dict[tuple[str, str], list[str]]) -> list[str]:
    family = _family(arrival.source)
    return [key for prior in arrival.prior for key in by_reference.get((family, prior), [])]
