"""The turn to write the queue: three DAGs started at once, in every order, never write between each other's writes."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConflictError
from pipeline.night import turns
from pipeline.night.turns import Holder
from pipeline.settings import Settings
from pipeline.store.opening import open_store

NIGHT = Holder("night-1", "nightly_triage", "scheduled__1")
RETRO = Holder("retro-1", "retro_match", "asset_triggered__1")
REFRESH = Holder("refresh-1", "hashset_refresh", "asset_triggered__2")

STEPS = {
    "nightly_triage": ["begin", "TURN", "ingest", "fingerprint", "match", "flood", "assess", "publish", "reconcile"],
    "retro_match": ["begin", "match_delta", "TURN", "flood_guard", "assess", "publish", "reconcile"],
    "hashset_refresh": ["begin", "import_files", "TURN", "publish_release"],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def always(state: str) -> turns.HolderState:
    return lambda _: state


class Airflow:
    """As much of a scheduler as the turn can see: runs with a state, each doing one step when it is asked to."""

    def __init__(self, settings: Settings, order: tuple[Holder, ...]) -> None:
        self.settings = settings
        self.states = {h.dag_run: "running" for h in order}
        self.steps = {h.dag_run: list(STEPS[h.dag]) for h in order}
        self.written: list[tuple[str, str]] = []
        self.order = order

    def state(self, holder: Holder) -> str:
        return self.states[holder.dag_run]

    def go(self, holder: Holder) -> None:
        """One step of the run; one that waits for its turn is asked again the next time."""
        steps = self.steps[holder.dag_run]
        if not steps:
            self.states[holder.dag_run] = "success"
        elif steps[0] != "TURN":
            self.written.append((holder.dag, steps.pop(0)))
        elif turns.take(self.settings, holder, self.state) is None:
            steps.pop(0)

    def run(self) -> Iterator[str]:
        while any(s == "running" for s in self.states.values()):
            for holder in self.order:
                self.go(holder)
        yield from (f"{dag} {step}" for dag, step in self.written)


@pytest.mark.parametrize(
    "order", list(itertools.permutations([NIGHT, RETRO, REFRESH])), ids=lambda o: "-".join(h.dag for h in o)
)
def test_three_dags_at_once_write_one_after_the_other(settings: Settings, order: tuple[Holder, ...]) -> None:
    done = list(Airflow(settings, order).run())
    assert len(done) == sum(len(steps) - 1 for steps in STEPS.values())
    spans = []
    for dag, steps in STEPS.items():
        after = steps[steps.index("TURN") + 1 :]
        spans.append((done.index(f"{dag} {after[0]}"), done.index(f"{dag} {after[-1]}")))
    for (_, end), (begin, _) in itertools.pairwise(sorted(spans)):
        assert end < begin, done


def test_a_repeated_run_finds_its_own_turn(settings: Settings) -> None:
    assert turns.take(settings, NIGHT, always("running")) is None
    assert turns.take(settings, NIGHT, always("running")) is None
    assert turns.take(settings, RETRO, always("running")) == NIGHT


def test_a_failed_night_keeps_its_turn_against_all_but_a_night(settings: Settings) -> None:
    turns.take(settings, NIGHT, always("running"))
    assert turns.take(settings, RETRO, always("failed")) == NIGHT
    assert turns.take(settings, replace(NIGHT, run="night-2", dag_run="scheduled__2"), always("failed")) is None


def test_what_failed_or_is_gone_otherwise_holds_nobody_up(settings: Settings) -> None:
    turns.take(settings, RETRO, always("running"))
    assert turns.take(settings, REFRESH, always("failed")) is None
    assert turns.take(settings, NIGHT, always("gone")) is None


def test_it_can_be_given_up_by_hand(settings: Settings) -> None:
    turns.take(settings, NIGHT, always("running"))
    assert turns.free(settings, "another") == NIGHT
    assert turns.take(settings, RETRO, always("failed")) == NIGHT
    turns.free(settings)
    assert turns.take(settings, RETRO, always("running")) is None


def test_a_command_has_the_turn_while_it_works_and_not_longer(settings: Settings) -> None:
    with turns.held_by_command(settings, "night-1"):
        assert turns.take(settings, RETRO, turns.process_state) is not None
        with pytest.raises(ConflictError, match="night-1 has the turn"), turns.held_by_command(settings, "night-2"):
            pass
    assert turns.take(settings, RETRO, turns.process_state) is None


def test_a_command_that_was_killed_holds_up_the_next_night_not(settings: Settings) -> None:
    code = "import os; from pipeline.night import turns; from pipeline.settings import Settings; from pathlib import Path; import sys\n"
    code += "h = turns.held_by_command(Settings(home=Path(sys.argv[1])), 'night-1'); h.__enter__(); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code, str(settings.home)], cwd=Path(__file__).parents[3])
    assert done.returncode == 9
    store = open_store(settings)
    holder, _ = turns.present(store) or pytest.fail("nobody has the turn")
    store.close()
    assert holder.host == socket.gethostname() and turns.process_state(holder) == "gone"
    assert turns.process_state(replace(holder, process=turns._process(os.getpid()))) == "running"
    assert turns.process_state(replace(holder, host="elsewhere")) == "running"
    with turns.held_by_command(settings, "night-2"):
        pass
