"""What Airflow's plugin loader imports from this folder; the package itself is in ``ecs_feature/``.

Airflow runs every Python file below the plugins folder as a top-level module; ``.airflowignore`` keeps it
out of the package.
"""

from ecs_feature.plugin import EcsFeaturePlugin

__all__ = ["EcsFeaturePlugin"]
