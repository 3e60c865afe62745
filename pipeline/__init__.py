"""The night, stage by stage: plain functions over files and tables. Nothing here imports Airflow."""

__version__ = "0.1.0"
