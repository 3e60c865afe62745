"""Airflow tasks that several DAGs share. No DAG stands here."""
