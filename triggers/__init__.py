"""Airflow triggers of this project: in a package of their own, since the triggerer imports them and pipeline/ knows no Airflow."""
