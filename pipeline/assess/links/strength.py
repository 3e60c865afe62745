"""How strong one shared value is as evidence that two referrals concern the same person or device, and why."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

STRENGTHS = ("weak", "medium", "strong")

SAID_BETTER = {
    "person_first_and_last": ("person",),
    "person_short_name": ("person", "person_first_and_last"),
    "person_surname": ("person", "person_first_and_last", "person_short_name"),
    "address_street": ("address",),
    "mailbox": ("email",),
    "other_case": ("user_id", "url"),
}
"""Kinds that only repeat, less surely, what a value of another kind says: between two referrals, and with an entry of a list."""


class Sighting(NamedTuple):
    """One lake row that holds the value, on one side of a link."""

    source: str
    row_id: str
    subject_id: str | None
    role: str | None
    port: int | None
    seen_at: datetime | None
    ambiguous: bool
    proxy: str | None

    def as_dict(self) -> dict[str, Any]:
        """The facts that are there, for the evidence of a link."""
        found: dict[str, Any] = {"table": self.source.partition(":")[0], "id": self.row_id}
        if self.subject_id is not None:
            found["subject_id"] = self.subject_id
        if self.role is not None:
            found["role"] = self.role
        if self.port is not None:
            found["port"] = self.port
        if self.seen_at is not None:
            found["seen_at"] = self.seen_at.isoformat()
        if self.ambiguous:
            found["time_ambiguous"] = True
        if self.proxy is not None:
            found["possible_proxy"] = self.proxy
        return found


class Verdict(NamedTuple):
    """Strength and reason of one shared value, and the two sightings that speak most for it."""

    kind: str
    strength: str
    reason: str
    left: Sequence[Sighting]
    right: Sequence[Sighting]


@dataclass(frozen=True)
class LinkRules:
    """policy/linking.yaml, read."""

    data: dict[str, Any]

    @cached_property
    def _ranges(self) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
        return _ranges(self.data["ip"]["ignored_ranges"]), _ranges(self.data["ip"]["shared_ranges"])

    @cached_property
    def _window(self) -> timedelta:
        return timedelta(minutes=self.data["ip"]["window_minutes"])

    @cached_property
    def _places(self) -> dict[str, tuple[str | None, str | None]]:
        """Of addresses that were met the ranges that they are in: an ignored one, a shared one."""
        return {}

    def _place(self, value: str) -> tuple[str | None, str | None]:
        found = self._places.get(value)
        if found is None:
            ignored, shared = self._ranges
            found = self._places[value] = _within(value, ignored), _within(value, shared)
        return found

    def places(self, addresses: Sequence[str]) -> pa.Table:
        """The table `addresses`: of those in a range that is ignored, or lent to many, which of the two."""
        found = [(value, *self._place(value)) for value in addresses]
        some = [place for place in found if place[1] or place[2]]
        columns = [[p[0] for p in some], [p[1] is not None for p in some], [p[2] is not None for p in some]]
        return pa.table(columns, schema=_ADDRESSES)

    def judge(
        self, kind: str, value: str, left: Sequence[Sighting], right: Sequence[Sighting], holders: int
    ) -> Verdict | None:
        """What a value shared by two referrals says; None when it says nothing (an address that names nobody).

        `holders` is the number of referrals that have the value: above `hub` it is weak whatever its kind.
        """
        verdict = self._address(value, left, right) if kind == "ip" else self._plain(kind, left, right)
        if verdict is not None and holders > self.data["hub"]:
            return verdict._replace(
                strength="weak",
                reason=f"{verdict.reason} {holders} referrals share it, so it says little about any two of them.",
            )
        return verdict

    def _plain(self, kind: str, left: Sequence[Sighting], right: Sequence[Sighting]) -> Verdict:
        rule = self.data["kinds"][kind]
        return Verdict(kind, rule["strength"], rule["reason"] + _other_roles(left, right), left, right)

    def _address(self, value: str, left: Sequence[Sighting], right: Sequence[Sighting]) -> Verdict | None:
        rules = self.data["ip"]
        ignored, shared = self._place(value)
        if ignored is not None:
            return None
        window = self._window
        proxy = any(s.proxy == "yes" for s in (*left, *right))
        with_port = closest(self._customers(left), self._customers(right), window, same_port=True)
        in_time = closest(left, right, window, same_port=False)
        way, pair = "same_address", (left[0], right[0])
        if with_port is not None:
            way, pair = "same_port_in_window", with_port
        elif shared is not None or proxy:
            way = "shared_address"
        elif in_time is not None:
            way, pair = "same_address_in_window", in_time
        reason = rules["reasons"][way]
        if way == "shared_address":
            reason += f" It is {'in a range of ' + shared if shared else 'marked as a proxy or VPN by the sender'}."
        elif any(s.ambiguous for s in (*left, *right)):
            reason += " At least one time is ambiguous and was not compared."
        kind = "ip_port_time" if way == "same_port_in_window" else "ip"
        return Verdict(kind, rules[way], reason + _other_roles([pair[0]], [pair[1]]), [pair[0]], [pair[1]])

    def _customers(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Those with a port that can be one of a customer."""
        return [s for s in sightings if s.port is not None and s.port >= self.data["ip"]["least_port"]]


