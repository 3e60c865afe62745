"""Withdrawal by a person: a staged import of tombstones in the name of the source, like any other delivery."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from hashsets.algorithms import BY_NAME
from hashsets.importing import importer
from hashsets.importing.clean import ValueRefusedError, one_hash
from hashsets.sources import KnownSource
from pipeline import files
from pipeline.algorithms import ALGORITHMS, EXCHANGED
from pipeline.errors import UsageError
from pipeline.settings import Settings

_ORDER = tuple(name for name in EXCHANGED if ALGORITHMS[name].stated or not ALGORITHMS[name].computed)
"""What a person can withdraw by, in the order of the columns: hashes that come from others."""
_COLUMNS = {name: place for place, name in enumerate(("withdraw", *_ORDER), 1)}


def withdraw(
    settings: Settings,
    source: KnownSource,
    hashes: list[tuple[str, str]],
    *,
    reason: str,
    person: str,
    as_of: datetime,
) -> importer.Import:
    """Stage tombstones for the entries of `source` that hold any of the hashes (algorithm, hex or base64).

    They take effect in the next release; the opinions stay in the store, closed. Raises UsageError for a hash that is
    none, an algorithm that the command does not take, or no reason.
    """
    if not reason.strip():
        raise UsageError("A withdrawal needs a reason.", "Say why with --reason.")
    lines = []
    for name, value in hashes:
        if name not in _ORDER:
            raise UsageError(f"Withdrawals by {name} are not possible.", f"Use one of {', '.join(_ORDER)}.")
        try:
            decoded = one_hash(BY_NAME[name], value)
        except ValueRefusedError as refused:
            raise UsageError(f"{value!r} is no {name}: {refused.reason}.") from None
        if decoded is None:
            raise UsageError(f"The {name} is empty.")
        lines.append(",".join(["yes", *(decoded.hex() if name == column else "" for column in _ORDER)]))
    if not lines:
        raise UsageError("There is nothing to withdraw.", "Name hashes.")
    head = f"{source.source_id} {as_of.isoformat()} {person} {reason}"
    files.make_folder(importer.imports_dir(settings).parent)
    folder = Path(tempfile.mkdtemp(prefix=files.TEMPORARY, dir=importer.imports_dir(settings).parent))
    try:
        name = f"withdrawal-{hashlib.sha256(head.encode()).hexdigest()[:12]}.csv"
        # the last column makes the file's bytes, and so the import, this withdrawal's own
        path = folder / name
        path.write_text("".join(f"{line},{name}\n" for line in lines))
        by_hand = importer.by_hand(source, _COLUMNS)
        record, _ = importer.import_file(
            settings, path, by_hand, loaded_at=as_of, loaded_by=person, notes={"reason": reason, "withdrawal": True}
        )
        return record
    finally:
        shutil.rmtree(folder, ignore_errors=True)
