"""Rules of the repository, read off the source: what a reviewer would otherwise have to look for."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline.reference import rooms

ROOT = Path(__file__).parents[1]
PRODUCT = ("pipeline", "hashsets", "dags", "tasks", "triggers", "deploy")


def tracked(suffix: str = "") -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name.endswith(suffix) and name and (ROOT / name).is_file()]


@cache
def product() -> list[tuple[Path, ast.Module]]:
    """Every module of the product; read once, as nearly every test here asks for all of them."""
    paths = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]
    return [(path, ast.parse(path.read_text())) for path in paths]


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_dags_triggers_and_deploy_know_airflow() -> None:
    offenders = [
        str(p.relative_to(ROOT))
        for p, tree in product()
        if p.relative_to(ROOT).parts[0] in {"pipeline", "hashsets"}
        and any(m.split(".")[0] == "airflow" for m in imports(tree))
    ]
    assert offenders == []


def test_no_import_runs_up_and_none_in_a_circle() -> None:
    """`pipeline/reference/rooms.py` declares the order of the rooms; a failure names both files and what is imported."""
    known = rooms.modules()
    found = rooms.upward(known) + rooms.circles(known)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        (
            "hashsets/release/manifest.py",
            "from pipeline.cases.states import OPEN",
            "hashsets.release.manifest imports OPEN from pipeline.cases.states: hashsets stands below pipeline.cases",
        ),
        (
            "hashsets/release/manifest.py",
            "from hashsets.release.releases import open",
            "hashsets.release.manifest -> hashsets.release.releases",
        ),
        (
            "pipeline/store/context.py",
            "from pipeline.store.opening import Store",
            "pipeline.store.context -> pipeline.store.opening",
        ),
    ],
)
def test_a_circle_put_in_on_purpose_is_named(tmp_path: Path, file: str, line: str, found: str) -> None:
    for path in rooms.modules().values():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    (tmp_path / file).write_text((tmp_path / file).read_text() + f"\n{line}\n")
    known = rooms.modules(tmp_path)
    said = rooms.upward(known) + rooms.circles(known)
    ends = found.split(" -> ")
    assert any(found == s or (len(ends) == 2 and set(ends) <= set(s.split(" -> "))) for s in said), said


def test_the_picture_of_the_rooms_is_current() -> None:
    assert rooms.PAGE.read_text() == rooms.page(), "run: python -m pipeline.reference.rooms"


def types_named(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives to types: classes, and what is assigned to a name in CapWords (aliases, NewType, namedtuple)."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*", target.id):
                    yield target.id


def doubled(trees: Iterable[tuple[str, ast.Module]]) -> dict[str, list[str]]:
    """Names of types that stand in more than one place, with the places."""
    named: dict[str, list[str]] = {}
    for place, tree in trees:
        for name in types_named(tree):
            named.setdefault(name, []).append(place)
    return {name: places for name, places in named.items() if len(places) > 1}


def test_a_name_of_a_type_has_one_meaning() -> None:
    assert doubled((str(path.relative_to(ROOT)), tree) for path, tree in product()) == {}


@pytest.mark.parametrize(
    "second",
    ["class Frame: ...", "Frame = tuple[str, float]", "Frame: TypeAlias = bytes", 'Frame = NewType("Frame", int)'],
)
def test_a_name_given_twice_is_found(second: str) -> None:
    trees = [("a.py", ast.parse("class Frame: ...\nLIMIT = 3")), ("b.py", ast.parse(second + "\nLIMIT = 3"))]
    assert doubled(trees) == {"Frame": ["a.py", "b.py"]}


def test_a_large_folder_has_an_inner_order() -> None:
    """More than sixteen modules side by side are sorted into folders; the ground floor holds what every room stands on,
    and migrations stand in the order of their numbers."""
    folders: dict[Path, int] = {}
    for path, _ in product():
        folders[path.parent] = folders.get(path.parent, 0) + (path.name != "__init__.py")
    del folders[ROOT / "pipeline"], folders[ROOT / "pipeline" / "store" / "migrations" / "versions"]
    assert {str(f.relative_to(ROOT)): n for f, n in folders.items() if n > 16} == {}


def test_every_folder_says_what_it_holds() -> None:
    found = [path for path, tree in product() if path.name == "__init__.py" and not ast.get_docstring(tree)]
    assert found == []


def test_dags_are_thin() -> None:
    allowed = {
        "__future__",
        "airflow.sdk",
        "triggers.landing",
        "triggers.uploads",
        "tasks.approving",
        "tasks.every",
        "tasks.known",
        "tasks.queue",
    }
    for path, tree in product():
        if path.parent.name != "dags":
            continue
        assert len(path.read_text().splitlines()) < 150, path.name
        foreign = {m for m in imports(tree) if m not in allowed and not m.startswith("pipeline")}
        assert foreign == set(), path.name
        assert not re.search(r"\b(SELECT|INSERT|UPDATE)\b", path.read_text()), path.name


def compiled(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A Numba kernel: nested loops that would be slower in pieces."""
    return any(word in ast.unparse(d) for d in node.decorator_list for word in ("njit", "kernel", "bare"))


LINES, FUNCTION, KERNEL = 400, 70, 100
"""Most lines of a module, a function, a compiled kernel; CONTRIBUTING.md says the same."""


