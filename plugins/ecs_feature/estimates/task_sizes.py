"""The sizes of a pipeline's tasks, from the task definitions that its DAG file names: for a pipeline without a past."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecs_feature.aws.resources import platform_of
from ecs_feature.environment import load_environment
from ecs_feature.estimates.facts import PipelineFacts
from ecs_feature.estimates.workload import Services
from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError
from ecs_feature.shards import task_in
from ecs_feature.tasks.definitions import load

Sizes = tuple[float, float, Services]
"""vCPUs and GB of a shard's task, and what a run holds of the variant's services."""


def sizes(facts: PipelineFacts) -> tuple[dict[str, Sizes], dict[str, str], list[str]]:
    """By variant, with the platforms of the shards' tasks; and notes on what is not known.

    A service's size is known when its task definition lies beside the shards', in ``<service>.json``.

    :raises ConfigurationError: when the DAG's file, or a task definition, cannot be read here.
    """
    dag = _dag(facts)
    found, platforms, notes = {}, {}, []
    for variant in facts.variants:
        path = Path(dag.task_dict[task_in(variant, "register")].path)
        definition = load(path, load_environment())
        (vcpus, gigabytes), platforms[variant] = size_of(definition), platform_of(definition)
        up = dag.task_dict.get(task_in(variant, "scale_up"))
        services, unknown = _services(path.parent, up.services if up is not None else {})
        notes += [f"The cost of service {name} is not known and not included." for name in unknown]
        found[variant] = (vcpus, gigabytes, services)
    return found, platforms, notes


def _dag(facts: PipelineFacts) -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.models.dag import DagModel

    model = DagModel.get_dagmodel(facts.dag_id)
    try:
        bundle = DagBundlesManager().get_bundle(model.bundle_name)
        bundle.initialize()
        bag = BundleDagBag(
            bundle.path / model.relative_fileloc,
            bundle_path=bundle.path,
            bundle_name=bundle.name,
            load_op_links=False,
        )
        return bag.dags[facts.dag_id]
    except KeyError:
        why = next(iter(bag.import_errors.values()), "it is not there").strip().splitlines()[-1]
    except Exception as error:  # whatever a DAG bundle raises that is not configured, or not reached, here
        why = str(error)
    raise ConfigurationError(
        f"{model.relative_fileloc}: without past runs the sizes of tasks are read from the DAG's file, which cannot be "
        f"loaded here ({why})."
    )


def _size(path: Path) -> tuple[float, float]:
    return size_of(load(path, load_environment()))


def size_of(definition: Mapping[str, Any]) -> tuple[float, float]:
    """vCPUs and GB of a task; without a size of its own, as on EC2 it may be, its containers'."""
    sums = (sum(each.get(name, 0) for each in definition["containerDefinitions"]) for name in ("cpu", "memory"))
    cpu, memory = (int(definition.get(name) or own) for name, own in zip(("cpu", "memory"), sums, strict=True))
    return cpu / 1024, memory / 1024


def _services(folder: Path, counts: Mapping[str, int]) -> tuple[Services, list[str]]:
    vcpus = gigabytes = 0.0
    unknown = []
    for name, count in counts.items():
        try:
            size = _size(folder / f"{name}.json")
        except TaskDefinitionError:
            unknown.append(name)
            continue
        vcpus, gigabytes = vcpus + count * size[0], gigabytes + count * size[1]
    return Services(vcpus, gigabytes), unknown
