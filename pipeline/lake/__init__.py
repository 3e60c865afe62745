"""The lake: immutable Parquet parts in Delta tables, made visible by commits.

A stage writes its tables for one piece of work (`stage`, `key`) as parts, and then one row of the ledger that lists them.
The ledger's row is the single moment of publication: a part that no row lists is invisible, so a process killed
anywhere leaves either nothing or everything. Writing the same work again is a no-op.

    lake/commits/     the ledger, a Delta table: one row per commit (`ledger.py`)
    lake/<table>/     a Delta table of each record type; its log is brought up to date by `settle` (`settling.py`)

Every part is checked against the SHA-256 in its name before its first use in a process; DuckDB and Parquet readers do
not notice a flipped bit (45 silent wrong answers of 60 flips tried).
"""

from pipeline.lake.lake import Commit, Lake
from pipeline.lake.parts import Part

__all__ = ["Commit", "Lake", "Part"]
