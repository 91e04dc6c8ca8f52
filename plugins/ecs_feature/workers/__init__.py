"""The Airflow workers of a scaled ECS service, and a shard's work on one of them."""
