"""One table of algorithms; hashes of different versions are never compared."""

from __future__ import annotations

import pytest

from pipeline import algorithms as registry
from pipeline import policy, records
from pipeline.errors import UsageError
from pipeline.fingerprint.decode import versions
from pipeline.settings import Settings


@pytest.mark.parametrize("algorithm", [a for a in registry.ALGORITHMS.values() if a.computed], ids=lambda a: a.name)
def test_every_computed_hash_has_a_column_of_its_length(algorithm: registry.Algorithm) -> None:
    column = records.arrow_schema("fingerprints").field(algorithm.name)
    assert column.type.byte_width == algorithm.width


def test_versions() -> None:
    assert registry.version_of("pdq") == registry.ALGORITHMS["pdq"].version
    with pytest.raises(UsageError, match="no algorithm 'md6'"):
        registry.version_of("md6")
    assert registry.version_of("pdq") in registry.algorithm_version()
    assert registry.CANONICAL in registry.algorithm_version()


def test_canonical_form_has_the_version_that_it_was_given() -> None:
    """Whoever changes the policy's canonical form gives it another version, or hashes that differ would be compared."""
    assert policy.load(Settings(), "fingerprint").data["canonical"] == {"reduced_side": 256, "ground": 255}
    assert registry.CANONICAL == "canonical-1"


def test_comparable() -> None:
    assert registry.comparable("pdq", "pdq-1", "pdq-1")
    assert not registry.comparable("pdq", "pdq-1", "pdq-2")
    assert not registry.comparable("none", "1", "1")


def test_decoder_versions_name_the_libraries() -> None:
    line = versions.decoder_version(versions.decoder_versions())
    for name in ("pillow=", "av=", "pillow-heif=", "libtiff=", "webp="):
        assert name in line
