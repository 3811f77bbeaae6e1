"""Runs in Airflow's environment only; elsewhere nothing here is collected."""

from tests import airflow_environment

if airflow_environment.is_airflows():
    airflow_environment.prepare()
    from tests.airflow_fixtures import stand_in  # noqa: F401
else:
    collect_ignore_glob = ["test_*.py"]
