-- Beside Airflow's own database, in Compose.
CREATE DATABASE mlflow;
