"""Which patches are applied: those that were tested with the Airflow that is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import airflow
import pytest

from ecs_feature.airflow_patches import TESTED_VERSIONS, apply_patches, patches
from ecs_feature.airflow_patches.patch import Patch, digest
from ecs_feature.triggers.shard import ShardTrigger

ALL = patches("EcsShardOperator", ShardTrigger)
TARGETS = [
    pytest.param(module, name, tested, id=f"{patch.name}-{name}")
    for patch in ALL
    for module, digests in patch.targets.items()
    for name, tested in digests.items()
]


def target() -> None:
    """A function of Airflow's, say."""


TESTED = {__name__: {"target": digest(__name__, "target") or ""}}
CHANGED = {__name__: {"target": "0" * 64}}
GONE = {__name__: {"target": digest(__name__, "target") or "", "Other.target": "0" * 64}}


def test_the_suite_runs_with_a_version_that_the_patches_are_for() -> None:
    assert airflow.__version__ in TESTED_VERSIONS


@pytest.mark.parametrize(("module", "name", "tested"), TARGETS)
def test_airflows_source_is_the_one_that_was_tested(module: str, name: str, tested: str) -> None:
    found = digest(module, name)
    assert found == tested, (
        f"{module}.{name} has changed. Read it, see whether the patch is still right and needed, and then "
        f"write its new digest beside the patch: {found}"
    )


def test_each_patch_has_a_name_and_all_but_the_garbage_collectors_a_target() -> None:
    assert len({patch.name for patch in ALL}) == len(ALL) == 6
    assert [patch.name for patch in ALL if not patch.targets] == ["less_frequent_full_gc"]


def test_one_with_another_source_is_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    applied: list[str] = []

    def add(name: str) -> Callable[[], None]:
        return lambda: applied.append(name)

    with caplog.at_level(logging.WARNING):
        apply_patches(
            [
                Patch("first", add("first"), TESTED, process=None),
                Patch("changed", add("changed"), CHANGED, process=None),
                Patch("gone", add("gone"), GONE, process=__name__),
                Patch("elsewhere", add("elsewhere"), CHANGED, process="a_module_that_is_not_loaded"),
                Patch("last", add("last"), process=None),
            ]
        )
    assert applied == ["first", "last"]
    assert caplog.messages == [
        "[ecs_feature] patch_airflow: changed is left out, the source is not the one it was tested with: "
        f"{__name__}.target.",
        "[ecs_feature] patch_airflow: gone is left out, the source is not the one it was tested with: "
        f"{__name__}.Other.target.",
    ]


@pytest.mark.parametrize("version", ["3.3.1", "3.3.20", "3.4.0", "3.3.2+vendor"])
def test_another_version_leaves_one_out(
    version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(airflow, "__version__", version)
    applied: list[int] = []
    apply_patches([Patch("first", lambda: applied.append(1), TESTED, process=None)])
    assert applied == []
    assert caplog.messages == [
        f"[ecs_feature] patch_airflow: first is left out, it was tested with Airflow 3.3.2, this is {version}."
    ]
