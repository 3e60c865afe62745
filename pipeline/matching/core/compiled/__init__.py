"""What is compiled: the loops over buckets, their vector primitives for each family of processors, and the cache."""
