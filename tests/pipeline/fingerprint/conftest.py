"""One pool of real workers for the tests of this room: starting one loads every decoder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import Settings
from tests.pipeline.fingerprint.makers import settings_with


@pytest.fixture(scope="session")
def real_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with the policy as shipped and an own landing folder."""
    return settings_with(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="session")
def real_pool(real_settings: Settings) -> Iterator[Pool]:
    """Two workers with the product's own decoder."""
    with Pool(real_settings) as pool:
        yield pool
