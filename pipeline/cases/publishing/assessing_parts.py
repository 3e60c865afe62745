"""The stage `assess_cases`: many cases in shards beside each other, before the stage `assess` does what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.assess import parts, stage, touched
from pipeline.assess.links.linking import link
from pipeline.assess.models import shadow
from pipeline.assess.models.model import Model
from pipeline.cases.publishing.assessing import take_over
from pipeline.contract import Night, StageReport
from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.settings import Settings

STAGE = "assess_cases"


def plan(settings: Settings, night: Night) -> list[str]:
    """Take the answers over, link what is new, and cut the cases into shards where there are more than TRIAGE_LARGE_NIGHT.

    None where another model runs in its shadow: that sees every case in one place. Raises what the stage `assess` raises.
    """
    lake, model = Lake.of(settings), Model.load(settings)
    if shadow.Watcher.for_night(settings, model) is not None:
        return []
    if len(_roots(settings, night, lake, model)) <= settings.large_night:
        return []
    take_over(settings, night)
    link(settings, night, lake)
    work = touched.find(settings, model, lake)
    return parts.cut(settings, night, work, _roots(settings, night, lake, model), settings.large_night)


def _roots(settings: Settings, night: Night, lake: Lake, model: Model) -> list[str]:
    """The first referral of every case that is to be assessed yet."""
    work = touched.find(settings, model, lake)
    todo = parts.left(lake, work, parts.done(settings, night, lake, work))
    root = touched.Chains.read(lake).root
    return sorted({root.get(r, r) for r in (parts.everyone(lake, work) if todo is None else todo)})


@contextmanager
def together(settings: Settings) -> Iterator[Callable[[Settings, Night, str | None], StageReport]]:
    """`run` for several shards in one process."""
    yield run


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Assess the cases of one shard. `read` and `kept` count the cases looked at.

    Raises UsageError for a shard that was never planned.
    """
    lake = Lake.of(settings)
    try:
        part = parts.planned(settings, night, shard or "")
    except FileNotFoundError:
        raise UsageError(f"There is no shard {shard!r} in run {night.run_id}.", "Plan the stage first.") from None
    if not lake.committed(parts.COMMIT, part.name):
        model, chains = Model.load(settings), touched.Chains.read(lake)
        linked = link(settings, night, lake)
        writer, counts = stage.assess_cases(
            settings, night, lake, model, linked, chains=chains, referrals=frozenset(part.roots)
        )
        meta = {"counts": counts, "written": writer.rows, "outputs": writer.outputs}
        lake.commit(parts.COMMIT, part.name, {}, run_id=night.run_id, meta=meta)
    [commit] = lake.named(parts.COMMIT, [part.name])
    looked = int(commit.meta["counts"]["looked_at"])
    return StageReport(
        STAGE,
        night.run_id,
        shard,
        read=looked,
        kept=looked,
        counts=commit.meta["counts"],
        outputs=commit.meta["outputs"],
    )
