"""Batch feature pipelines on Amazon ECS/Fargate from Airflow."""

__version__ = "0.1.0"
