"""A validation run on drawn pictures: figures, their intervals, the report; nothing of the pictures is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline import policy
from pipeline.cli import triage
from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.validation import composed, edits, measuring, run, templates
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.pictures import scene

RULES = measuring.ValidationRules(*(policy.load(Settings(), name).data for name in ("fingerprint", "matching")))


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(samples.scene(480, 360, k)).convert("RGB") for k in range(count)]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 0, None, None),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
        (81, 263, 0.255, 0.366),
    ],  # the last: Newcombe (1998)
)
def test_intervals_are_wilsons(hits: int, n: int, low: float | None, high: float | None) -> None:
    found = run.share(hits, n)
    assert (found["low"], found["high"]) == (low, high)


def test_no_false_hit_still_has_an_upper_bound() -> None:
    assert run.rate(0, 1000) == {"per_million": 0.0, "upper_95": 3000.0}
    assert run.rate(2, 1000)["per_million"] == 2000.0


@pytest.mark.parametrize("name", list(composed.EDITS))
def test_every_composed_edit_makes_the_same_file_again_and_not_the_picture(name: str) -> None:
    others = pictures(10)
    made = [run.edited(name, scene(), 3, others) for _ in range(2)]
    assert made[0] == made[1] != edits.encoded(scene())


def test_a_folder_of_too_few_pictures_is_refused(tmp_path: Path) -> None:
    scene().save(tmp_path / "one.png")
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(UsageError, match="distinct pictures of enough detail"):
        run.read(tmp_path)


def test_the_command_writes_a_page_and_figures_and_nothing_else(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures(9)):
        picture.save(folder / f"{number}.png")
    (folder / "broken.mp4").write_bytes(b"no film")
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    answer = CliRunner().invoke(
        triage, ["validate", str(folder), "--report", str(page), "--every", "4", "--edit", "mirror"], obj=settings
    )
    assert answer.exit_code == 0, answer.output
    assert sorted(p.name for p in page.parent.iterdir()) == ["report.html", "report.json"]
    result = json.loads(page.with_suffix(".json").read_text())
    assert result["recall"]["mirror"]["found"] == result["recall"]["mirror"]["n"] == result["pictures_asked"]
    assert all(x["differences"] == 0 for x in result["exactness"].values())
    order = [page.read_text().index(f"<h2>{k}.") for k in range(1, 7)]
    assert order == sorted(order) and "Hard negatives" in page.read_text()
    assert '<td class="n">1.00</td>' in page.read_text() and "no video could be read" in page.read_text()
    letters = result["hard_negatives"]["template: letterhead"]["files"]
    assert f'<td class="n">{letters["per_million"]}</td><td class="n">{letters["upper_95"]}</td>' in page.read_text()


def test_templates_are_different_pictures_and_the_same_each_time() -> None:
    first, second = templates.all_templates(), templates.all_templates()
    for name, made in first.items():
        assert [p.tobytes() for p in made] == [p.tobytes() for p in second[name]]
        assert len({p.tobytes() for p in made}) == len(made)


def test_a_picture_beside_its_known_self_is_near_and_a_mirrored_one_altered() -> None:
    known = measuring.reference(pictures(6))
    plain = measuring.ask(edits.encoded(pictures(6)[2]), known, RULES).found
    assert [(f.place, f.level) for f in plain] == [(2, "near")]
    (mirrored,) = measuring.ask(run.edited("mirror", pictures(6)[2], 0, []), known, RULES).found
    assert (mirrored.place, mirrored.level, mirrored.kind) == (2, "altered", "variant")
