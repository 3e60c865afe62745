"""Whether a release that was built may be published without a person: what it changes, and what policy lets pass.

    hashsets/approvals/<release>-<digest of its manifest>.json    what is known of one built release, and who decided

A record belongs to one manifest: a release that is built anew, from other imports or by other rules, is judged anew.
The first release of all has nothing before it and passes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hashsets import sources
from hashsets.release import manifest, releases
from hashsets.release.releases import Pointer, Release
from hashsets.release.tables import scalar
from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.settings import Settings

PASSES, WAITS, APPROVED, REFUSED = "passes", "waits", "approved", "refused"
PUBLISHABLE = (PASSES, APPROVED)
NO_CATEGORY = "no category"


@dataclass(frozen=True)
class Difference:
    """What a release says that the one before did not, in numbers of media.

    `standing`: media that stood before. `new`, `withdrawn`, `recategorised`: category (before and after: "A to B") to how
    many. `moved`: "band to band" to how many cases would change their band, None where it was not computed.
    """

    release: int
    previous: int
    standing: int
    new: Mapping[str, int]
    withdrawn: Mapping[str, int]
    recategorised: Mapping[str, int]
    moved: Mapping[str, int] | None = None
    cases_looked_at: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind of change, by the names that policy/hashsets.yaml `approval` has."""
        return {
            "withdrawn": sum(self.withdrawn.values()),
            "new": sum(self.new.values()),
            "recategorised": sum(self.recategorised.values()),
            "cases_moved": sum((self.moved or {}).values()),
        }


@dataclass(frozen=True)
class Judged:
    """A built release with its difference, why it waits (empty: it need not), its state, and who decided, when and why."""

    manifest_sha256: str
    difference: Difference
    reasons: tuple[str, ...]
    state: str
    person: str = ""
    name: str = ""
    reason: str = ""
    decided_at: str = ""
    imports: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    @property
    def release(self) -> int:
        return self.difference.release

    def decided(self, state: str, person: str, name: str, reason: str, at: datetime) -> Judged:
        """The same with a person's decision."""
        return replace(self, state=state, person=person, name=name, reason=reason, decided_at=at.isoformat())


def built(settings: Settings) -> Release | None:
    """The release that was built and is not published, verified; None when there is none.

    Raises IntegrityError when it is damaged.
    """
    now = releases.pointer(settings)
    number = (now.number if now else 0) + 1
    path = settings.releases_dir / str(number) / manifest.NAME
    if not path.is_file():
        return None
    return releases.opened(settings, Pointer(number, files.sha256(path)))


def difference(previous: Release, newer: Release) -> Difference:
    """Count what changed between two releases, by category."""
    changed = newer.delta(previous.number)
    of = {kind: changed.filter(pc.equal(changed["change"], kind)) for kind in ("new", "withdrawn", "regraded")}
    with previous.kept_open():
        standing = _standing(previous)
        before = _categories(previous, pa.concat_tables([of["withdrawn"], of["regraded"]])["media_key"])
    moved = Counter(
        f"{before.get(key, NO_CATEGORY)} to {category or NO_CATEGORY}"
        for key, category in zip(
            of["regraded"]["media_key"].to_pylist(), of["regraded"]["category"].to_pylist(), strict=True
        )
        if before.get(key, NO_CATEGORY) != (category or NO_CATEGORY)
    )
    return Difference(
        release=newer.number,
        previous=previous.number,
        standing=standing,
        new=_sorted(Counter(c or NO_CATEGORY for c in of["new"]["category"].to_pylist())),
        withdrawn=_sorted(Counter(before.get(k, NO_CATEGORY) for k in of["withdrawn"]["media_key"].to_pylist())),
        recategorised=_sorted(moved),
    )


def _standing(release: Release) -> int:
    con = release.connect()
    try:
        return int(scalar(con, "SELECT count(*) FROM media WHERE media_key >= 0 AND grade <> 'WITHDRAWN'"))
    finally:
        con.close()


def _categories(release: Release, keys: Any) -> dict[int, str]:
    rows = release.describe(keys)
    pairs = zip(rows["media_key"].to_pylist(), rows["category"].to_pylist(), strict=True)
    return {key: category or NO_CATEGORY for key, category in pairs}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


_TITLES = {
    "withdrawn": "withdrawn media",
    "new": "new media",
    "recategorised": "media with another category",
    "cases_moved": "cases that would move to another band",
}


def beyond(limits: Mapping[str, Mapping[str, float]], found: Difference) -> tuple[str, ...]:
    """Sentences for every limit of the policy that the difference passes: more than `above` in number and, where the limit
    has a `share`, more than that part of the media that stood before."""
    told = []
    for name, count in found.counts.items():
        limit = limits[name]
        share = count / found.standing if found.standing else 1.0
        if count <= limit["above"] or ("share" in limit and share <= limit["share"]):
            continue
        part = f", {share:.1%} of {found.standing:,} that stood" if "share" in limit else ""
        allowed = f"{limit['above']:,.0f}" + (f" and {limit['share']:.1%}" if "share" in limit else "")
        told.append(f"{count:,} {_TITLES[name]}{part} (policy: more than {allowed} waits)")
    return tuple(told)


def judged(settings: Settings, release: Release) -> Judged | None:
    """What was recorded of this built release; None when it was not judged yet. Raises IntegrityError if that is damaged."""
    path = _path(settings, release)
    try:
        data = json.loads(path.read_bytes())
        found = Judged(**data | {"difference": Difference(**data["difference"]), "reasons": tuple(data["reasons"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"What was decided of release {release.number} cannot be read: {path.name}.",
            "Remove it: it is judged anew.",
        ) from error
    if found.manifest_sha256 != _digest(release):
        raise IntegrityError(f"{path.name} is about another release than its name says.", "Remove it.")
    return found


def judge(settings: Settings, release: Release, moved: Mapping[str, int] | None = None, looked_at: int = 0) -> Judged:
    """Judge a built release by the policy and keep what was found; `moved` as in `Difference`. A person's decision stands.

    Raises UsageError for a first release: there is nothing to compare it with.
    """
    held = judged(settings, release)
    if held is not None and (held.person or held.difference.moved is not None or moved is None):
        return held
    if not releases.exists(settings):
        raise UsageError("The first release has nothing before it.")
    found = replace(difference(releases.current(settings), release), moved=moved, cases_looked_at=looked_at)
    reasons = beyond(sources.load(settings).approval, found)
    state = WAITS if reasons else PASSES
    made = Judged(_digest(release), found, reasons, state, imports=tuple(release.manifest["imports"]))
    keep(settings, release, made)
    return made


def keep(settings: Settings, release: Release, what: Judged) -> None:
    """Write the record of a built release."""
    path = _path(settings, release)
    files.make_folder(path.parent)
    files.write_json(path, asdict(what))


def publishable(settings: Settings, release: Release) -> bool:
    """Whether the built release may become current now: nothing before it, within the policy, or approved by a person."""
    return not releases.exists(settings) or judge(settings, release).state in PUBLISHABLE


def _digest(release: Release) -> str:
    return files.sha256(release.folder / manifest.NAME)


def _path(settings: Settings, release: Release) -> Path:
    return settings.home / "hashsets" / "approvals" / f"{release.number}-{_digest(release)[:16]}.json"
