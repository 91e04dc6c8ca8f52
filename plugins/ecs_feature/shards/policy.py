"""The user's settings for one shard: timeouts, relaunches, limits, and which logs are live."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecs_feature.exceptions import ConfigurationError
from ecs_feature.tasks.launch import TIMEOUT_TAG
from ecs_feature.tasks.outcomes import ExitCodes, Kind, Outcome, Payer
from ecs_feature.tasks.relaunches import RelaunchPolicy

_OLD_NAMES: Final = {
    "max_parallel": "parallelism",
    "not_retryable_codes": "non_retryable_exit_codes",
    "skip_codes": "skip_exit_codes",
}


class LiveLines(enum.StrEnum):
    """When a container's log is copied to the task log while the container runs."""

    NEVER = "never"
    RETRIES = "retries"
    ALWAYS = "always"


def check_live_lines(value: str, field: str = "live_lines") -> None:
    """:raises ConfigurationError: when it is none of the three words."""
    if value not in list(LiveLines):
        raise ConfigurationError(f"{field}: {value!r} is not known; choose one of {', '.join(LiveLines)}.")


def is_followed(live_lines: str, *, asked_for: bool, try_number: int, ended: Iterable[Outcome]) -> bool:
    """Whether the next launch of a shard is followed.

    :param asked_for: the run's param ``live_log_shards`` names the shard; this overrides ``live_lines``.
    :param try_number: Airflow's try number.
    :param ended: the outcomes of this try's launches; those of infrastructure do not count.
    """
    if asked_for or live_lines == LiveLines.ALWAYS:
        return True
    if live_lines == LiveLines.NEVER:
        return False
    return try_number > 1 or any(
        outcome.payer is Payer.APPLICATION or outcome.kind is Kind.OUT_OF_MEMORY for outcome in ended
    )


@dataclass(frozen=True)
class ShardPolicy:
    """How a shard is watched, limited and relaunched.

    :param timeout_seconds: a task older than this is stopped; None: never.
    :param start_seconds: a task that has not started so long after its creation is stopped and replaced; None: never.
    :param poll_seconds: the shortest time between two polls of this shard, see
        :class:`ecs_feature.fleet.watcher.TaskWatcher`; one call serves 100 shards.
    :param log_lines: how many last lines of the container's log are copied to the task log; 0: none.
    :param live_lines: when log lines are copied while the container runs: ``always``, ``never``, or ``retries``: only
        after an earlier try or launch failed in the application or ran out of memory.
    :param parallelism: how many tasks of ``parallel_group`` run at once per triggerer; None: no bound.
    :param max_vcpus: how many vCPUs they have at once; None: the account's quota.
    :param non_retryable_exit_codes: exit codes after which the shard fails at once; ``skip_exit_codes``: it is skipped.

    The others are those of :class:`ecs_feature.tasks.relaunches.RelaunchPolicy`.
    """

    timeout_seconds: float | None = None
    start_seconds: float | None = 600.0
    max_relaunches: int = 5
    capacity_seconds: float = 3600.0
    max_memory_mib: int | None = None
    fallback_interruptions: int = 0
    fallback_seconds: float | None = None
    poll_seconds: float = 0.5
    log_lines: int = 20
    parallelism: int | None = None
    max_vcpus: float | None = None
    parallel_group: str = ""
    non_retryable_exit_codes: tuple[int, ...] = ()
    skip_exit_codes: tuple[int, ...] = ()
    live_lines: str = LiveLines.RETRIES.value
    max_ephemeral_gib: int | None = None

    def __post_init__(self) -> None:
        check_live_lines(self.live_lines)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardPolicy:
        """The opposite of :meth:`to_dict`; also reads the keys of shards that were deferred before the renames."""
        return cls(**{_OLD_NAMES.get(name, name): value for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe; only what differs from the default, because it is stored for every shard."""
        return {
            item.name: list(value) if isinstance(value, tuple) else value
            for item in dataclasses.fields(self)
            if (value := getattr(self, item.name)) != item.default
        }

    @property
    def relaunches(self) -> RelaunchPolicy:
        return RelaunchPolicy(
            self.max_relaunches,
            self.capacity_seconds,
            self.max_memory_mib,
            self.fallback_interruptions,
            self.fallback_seconds,
            self.max_ephemeral_gib,
        )

    @property
    def tags(self) -> dict[str, str]:
        """The timeout, after which the janitor stops a task that nothing watches; empty: there is none."""
        return {} if self.timeout_seconds is None else {TIMEOUT_TAG: str(math.ceil(self.timeout_seconds))}

    @property
    def codes(self) -> ExitCodes:
        return ExitCodes(frozenset(self.non_retryable_exit_codes), frozenset(self.skip_exit_codes))
