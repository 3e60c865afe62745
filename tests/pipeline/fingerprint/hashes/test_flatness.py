"""The mark for pictures that are mostly text, a drawing or a template."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.fingerprint.hashes import flatness, picture
from pipeline.validation import templates
from tests.pipeline.fingerprint.pictures import RULES, reopened, scene


@pytest.mark.parametrize("name", ["letterhead", "logo", "drawn portrait"])
def test_templates_are_marked(name: str) -> None:
    made = templates.all_templates()[name][:3]
    assert all(picture.hash_picture(reopened(image), RULES, variants=False).mostly_flat for image in made)


def test_a_photograph_is_not_marked_and_one_measure_alone_is_not_enough() -> None:
    assert not picture.hash_picture(reopened(scene()), RULES, variants=False).mostly_flat
    noise = np.random.default_rng(1).integers(90, 120, (200, 200), np.uint8)  # few levels, but nothing even
    slope = np.tile(np.linspace(0, 255, 256), (200, 1)).astype(np.uint8)  # even, but all levels
    assert not flatness.mostly_flat(noise, RULES["flat"]) and not flatness.mostly_flat(slope, RULES["flat"])
    assert flatness.few_levels(noise) > 0.9 and flatness._even(slope) > 0.9
    assert flatness.mostly_flat(np.asarray(Image.new("L", (64, 64), 200)), RULES["flat"])
