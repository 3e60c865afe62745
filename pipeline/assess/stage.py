"""The night's assess stage: link what is new, look at the lists again, assess what changed.

Commits `link` with the links found or changed, and `assess` with one new row for every case whose inputs differ from
those of its latest assessment. A repeated night finds its work done, and an interrupted one writes the rows that are
still missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipeline import logs
from pipeline.assess import parts, touched
from pipeline.assess.evidence import unmapped
from pipeline.assess.evidence.case_file import Bulk, case_id
from pipeline.assess.evidence.inputs import FORCE_NOT_SET, CaseFile
from pipeline.assess.latest import latest, standing
from pipeline.assess.links.linking import Linked, link
from pipeline.assess.models import shadow
from pipeline.assess.models.model import BANDS, Model
from pipeline.assess.rows import STAGE, Inputs, Previous, Writer, transfer_to
from pipeline.collector import no_cycle_search
from pipeline.contract import Night, StageReport
from pipeline.ingest.geography import forces
from pipeline.lake import Lake
from pipeline.settings import Settings


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Link and assess. `read` counts cases, `kept` those with a current assessment (all of them).

    Raises SettingsError for a policy file that cannot be used, IntegrityError for damaged inputs.
    """
    started, cpu = time.perf_counter(), time.process_time()
    lake = Lake.of(settings)
    model = Model.load(settings)
    report = StageReport(STAGE, night.run_id, shard)
    linked = link(settings, night, lake)
    report.counts |= linked.counts
    watcher = shadow.Watcher.for_night(settings, model)
    work, chains = touched.find(settings, model, lake), touched.Chains.read(lake)
    done = parts.done(settings, night, lake, work)  # by shards beside each other, where a night is large
    left = None if watcher is not None else parts.left(lake, work, done)  # another model concerns every case
    writer, counts = assess_cases(settings, night, lake, model, linked, chains=chains, referrals=left, watcher=watcher)
    report.outputs += writer.outputs
    touched.done(lake, night, work, [*report.outputs, *linked.outputs])
    bands = standing(settings, lake, chains)
    report.read = report.kept = sum(bands.values())
    counts = {name: number + sum(one.counts.get(name, 0) for one in done) for name, number in counts.items()}
    written = writer.rows + sum(one.written for one in done)
    counts["unchanged"] = report.read - written
    report.counts |= counts | {f"band_{b}": n for b, n in bands.items()} | {"model": model.label}
    report.outputs += linked.outputs
    report.counts |= unmapped.found(settings, model, lake)
    if settings.force == FORCE_NOT_SET:
        report.counts["transfer"] = "not checked: TRIAGE_FORCE is not set"
    if watcher is not None:
        report.outputs.append(watcher.write(settings, night))
    report.seconds = round(time.perf_counter() - started, 3)
    report.cpu_seconds = round(time.process_time() - cpu, 3)
    logs.get(STAGE).info("cases assessed", run_id=night.run_id, cases=report.read, written=written)
    return report


def assess_cases(
    settings: Settings,
    night: Night,
    lake: Lake,
    model: Model,
    linked: Linked,
    *,
    chains: touched.Chains,
    referrals: frozenset[str] | None,
    watcher: shadow.Watcher | None = None,
) -> tuple[Writer, dict[str, int]]:
    """Assess the cases of some referrals (None: every case) and commit the rows that are new; counts by what became of them."""
    if referrals is None:
        before = latest(lake)
        bulk = Bulk(settings, model, lake, *linked.of(None), frozenset(before))
    else:
        among = frozenset(chains.members(referrals))
        before = latest(lake, {case_id(r) for r in among} | {chains.case(r) for r in among})
        bulk = Bulk(settings, model, lake, *linked.of(among), frozenset(before), among, chains.root)
    names = {} if settings.force == FORCE_NOT_SET else forces.load(settings).names
    writer = Writer(lake, night, model, names)
    counts = {"new": 0, "raised": 0, "lowered": 0, "changed": 0, "unchanged": 0, "looked_at": 0, "for_transfer": 0}
    for case in _without_collector(bulk.cases()):
        counts["looked_at"] += 1
        transfer = transfer_to(case, settings)
        counts["for_transfer"] += transfer is not None
        inputs, previous = Inputs.of(case, model, transfer), before.get(case.case_id)
        if watcher is not None:
            watcher.see(case)
        if previous is not None and previous.inputs_sha256 == inputs.digest:
            continue
        assessed = model.assess(case)
        counts[_kind(previous, assessed.band)] += 1
        writer.add(case, assessed, inputs, transfer, previous)
    writer.close()
    return writer, counts


def _without_collector(cases: Iterator[CaseFile]) -> Iterator[CaseFile]:
    """The same cases with Python's cycle collector off meanwhile: a force's cases are millions of small objects without
    cycles, which it would walk again and again."""
    with no_cycle_search():
        yield from cases


def _kind(previous: Previous | None, band: str) -> str:
    if previous is None:
        return "new"
    before, now = BANDS.index(previous.band), BANDS.index(band)
    return "changed" if before == now else "raised" if now > before else "lowered"
