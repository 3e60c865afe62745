"""Groups of near-identical hashes: how they are found when a segment is built, laid out in it, and compared with queries."""
