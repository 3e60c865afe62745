"""Reading VICS files whose PDQ stands in AlternativeHashes, beside the same rows with digests only.

    python -m bench.vics_pdq [--rows 200000] [--no-save]

One thread, CPU seconds, median of three; reading and judging every value, without staging. No bar: the shape is read by the
general path, object by object, where digests are read by kernels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import common
from hashsets.importing import rows
from hashsets.readers import registry
from hashsets.readers.base import Source

ROOT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results/vics_pdq.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-vics-") as folder:
        result: dict[str, Any] = {"rows": options.rows}
        for name, pdq in (("digests", False), ("pdq", True)):
            path = write(Path(folder) / f"{name}.json", options.rows, pdq=pdq)
            read(path, options.rows)  # kernels are loaded
            result[f"{name}_rows_per_core_second"] = round(
                options.rows / common.median_cpu(lambda p=path: read(p, options.rows))  # type: ignore[misc]
            )
    for name, value in result.items():
        print(f"{name:28} {value}")
    if not options.no_save:
        common.save("vics_pdq", {**result, "machine": common.machine()})


def write(path: Path, count: int, *, pdq: bool) -> Path:
    """A `#Media` file of made-up hashes."""
    items = []
    for n in range(count):
        digits = hashlib.shake_256(str(n).encode()).hexdigest(68)
        item: dict[str, Any] = {"MediaID": n, "MD5": digits[:32], "SHA1": digits[32:72], "Category": n % 4}
        if pdq:
            item["AlternativeHashes"] = [{"HashName": "PDQ", "HashValue": digits[72:136]}]
        items.append(item)
    path.write_text(json.dumps({"@odata.context": ROOT, "value": items}))
    return path


def read(path: Path, count: int) -> None:
    """Read and judge every row."""
    source = Source(path)
    detection = registry.detect(source)
    found = 0
    for batch in registry.READERS[detection.reader].read(source, detection):
        done = batch if isinstance(batch, rows.Cleaned) else rows.clean_batch(batch)
        found += done.table.num_rows
    if found != count:
        raise SystemExit(f"{found} rows of {count} were accepted")


if __name__ == "__main__":
    main()
