"""The rooms of the house: one declared order, from the ground up. `tests/test_repository.py` holds every import to it.

A module may import from its own room and from rooms below it, never from a room above. The longest name that fits
decides a module's room, so that a part of a folder can stand lower or higher than the folder.
`python -m pipeline.reference.rooms` writes the picture in docs/architecture.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.settings import ROOT


@dataclass(frozen=True)
class Room:
    """`name` as in an import (`*.cli`: every module of that name); `holds` is what a newcomer finds there."""

    name: str
    holds: str


ROOMS = (
    Room("pipeline", "Settings, errors, files, policy and record types: what every room stands on"),
    Room(
        "pipeline.lake", "The lake: commits, tables in Delta's format, snapshots, upkeep, on a disk or an object store"
    ),
    Room("pipeline.contract", "What a stage is: the run it belongs to, its clock, the report that it returns"),
    Room("pipeline.matching.core", "The matching core: index, kernels, exact join within a Hamming distance, canaries"),
    Room("hashsets", "The known-hash store: readers of exchange formats, opinions, releases"),
    Room("pipeline.fingerprint.facts", "Facts from EXIF data that matter to an investigation"),
    Room("pipeline.fingerprint.outcome", "What can be said of a media file"),
    Room("pipeline.fingerprint.machine", "Errors of the machine, which say nothing of a file"),
    Room("pipeline.fingerprint.rarer", "Pictures, films and archives that are named and never opened"),
    Room("pipeline.fingerprint.hashes", "From one decoded picture to its perceptual hashes and query variants"),
    Room("pipeline.fingerprint.decode", "What a worker does with one file: recognise, open, decode within limits"),
    Room("pipeline.fingerprint.sandbox", "Isolation of the media workers, and the parent that asks them"),
    Room("pipeline.fingerprint", "The fingerprint stage: every content once, to digests and hashes"),
    Room(
        "pipeline.ingest", "The ingest stage: packages of the landing folder to referral tables, or back with reasons"
    ),
    Room(
        "pipeline.matching", "The match stage: units, evidence, flood guard, what a new release changes about the past"
    ),
    Room(
        "pipeline.assess", "The assess stage: links, lists of the force, declared features, the model and its reasons"
    ),
    Room("pipeline.store", "The case store: tables, migrations, transactions that carry their audit entries"),
    Room("pipeline.people", "Accounts, passwords, sessions, permissions, the identity provider"),
    Room("pipeline.audit", "The audit log: reading, verifying, exporting it; anchors outside the store"),
    Room("pipeline.cases", "Cases, their states, people's work on them, the queue, and the publish stage"),
    Room("pipeline.approval", "Approval of a known-hash release: what it would change, and a person's word on it"),
    Room("pipeline.export", "What leaves: look-ups, read-only SQL, reporting tables, VICS and CASE/UCO"),
    Room("pipeline.night", "The night as a whole: the list of stages, running one, reconciliation, the report"),
    Room("pipeline.watch", "Measures of the running product, alarms, and the ways by which people are told"),
    Room("pipeline.console", "The web pages and the HTTP API"),
    Room("pipeline.night.erasing", "Erasing: what is kept of erased cases, wherever a room below wrote it"),
    Room("pipeline.sample", "Sample referrals and a sample hash set, with the truth about both"),
    Room(
        "pipeline.validation", "Validation of the method: edits, recall, false hits, a report in the order of the Code"
    ),
    Room("*.cli", "The commands of `triage`, each beside the room that it drives"),
    Room("pipeline.reference", "Pages of documentation written from the product itself"),
    Room("triggers", "Airflow's triggers for the landing folder"),
    Room("deploy", "Setting up, the demo, serving on one machine"),
    Room("tasks", "Airflow tasks that several DAGs share: how a run begins, the way from matches to a queue"),
    Room("dags", "The DAGs: thin, one night each, read from top to bottom"),
)
PRODUCT = ("pipeline", "hashsets", "triggers", "deploy", "tasks", "dags")


def room_of(module: str) -> Room:
    """The room of a module by its dotted name: the longest declared name that fits. Raises KeyError if none does."""
    if module.rpartition(".")[2] in {"cli", "__main__"}:
        return next(room for room in ROOMS if room.name == "*.cli")
    fitting = [room for room in ROOMS if module == room.name or module.startswith(room.name + ".")]
    if not fitting:
        raise KeyError(module)
    return max(fitting, key=lambda room: len(room.name))


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name to file of every module of the product."""
    found = {}
    for folder in PRODUCT:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _imported(text: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports in a module's text, inside functions and for types included. Kept: every module is asked several times."""
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom))


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Pairs (module, name) that a file imports from the product, imports inside functions and for types included.

    Raises ValueError for a relative import."""
    for node in _imported(path.read_text()):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names if alias.name in known)
        elif node.level:
            raise ValueError(
                f"{module}, line {node.lineno}: an import names its module in full, so that its room is seen."
            )
        elif node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in known else node.module), alias.name


def upward(known: dict[str, Path]) -> list[str]:
    """Imports that run up: "importer imports NAME from module: room is below room"."""
    order = {room.name: place for place, room in enumerate(ROOMS)}
    found = []
    for module, path in known.items():
        own = room_of(module)
        for target, name in imports(module, path, known):
            other = room_of(target)
            if order[other.name] > order[own.name]:
                found.append(f"{module} imports {name} from {target}: {own.name} stands below {other.name}")
    return sorted(set(found))


def circles(known: dict[str, Path]) -> list[str]:
    """Modules that import each other, directly or through others: "a -> b -> c -> a", one line per circle found."""
    graph = {
        m: sorted({t for t, _ in imports(m, p, known) if t != m and not m.startswith(t + ".")})
        for m, p in known.items()
    }
    state: dict[str, int] = {}
    found: list[str] = []

    def visit(module: str, trail: list[str]) -> None:
        state[module] = 1
        for target in graph[module]:
            if state.get(target) == 1:
                found.append(" -> ".join([*trail[trail.index(target) :], target]))
            elif target not in state:
                visit(target, [*trail, target])
        state[module] = 2

    for module in sorted(graph):
        if module not in state:
            visit(module, [module])
    return found


def picture() -> str:
    """The rooms as a Mermaid diagram, top floor first, then one sentence for each. Imports run down only."""
    shown = list(reversed(ROOMS))
    lines = ["```mermaid", "flowchart TB"]
    lines += [f'    r{place}["{room.name}"]' for place, room in enumerate(shown)]
    lines += ["    " + " --> ".join(f"r{place}" for place in range(len(shown))), "```", ""]
    lines += ["| room, from the top down | what it holds |", "|---|---|"]
    for room in shown:
        lines.append(f"| `{room.name}` | {room.holds} |")
        lines += [f"| &nbsp;&nbsp;`{folder}/` | {sentence} |" for folder, sentence in inside(room)]
    return "\n".join(lines)


def inside(room: Room, root: Path = ROOT) -> list[tuple[str, str]]:
    """The folders of a room that are no rooms themselves, each with the sentence that its `__init__.py` begins with."""
    folder = root.joinpath(*room.name.split("."))
    names = {other.name for other in ROOMS}
    found = []
    for start in sorted(folder.glob("*/__init__.py")) if "*" not in room.name and room.name != "pipeline" else []:
        if f"{room.name}.{start.parent.name}" not in names:
            sentence = (ast.get_docstring(ast.parse(start.read_text())) or "").partition("\n\n")[0]
            found.append((start.parent.name, " ".join(sentence.split()).rstrip(".")))
    return found


BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"
PAGE = ROOT / "docs" / "architecture.md"


def page() -> str:
    """docs/architecture.md with the picture as it should be now."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
