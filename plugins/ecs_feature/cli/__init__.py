"""The command group ``airflow ecs-feature``."""
