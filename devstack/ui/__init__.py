"""A seeded Airflow for the Shards tab: real DAGs, rows of past runs, a real API server; no AWS and no scheduler."""
