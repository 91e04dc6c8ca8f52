"""The settings of a pipeline that belong together. Users give them flat; each group checks itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from types import NoneType
from typing import Any, Final, NamedTuple, Self

from ecs_feature.aws.limits import EPHEMERAL_GIB, FARGATE_SIZES, FARGATE_SIZES_PAGE
from ecs_feature.exceptions import ConfigurationError
from ecs_feature.shards.names import PLAIN, fault_among, fault_of
from ecs_feature.shards.policy import check_live_lines
from ecs_feature.tasks.capacity import (
    CLUSTER_DEFAULT,
    SPOT,
    SPOT_WITH_FALLBACK,
    Fallback,
    Strategy,
    check_capacity,
    may_be_instances,
)
from ecs_feature.tasks.volumes import EbsVolume, check_volumes

MAX_EXIT_CODE: Final = 255


class Rule(NamedTuple):
    """The types of a field and its bound, with the words of their sentences.

    :param wanted: the types in words.
    :param fault: what a value below ``least``, or not above ``above``, is, and what to give instead.
    """

    types: tuple[type, ...]
    wanted: str
    fault: str = ""
    least: Any = None
    above: Any = None


_WHOLE = ((int,), "a whole number")
_WHOLE_OR_NONE = ((int, NoneType), "a whole number or None")
_TIME = ((timedelta,), "a timedelta, e.g. timedelta(minutes=5)")

RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(("retries", "max_relaunches", "log_lines"), Rule(*_WHOLE, "is too small; give 0 or more", least=0)),
    "max_active_runs": Rule(*_WHOLE, "is too small; give 1 or more", least=1),
    "parallelism": Rule(*_WHOLE_OR_NONE, "is too small; give 1 or more, or None", least=1),
    "max_memory_mib": Rule(*_WHOLE_OR_NONE, "is too small; give 0 or more, or None", least=0),
    "ephemeral_storage_gib": Rule(*_WHOLE_OR_NONE, "is too small; give 21 to 200, or None", least=EPHEMERAL_GIB[0]),
    "max_ephemeral_storage_gib": Rule(*_WHOLE_OR_NONE, "is too small; give 0 to 200, or None", least=0),
    "volumes": Rule((list, tuple), "a list of EbsVolume"),
    "max_vcpus": Rule((int, float, NoneType), "a number or None", "is too small; give more than 0, or None", above=0),
    "poll_seconds": Rule((int, float), "a number of seconds", "is not a pause; give more than 0", above=0),
    **dict.fromkeys(
        ("shard_timeout", "start_timeout", "capacity_timeout", "steady_timeout"),
        Rule(*_TIME, "is not a time to wait; give more than 0", above=timedelta(0)),
    ),
    "retry_delay": Rule(*_TIME, "is not a pause; give 0 or more", least=timedelta(0)),
    **dict.fromkeys(
        ("cluster", "container", "task_definition", "input_uri", "output_uri", "output_suffix"), Rule((str,), "text")
    ),
    "variants": Rule((list, tuple), "a list of Variant"),
}


def check_value(name: str, value: Any) -> None:
    """:raises ConfigurationError: when the rule of the field, where it has one, does not allow the value."""
    if (rule := RULES.get(name)) is None:
        return
    if not isinstance(value, rule.types) or isinstance(value, bool):
        raise ConfigurationError(f"{name}: {value!r:.80} is of type {type(value).__name__}; give {rule.wanted}.")
    if value is None:
        return
    if (rule.least is not None and value < rule.least) or (rule.above is not None and value <= rule.above):
        raise ConfigurationError(f"{name}: {value} {rule.fault}.")


def check_name(name: str, field: str) -> None:
    """:raises ConfigurationError: when it is no name; a placeholder may become one."""
    if not PLAIN.fullmatch(name) and "${" not in name:
        raise ConfigurationError(
            f"{field}: {name!r} is not a name; use 1 to 100 letters, digits, hyphens or underscores."
        )


def check_names(names: Sequence[str], field: str) -> None:
    """:raises ConfigurationError: when there is none, one is no name, or two are the same."""
    if not names:
        raise ConfigurationError(f"{field}: none are given; give at least one.")
    for name in names:
        check_name(name, field)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigurationError(f"{field}: {', '.join(twice)} stands there more than once; remove the copies.")


def check_shards(shards: object) -> None:
    """:raises ConfigurationError: when it is no list of names, or two of them cannot be told apart."""
    if isinstance(shards, str):
        raise ConfigurationError(
            f"shards: {shards!r} is one text; give a list of names, [{shards!r}], a callable, or a listing in S3."
        )
    if not isinstance(shards, list | tuple):
        raise ConfigurationError(
            f"shards: {shards!r:.80} is of type {type(shards).__name__}; give a list of names, a callable that returns "
            "one, or a listing in S3."
        )
    if not shards:
        raise ConfigurationError("shards: none are given; give at least one.")
    for name in shards:
        if fault := fault_of(name):
            raise ConfigurationError(f"shards: {name!r:.80} {fault}.")
    if fault := fault_among(shards):
        raise ConfigurationError(f"shards: {fault}")


@dataclass(frozen=True)
class Settings:
    """A group of settings; the fields have the names, units and meanings that they have in the pipeline.

    :raises ConfigurationError: for the first value that is wrong.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            check_value(item.name, getattr(self, item.name))

    @classmethod
    def of(cls, pipeline: object) -> Self:
        """The group's part of what ``pipeline`` has flat."""
        return cls(**{item.name: getattr(pipeline, item.name) for item in fields(cls)})