_ADDRESSES = pa.schema([("value", pa.string()), ("ignored", pa.bool_()), ("lent", pa.bool_())])


def closest(
    left: Sequence[Sighting], right: Sequence[Sighting], window: timedelta, *, same_port: bool
) -> tuple[Sighting, Sighting] | None:
    """The two sightings nearest in time within `window` (with the same port, if asked); None when there are none.
    Sightings without a certain time are not compared."""
    lefts = [s for s in left if s.seen_at is not None and not s.ambiguous]
    rights = [s for s in right if s.seen_at is not None and not s.ambiguous]
    if len(lefts) == len(rights) == 1:  # nearly every pair
        one, two = lefts[0], rights[0]
        near = abs(_when(two)[0] - _when(one)[0]) <= window
        return (one, two) if near and not (same_port and (one.port is None or one.port != two.port)) else None
    groups: dict[int | None, list[Sighting]] = {}
    for s in sorted(rights, key=_when):
        groups.setdefault(s.port if same_port else None, []).append(s)
    moments = {port: [_when(s) for s in group] for port, group in groups.items()}
    best: tuple[timedelta, Sighting, Sighting] | None = None
    for s in sorted(lefts, key=_when):
        port = s.port if same_port else None
        if port not in groups or (same_port and port is None):
            continue
        here, times = _when(s), moments[port]
        place = bisect_left(times, here)
        for beside in range(max(0, place - 1), min(place + 1, len(times))):
            gap = abs(times[beside][0] - here[0])
            if gap <= window and (best is None or gap < best[0]):
                best = gap, s, groups[port][beside]
        if best is not None and not best[0]:
            break  # none can be nearer
    return None if best is None else (best[1], best[2])


def strongest(strengths: Sequence[str]) -> str:
    """The strongest of some strengths."""
    return max(strengths, key=STRENGTHS.index)


def _when(s: Sighting) -> tuple[datetime, str]:
    if s.seen_at is None:
        raise ValueError("a sighting without a time cannot be ordered")
    return s.seen_at, s.row_id


def _other_roles(left: Sequence[Sighting], right: Sequence[Sighting]) -> str:
    """Says so when the value belongs to somebody who is not a suspect on one of the sides."""
    roles = {s.role for s in (*left, *right) if s.role not in (None, "suspect", "other")}
    return f" On one side at least it belongs to a {' or '.join(sorted(map(str, roles)))}." if roles else ""


def _ranges(listed: Sequence[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((r["range"], r["label"]) for r in listed)


def _within(value: str, ranges: tuple[tuple[str, str], ...]) -> str | None:
    """Label of the first range that holds the address; a text that is no address is in none."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    return next((label for network, label in _networks(ranges) if address in network), None)


@lru_cache(maxsize=16)
def _networks(ranges: tuple[tuple[str, str], ...]) -> list[tuple[Any, str]]:
    return [(ipaddress.ip_network(text), label) for text, label in ranges]
