"""``make chaos``: real DAG runs under seeded faults and kills, counted from outside, ours beside the stock operator.

What happened is told by three witnesses that do not know of each other: the containers (each writes the beginning and
the end of its execution into a ledger), the local Fargate (every ECS task it ever made), and Airflow's REST API.
"""
