"""Case files as the lake has them now, outside a night: for explaining, replaying and comparing models."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.evidence.inputs import CaseFile
from pipeline.assess.links import conflicts, lists
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.lake import Lake
from pipeline.settings import Settings


def cases(
    settings: Settings, model: Model, *, only: str | None = None, hidden: Collection[str] = ()
) -> Iterator[CaseFile]:
    """All case files, or one; links to `hidden` referrals are left out."""
    lake = Lake.of(settings)
    links = current(lake)
    if hidden:
        kept = pa.array(sorted(hidden), pa.string())
        touched = pc.or_(pc.is_in(links["left"], value_set=kept), pc.is_in(links["right"], value_set=kept))
        links = links.filter(pc.invert(touched))
    hits = lists.hits(settings, links) + conflicts.hits(settings, lake, links)
    return Bulk(settings, model, lake, links, hits).cases(only)
