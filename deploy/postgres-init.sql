-- Run once by the database image, as its superuser: Airflow and the case store have a database and a role each, and
-- neither role is a superuser or reaches the other's database.
\set airflow_password `cat /run/secrets/airflow_db_password`
\set cases_password `cat /run/secrets/cases_db_password`
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE cases LOGIN PASSWORD :'cases_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE cases OWNER cases;
REVOKE CONNECT, TEMPORARY ON DATABASE airflow, cases FROM PUBLIC;
