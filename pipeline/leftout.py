"""Libraries that another library imports where it finds them, and that nothing here uses: left out, to start sooner."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """While this lasts, an import of one of these modules fails as if it were not installed; loaded ones stay."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: the documented way to bar an import
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
