"""The declared sources (policy/hashsets.yaml) and their category maps, with the digests that identify them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import policy
from pipeline.errors import SettingsError, UsageError
from pipeline.jsontext import canonical_json
from pipeline.settings import Settings

LOCAL = "local"
"""Source of what people enter by hand (withdrawals are entered in the name of the source they concern)."""


@dataclass(frozen=True)
class CategoryMap:
    """What one source's categories mean; a value or country that is not listed is UNMAPPED."""

    name: str
    version: str
    digest: str
    countries: tuple[str, ...]
    categories: Mapping[str, str]
    labels: Mapping[str, str]

    def rows(self, source_id: str) -> list[tuple[str, str, str, str, str]]:
        """(source, country, raw, category, label) of every mapped value, for the store."""
        return [
            (source_id, country, raw, category, self.labels[raw])
            for country in self.countries
            for raw, category in self.categories.items()
        ]


@dataclass(frozen=True)
class KnownSource:
    """One source as declared. `origin` groups sources that are not independent of each other."""

    source_id: str
    name: str
    owner: str
    kind: str
    jurisdiction: str
    category_map: CategoryMap
    origin: str
    enabled: bool
    votes: int
    delivery: str
    handling: str
    reader: str | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    list_form: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False
    """Whether it is what this force itself categorised: only such a source's files are attached to a case."""


@dataclass(frozen=True)
class HashsetPolicy:
    """policy/hashsets.yaml with the category maps it names. `digest` covers everything that decides a standing."""

    sources: Mapping[str, KnownSource]
    trusted_votes: int
    keep: int
    pinned: tuple[int, ...]
    max_withdrawn_share: float
    approval: Mapping[str, Mapping[str, float]]
    approvers: tuple[Mapping[str, str], ...]
    digest: str

    def source(self, source_id: str) -> KnownSource:
        """The declared source. Raises UsageError when it is not declared."""
        try:
            return self.sources[source_id]
        except KeyError:
            raise UsageError(
                f"Source {source_id!r} is not declared.",
                f"Declared in policy/hashsets.yaml: {', '.join(self.sources)}.",
            ) from None


def load(settings: Settings) -> HashsetPolicy:
    """Read and check the policy and every category map. Raises SettingsError naming the file and the fault."""
    loaded = policy.load(settings, "hashsets")
    data = loaded.data
    maps = {name: load_map(settings, name) for name in sorted({s["category_map"] for s in data["sources"].values()})}
    sources = {}
    for source_id, s in data["sources"].items():
        sources[source_id] = KnownSource(
            source_id,
            s["name"],
            s["owner"],
            s["kind"],
            s["jurisdiction"],
            maps[s["category_map"]],
            s.get("origin", source_id),
            s.get("enabled", True),
            s.get("votes", 1),
            s.get("delivery", "increment"),
            s.get("handling", ""),
            s.get("reader"),
            s.get("columns", {}),
            s.get("list", {}),
            s.get("own", False),
        )
    decisive = {
        "trusted_votes": data["grade"]["trusted_votes"],
        "sources": {s.source_id: [s.kind, s.origin, s.enabled, s.category_map.digest] for s in sources.values()},
    }
    return HashsetPolicy(
        sources,
        data["grade"]["trusted_votes"],
        data["releases"]["keep"],
        tuple(data["releases"]["pinned"]),
        data["imports"]["max_withdrawn_share"],
        data["approval"]["limits"],
        tuple(data["approval"]["airflow_users"]),
        hashlib.sha256(canonical_json(decisive).encode()).hexdigest(),
    )


def load_map(settings: Settings, name: str) -> CategoryMap:
    """One category map of policy/category-maps. Raises SettingsError for a fault in it or a name with a path."""
    if "/" in name or name.startswith("."):
        raise SettingsError(f"Category map {name!r} is not a plain name.")
    loaded = policy.load(settings, f"category-maps/{name}", "category-map")
    entries = loaded.data["categories"]
    if len({raw.upper() for raw in entries}) != len(entries):
        raise SettingsError(f"Category map {name} has two categories that differ only in upper and lower case.")
    return CategoryMap(
        name,
        loaded.version,
        loaded.digest,
        tuple(loaded.data["countries"]),
        {raw: e["category"] for raw, e in entries.items()},
        {raw: e["label"] for raw, e in entries.items()},
    )
