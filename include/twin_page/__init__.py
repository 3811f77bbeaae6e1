"""The page *Twin* of Airflow's web UI (plugins/twin_page.py): what serves, and a hand on it."""
