"""Running Airflow: the embedded form of the demo and of `make serve`, and the files of the real deployment."""
