-- Run once by the database image: the case store has a database of its own beside Airflow's.
CREATE DATABASE cases;
