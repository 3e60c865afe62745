-- Run once by the database image, as its superuser: Airflow and the case store have a database each, and none of their
-- roles is a superuser or reaches the other's database. The case store's tables belong to `cases_owner`, which only
-- airflow-init signs in as; `cases`, which the services sign in as, owns nothing and so cannot switch off a trigger.
\set airflow_password `cat /run/secrets/airflow_db_password`
\set cases_password `cat /run/secrets/cases_db_password`
\set cases_owner_password `cat /run/secrets/cases_owner_db_password`
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE cases LOGIN PASSWORD :'cases_password';
CREATE ROLE cases_owner LOGIN PASSWORD :'cases_owner_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE cases OWNER cases_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE airflow, cases FROM PUBLIC;
GRANT CONNECT ON DATABASE cases TO cases;
