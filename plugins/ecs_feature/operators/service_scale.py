"""Raises services for a run, and gives them back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ecs_feature.aws.operator import AwsOperator
from ecs_feature.aws.resources import LINUX_X86, EcsService, platform_of, region_of
from ecs_feature.environment import filled, filled_keys
from ecs_feature.exceptions import ConfigurationError, EcsFeatureError
from ecs_feature.fleet.sight import patience_seconds
from ecs_feature.operators.patience import patiently
from ecs_feature.services.client import EcsServices
from ecs_feature.services.kinds import check
from ecs_feature.services.lease_holders import active_run_checker
from ecs_feature.services.leases import RunIsActive, SharingPolicy, check_count, held_by, policy_of
from ecs_feature.services.readiness import ready_of
from ecs_feature.services.run_lease import RunLease
from ecs_feature.services.snapshot import seen
from ecs_feature.tasks import cost
from ecs_feature.triggers.service import EcsServiceSteadyTrigger

Ask = Callable[[Callable[[EcsServices], Any]], Any]
"""Asks AWS something, and again while that may help."""


@dataclass(frozen=True)
class _Leased:
    """What the scale-up has left of a service.

    :param since: when the run leased it; None: not known.
    """

    policy: SharingPolicy
    since: datetime | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any], default: _Leased) -> _Leased:
        since = datetime.fromisoformat(row["since"]) if row.get("since") else None
        return cls(SharingPolicy.from_tag(row.get("policy", "")) or default.policy, since)


class EcsServiceScaleOperator(AwsOperator):
    """Takes (``up``, a setup) or gives back (``down``, a teardown) a run's lease on services.

    It never sets a desired count by itself: the count is what all live leases want, see
    :mod:`ecs_feature.services.leases`. Where Application Auto Scaling keeps the count, it moves the MinCapacity
    instead. A service that cannot be leased is refused before anything is written, and when one of several cannot be
    raised, what this try has leased is given back. Where something else has removed a service's tags, ``down`` brings
    it to the baseline of ``policies``, or fails. While AWS cannot be asked, both wait on the worker, for at most
    ``[ecs_feature] credentials_timeout_seconds``.
    Both directions may be repeated. Going down waits in the triggerer until the tasks are gone, and ends there:
    a task that comes back to a worker at once may be failed by the scheduler, which takes the end of its first part
    for its own (apache/airflow#72716)::

        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import DAG
        from ecs_feature.operators.service_scale import EcsServiceScaleOperator

        with DAG("encoded"):
            both = {"cluster": "${CLUSTER}", "services": {"encoder": 2}}
            up = EcsServiceScaleOperator(task_id="up", **both)
            down = EcsServiceScaleOperator(task_id="down", direction="down", **both)
            work = EmptyOperator(task_id="work")
            up.as_setup() >> work >> down.as_teardown(setups=up, on_failure_fail_dagrun=True)

    XCom of ``up``: ``{"services": [{"before", "policy", "since"}]}``; of ``down``: ``{"services": [{"peak",
    "others"}], "held": [{"name", "seconds", "vcpu_seconds", "gb_seconds"}]}``; all services have what
    :func:`ecs_feature.services.snapshot.seen` says, too. A held service whose tasks ended by themselves has
    ``replaced``: reason -> how many.

    :param services: name -> how many of its tasks this run needs.
    :param holder: template of the lease's holder; both directions must agree.
    :param lease: how long the lease lives if nobody gives it back; after that, for as long as the run goes on.
    :param policies: name -> how the service's leases add up; default: sum, from a baseline of 0.
    :param timeout_seconds: how long ``down`` waits for the tasks to be gone, and ``up`` for ``ready``.
    :param ready: with ``up``: waits, in the triggerer, until the services are steady and what is said here is true, see
        :class:`ecs_feature.sensors.service_steady.EcsServiceSteadySensor`; default: it does not wait.
    :raises ConfigurationError: for a count that no service can have.
    """

    template_fields: Sequence[str] = ("cluster", "holder")
    ui_color = "#fbd9a5"

    def __init__(
        self,
        *,
        cluster: str,
        services: dict[str, int],
        direction: Literal["up", "down"] = "up",
        holder: str = "{{ dag.dag_id }}/{{ run_id }}",
        lease: timedelta = timedelta(hours=6),
        policies: dict[str, SharingPolicy] | None = None,
        timeout_seconds: float = 900,
        poll_seconds: float = 5,
        ready: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, count in services.items():
            check_count(count, f"services[{name!r}]")
        if direction not in ("up", "down"):
            raise ConfigurationError(f"direction: {direction!r} is not known; give 'up' or 'down'.")
        self.cluster = filled(cluster, where="cluster")
        self.services = filled_keys(services, where="services")
        self.direction = direction
        self.holder = filled(holder, where="holder")
        self.lease = lease
        self.policies = filled_keys(policies or {}, where="policies")
        self.timeout_seconds = timeout_seconds
        self.poll_seconds = poll_seconds
        self.ready = ready_of(ready or {}, list(self.services))
        if self.ready and direction == "down":
            raise ConfigurationError("ready: nothing is waited for when a service goes down; leave it out.")

    def execute(self, context: Any) -> dict[str, Any]:
        ask = self._asking(active_run_checker(context["ti"]))
        try:
            if self.direction == "up":
                result, lease = self._up(ask), self.lease
                policies = {name: self.policies.get(name, SharingPolicy()) for name in self.services}
            else:
                known, lease = self._known(context), timedelta(0)
                result = {"held": self._down(ask, known)}
                policies = {name: leased.policy for name, leased in known.items()}
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        except EcsFeatureError as error:
            raise AirflowException(str(error)) from error
        if self.direction == "down" or self.ready:
            self._wait(result, policies, lease)
        return result

    def _wait(self, result: dict[str, Any], policies: dict[str, SharingPolicy], lease: timedelta) -> None:
        """Defer until the services are ready, or down."""
        self.defer(
            trigger=EcsServiceSteadyTrigger(
                cluster=self.cluster,
                services=list(self.services),
                aws=asdict(self.aws),
                timeout_seconds=self.timeout_seconds,
                poll_seconds=self.poll_seconds,
                descending=self.direction == "down",
                result=result,
                run_lease=RunLease(self.cluster, self.holder, self.services, policies, lease.total_seconds()).to_dict(),
                ready=self.ready,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger could not store, as in ``dag.test()``, or raise when the tasks are still there."""
        if event["state"] != "success":
            raise AirflowException(event["message"])
        result: dict[str, Any] = event["result"]
        return result

    def _asking(self, run_is_active: RunIsActive) -> Ask:
        """What asks AWS, after a failure with new clients; all its waits together have the time of one."""
        opened: list[EcsServices] = []
        until = time.monotonic() + patience_seconds()

        def act_on(act: Callable[[EcsServices], Any]) -> Any:
            if not opened:
                ecs, scaling = (self.aws.client(name) for name in ("ecs", "application-autoscaling"))
                opened.append(EcsServices(ecs, self.cluster, autoscaling=scaling, run_is_active=run_is_active))
            return act(opened[0])

        def ask(act: Callable[[EcsServices], Any]) -> Any:
            left = max(0.0, until - time.monotonic())
            return patiently(partial(act_on, act), self.log, renew=opened.clear, seconds=left)

        return ask

    def _up(self, ask: Ask) -> dict[str, Any]:
        found = ask(lambda services: services.describe(list(self.services)))
        check(found)
        fresh = [service.name for service in found if not held_by(self.holder, service.tags)]
        rows: list[dict[str, Any]] = []
        try:
            self._acquire(ask, rows)
        except BaseException:
            self._give_back(ask, [name for name in fresh if name in list(self.services)[: len(rows) + 1]])
            raise
        return {"services": rows}

    def _acquire(self, ask: Ask, rows: list[dict[str, Any]]) -> None:
        """Lease the services one after the other; adds a row for each."""
        until = datetime.now(UTC) + self.lease
        for name, count in self.services.items():
            policy = self.policies.get(name, SharingPolicy())
            before, after = ask(
                partial(EcsServices.acquire, name=name, holder=self.holder, count=count, until=until, policy=policy)
            )
            self.log.info(
                "Service %s: leased %d until %s; desired count %d -> %d.%s",
                name,
                count,
                until.strftime("%Y-%m-%d %H:%M:%SZ"),
                before.desired,
                after.desired,
                f" Application Auto Scaling keeps at least {after.minimum}." if after.minimum else "",
            )
            applied = (policy_of(after.tags) or policy).to_tag()["value"]
            mine = [each.since for each in held_by(self.holder, after.tags).values() if each is not None]
            rows.append(
                {
                    **seen(after, datetime.now(UTC)),
                    "before": before.running,
                    "policy": applied,
                    "since": min(mine, default=datetime.now(UTC)).isoformat(timespec="seconds"),
                }
            )

    def _give_back(self, ask: Ask, names: list[str]) -> None:
        """Release what this try has leased, not what an earlier one holds: no task may follow that would."""
        for name in names:
            try:
                ask(partial(EcsServices.release, name=name, holder=self.holder))
                self.log.info("Service %s: its lease was given back, as not all services could be raised.", name)
            except EcsFeatureError as error:
                self.log.error("%s", error)

    def _known(self, context: Any) -> dict[str, _Leased]:
        """What to go by where a service's tags are gone: as the scale-up has left them, else this operator's policy.

        A service that the scale-up has not leased is not in it; it is left as it is.
        """
        upstream = self.upstream_list if self.has_dag() else ()
        ups = [task.task_id for task in upstream if task.is_setup and task.task_type == self.task_type]
        mine = {name: _Leased(self.policies.get(name, SharingPolicy())) for name in self.services}
        if not ups:
            return mine
        rows = {
            row["name"]: _Leased.from_row(row, mine[row["name"]])
            for left in context["ti"].xcom_pull(task_ids=ups) or ()
            for row in (left or {}).get("services", ())
            if row["name"] in mine
        }
        return {name: rows[name] for name in mine if name in rows}

    def _down(self, ask: Ask, known: dict[str, _Leased]) -> list[dict[str, Any]]:
        held, errors = [], []
        for name in self.services:
            try:
                held.append(self._give_up(ask, name, known.get(name)))
            except EcsFeatureError as error:
                # The other services must still be given back; the first error is raised after that.
                errors.append(error)
                self.log.error("%s", error)
        if errors:
            raise errors[0]
        return held

    def _give_up(self, ask: Ask, name: str, known: _Leased | None) -> dict[str, Any]:
        """Release one service; what its lease is charged with."""
        # Read first: when the release is repeated, its lease is gone.
        found = ask(lambda services: services.describe([name]))[0]
        policy = known.policy if known is not None else None
        lease, after = ask(partial(EcsServices.release, name=name, holder=self.holder, known=policy))
        leases = [each for each in (lease, *held_by(self.holder, found.tags).values()) if each is not None]
        given = "lease given back" if leases else "no lease of this run was left"
        self.log.info("Service %s: %s; desired count is %d.", name, given, after.desired)
        since = min((each.since for each in leases), default=None)
        count = max((each.count for each in leases), default=self.services[name])
        if known is not None and known.since is not None and (leases or policy_of(found.tags) is None):
            # Something else may have removed the lease, and a guard written it again, with another start.
            since = min(since or known.since, known.since)
        held: dict[str, Any] = ask(partial(self._held, service=after, since=since, count=count))
        return held

    def _held(
        self, services: EcsServices, *, service: EcsService, since: datetime | None, count: int
    ) -> dict[str, Any]:
        """What the lease is charged with: its own count for as long as it was held, at the task's size."""
        seconds = (datetime.now(UTC) - since).total_seconds() if since is not None else 0.0
        definition = services.task_definition(service)
        size = int(definition.get("cpu") or 0), int(definition.get("memory") or 0)
        used = cost.usage(*size, seconds * count)
        return {
            "name": service.name,
            "seconds": round(seconds, 1),
            "vcpu_seconds": round(used.vcpu_seconds, 3),
            "gb_seconds": round(used.gb_seconds, 3),
            "region": region_of(service.arn),
            **({"platform": platform} if (platform := platform_of(definition)) != LINUX_X86 else {}),
            **self._replaced(services, service, since),
        }

    def _replaced(self, services: EcsServices, service: EcsService, since: datetime | None) -> dict[str, Any]:
        """The tasks of the service that ended by themselves while it was held, as far as ECS still shows them."""
        try:
            dead = services.deaths(service, since) if since is not None else []
        except EcsFeatureError as error:
            self.log.warning("Service %s: whether its tasks were replaced is not known: %s", service.name, error)
            dead = []
        reasons = Counter(task.stopped_reason or task.stop_code for task in dead)
        if dead:
            said = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
            self.log.warning("Service %s: %d tasks were replaced during the run: %s.", service.name, len(dead), said)
        return {"replaced": dict(reasons)} if dead else {}