def test_no_module_and_no_function_is_long() -> None:
    said = f"a test ends at {LINES} and {FUNCTION} ({KERNEL} for a compiled kernel)"
    assert said in (ROOT / "CONTRIBUTING.md").read_text()
    modules = [(str(p.relative_to(ROOT)), n) for p, _ in product() if (n := len(p.read_text().splitlines())) > LINES]
    functions = [
        f"{p.relative_to(ROOT)}:{node.name} {length}"
        for p, tree in product()
        if p.parent.name != "versions"  # a migration is a list of tables
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > (KERNEL if compiled(node) else FUNCTION)
    ]
    assert (modules, functions) == ([], [])


def test_no_exception_is_swallowed() -> None:
    """A broad handler does something with the error, or says in its line why nothing is to be done."""
    found = []
    for path, tree in product():
        lines = path.read_text().splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or "# noqa: BLE001 - " in lines[node.lineno - 1]:
                continue
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            silent = all(isinstance(b, ast.Pass | ast.Continue) for b in node.body)
            if broad and (
                silent or not any(isinstance(n, ast.Raise | ast.Call) for b in node.body for n in ast.walk(b))
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_product_code_does_not_assert() -> None:
    found = [
        f"{p.relative_to(ROOT)}:{n.lineno}"
        for p, tree in product()
        for n in ast.walk(tree)
        if isinstance(n, ast.Assert)
    ]
    assert found == []


def test_nothing_is_left_open() -> None:
    marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    found = [
        f"{p.relative_to(ROOT)}:{number}"
        for p, _ in product()
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_paths_that_the_guides_name_are_there() -> None:
    """What stands in backticks and begins with a folder of the repository: a file, a folder, or a pattern of either."""
    folders = {path.relative_to(ROOT).parts[0] for path in tracked()}
    invented = re.compile(r"NAME|FAMILY|ROOM|PART|TABLE|\.\.\.")
    pages = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md")
    shown = [(p.name, s) for p in pages for s in re.findall(r"`([\w.*/-]+/[\w.*/-]*)`", p.read_text())]
    named = [(page, s) for page, s in shown if s.split("/")[0] in folders and not invented.search(s)]
    missing = [f"{page}: {s}" for page, s in named if not any(ROOT.glob(s.strip("/")))]
    assert len(named) > 100
    assert missing == []


def test_errors_that_docstrings_name_are_there() -> None:
    """ "Raises SomeError" names a class of the product, of Python, or one that the module imports."""
    classes = set(dir(builtins)) | {n.name for _, tree in product() for n in tree.body if isinstance(n, ast.ClassDef)}
    unknown = []
    for path, tree in product():
        nodes = list(ast.walk(tree))
        brought = {a.asname or a.name for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
        texts = [
            ast.get_docstring(n) or "" for n in nodes if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        named = {name for text in texts for name in re.findall(r"\b[A-Z]\w*Error\b", text)}
        unknown += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(named - classes - brought)]
    assert unknown == []


def test_every_module_says_what_it_is() -> None:
    assert [str(p.relative_to(ROOT)) for p, tree in product() if not ast.get_docstring(tree)] == []


def test_every_test_asserts() -> None:
    """In its own body, or through a helper of its module that does."""
    checks = re.compile(r"assert|raises|warns|fail\(|check_|expect")
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        functions = [
            n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        helpers = {f.name for f in functions if not f.name.startswith("test_") and checks.search(ast.unparse(f))}
        for test in (f for f in functions if f.name.startswith("test_")):
            called = {n.func.id for n in ast.walk(test) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            if not checks.search(ast.unparse(test)) and not called & helpers:
                found.append(f"{path.relative_to(ROOT)}:{test.name}")
    assert found == []


def test_media_is_opened_by_the_worker_only() -> None:
    """PIL, PyAV and the HEIF decoder are imported below pipeline/fingerprint, by the sample generator and by validation (which makes edits), nowhere else."""
    decoders = {"PIL", "av", "pillow_heif", "pillow_jxl", "imagehash", "pdqhash", "cv2"}
    found = []
    for path, tree in product():
        place = str(path.relative_to(ROOT))
        if place.startswith(("pipeline/fingerprint/", "pipeline/sample/", "pipeline/validation/")):
            continue
        found += [f"{place}: {m}" for m in imports(tree) if m.split(".")[0] in decoders]
    assert found == []


def test_no_real_place_is_named() -> None:
    """No path of a machine and no package index stands in a tracked file."""
    marks = re.compile(
        "|".join(
            [
                "/work/" + "main",
                "/work/" + "shared",
                "/opt/" + "pypi",
                "/root" + "/",
                r"pypi\.org/" + "simple",
                "--index" + "-url",
            ]
        )
    )
    found = []
    for path in tracked():
        if path.suffix in {".css", ".svg", ".png"} or path.stat().st_size > 2_000_000:
            continue
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m.group(0)}" for m in marks.finditer(text)]
    assert found == []


@pytest.mark.parametrize("lock", ["bootstrap", "run", "deploy", "dev"])
def test_locks_carry_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert requirements and all("==" in line and line.endswith("\\") for line in requirements)
    assert "://" not in text and text.count("--hash=sha256:") >= len(requirements)


def test_every_direct_dependency_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    bare = [line.strip() for line in block.splitlines() if line.strip().startswith('"') and "#" not in line]
    assert [
        b
        for b in bare
        if not b.startswith(
            ('"referral-triage', '"pytest', '"hypothesis', '"coverage', '"ruff', '"mypy', '"types-', '"pyarrow-stubs')
        )
    ] == []
