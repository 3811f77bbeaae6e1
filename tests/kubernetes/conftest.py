"""A real cluster, a live Airflow that starts pods on it, and stores that the pods reach.

Runs in Airflow's environment, by `make test-kubernetes`; elsewhere nothing here is collected.
"""

from tests import airflow_environment

if airflow_environment.is_airflows():
    airflow_environment.prepare()
    from tests.kubernetes.fixtures import cluster, live, real_images  # noqa: F401
else:
    collect_ignore_glob = ["test_*.py"]