@dataclass(frozen=True)
class Retries(Settings):
    """What a shard that failed is forgiven."""

    retries: int
    retry_delay: timedelta
    max_relaunches: int
    non_retryable_exit_codes: Sequence[int]
    skip_exit_codes: Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("non_retryable_exit_codes", "skip_exit_codes"):
            wrong = [code for code in getattr(self, name) if not 1 <= code <= MAX_EXIT_CODE]
            if wrong:
                raise ConfigurationError(f"{name}: {wrong[0]} is no failing exit code; give 1 to {MAX_EXIT_CODE}.")
        both = sorted(set(self.non_retryable_exit_codes) & set(self.skip_exit_codes))
        if both:
            raise ConfigurationError(
                f"skip_exit_codes: {both[0]} stands in non_retryable_exit_codes, too; leave it in one of them."
            )


@dataclass(frozen=True)
class Timeouts(Settings):
    """How long shards and services may take."""

    shard_timeout: timedelta
    start_timeout: timedelta
    capacity_timeout: timedelta
    steady_timeout: timedelta


@dataclass(frozen=True)
class Capacity(Settings):
    """What shards run on, and how much of it they may have."""

    capacity: str | Strategy
    fallback: Fallback
    max_memory_mib: int | None
    parallelism: int | None
    max_vcpus: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_capacity(self.capacity)
        maximum = FARGATE_SIZES[max(FARGATE_SIZES)][-1]
        if (self.max_memory_mib or 0) > maximum and not may_be_instances(self.capacity):
            raise ConfigurationError(
                f"max_memory_mib: {self.max_memory_mib} is no size of a Fargate task; give 0 to {maximum}, or None "
                f"({FARGATE_SIZES_PAGE})."
            )

    @property
    def falls_back(self) -> bool:
        return self.capacity == SPOT_WITH_FALLBACK

    @property
    def first(self) -> str | Strategy:
        """What a try asks for at first."""
        return SPOT if self.falls_back else self.capacity

    def waves(self, shards: int) -> int:
        """How many rounds ``parallelism`` makes of so many shards: 1 without it."""
        return 1 if self.parallelism is None else math.ceil(shards / self.parallelism)


@dataclass(frozen=True)
class Logs(Settings):
    """Which lines of the containers are copied to the task logs."""

    log_lines: int
    live_lines: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_live_lines(self.live_lines)


@dataclass(frozen=True)
class Storage(Settings):
    """What shards have beside their image: ephemeral storage, and volumes that are configured at launch."""

    capacity: str | Strategy
    ephemeral_storage_gib: int | None
    max_ephemeral_storage_gib: int | None
    volumes: Sequence[EbsVolume]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_volumes(self.volumes)
        for name in ("ephemeral_storage_gib", "max_ephemeral_storage_gib"):
            value = getattr(self, name)
            if value is not None and value > EPHEMERAL_GIB[1]:
                raise ConfigurationError(
                    f"{name}: {value} is too much; give at most {EPHEMERAL_GIB[1]} "
                    "(AmazonECS/latest/APIReference/API_EphemeralStorage.html)."
                )
        on_fargate = not may_be_instances(self.capacity)
        if on_fargate and any(volume.volume_type == "standard" for volume in self.volumes):
            raise ConfigurationError(
                "volumes: volume_type 'standard' is not for tasks on Fargate; give gp3 "
                "(AmazonECS/latest/APIReference/API_TaskManagedEBSVolumeConfiguration.html)."
            )
        own, most = self.ephemeral_storage_gib, self.max_ephemeral_storage_gib
        if own and most and most < own:
            raise ConfigurationError(
                f"max_ephemeral_storage_gib: {most} is less than ephemeral_storage_gib, {own}; give more, 0 or None."
            )
        if own and not on_fargate and self.capacity != CLUSTER_DEFAULT:
            raise ConfigurationError(
                f"ephemeral_storage_gib: {own} is for Fargate, and tasks on instances have the instance's disk; leave "
                "it out, or give volumes (AmazonECS/latest/APIReference/API_EphemeralStorage.html)."
            )
