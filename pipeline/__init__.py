"""The night, stage by stage: plain functions over files and tables. Nothing here imports Airflow."""

import os

__version__ = "0.1.0"

# Before NumPy is loaded: it starts a thread for every core, which wait for linear algebra at full speed for a while, and none comes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
