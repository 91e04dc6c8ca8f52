"""Fills an Airflow's database with past runs: ``python -m devstack.ui.seed JSON``, in an environment that is its own.

Airflow serializes the DAGs and makes the runs; only what tasks leave behind is written here, with the columns and
XComs that they write. The receipt is written by the operator itself.
"""

from __future__ import annotations

import json
import logging
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete, select, update

from devstack.ui import boards, copies
from devstack.ui.bulk import insert_rows, without_indexes
from devstack.ui.history import Fate, Past, ServicePast, ShardPast
from devstack.ui.plans import Plan, plans
from devstack.ui.rows import LeftByTasks, RunRows
from ecs_feature.fleet.waits import Wait
from ecs_feature.shards.waits_row import WAITS_KEY, Waiting, row

MOST_DRAWN: Final = 50_000
"""Cells of the mapped pipeline: drawing one takes about a millisecond, so of a larger board most runs are copies."""
DRAWN: Final = 8
"""Of the copied runs, so many in a row differ: gzip, which looks back 32 KB, must not find a board's columns again."""
LAUNCH_BURST, LAUNCHES_A_SECOND = 100, 20
TI, XC = TaskInstance.__table__, XComModel.__table__


class Seeder:
    """Writes the runs of one DAG."""

    def __init__(self, session: Any, bag: Any, dag_id: str, seed: int, now: datetime) -> None:
        self.session, self.dag_id, self.now = session, dag_id, now
        self.real = bag.dags[dag_id]
        self.dag = SerializedDagModel.get_dag(dag_id, session=session)
        self.receipt = self.real.get_task("receipt")
        self.rng = random.Random(f"{seed}/{dag_id}")
        self.pasts: dict[str, Past] = {}
        shards = {lane: [self.real.get_task(each) for each in v.shards] for lane, v in self.receipt.variants.items()}
        self.mapped = {lane for lane, tasks in shards.items() if tasks[0].is_mapped}
        self.named = {
            lane: {t.shard: t.task_id for t in tasks} for lane, tasks in shards.items() if lane not in self.mapped
        }

    def shards_of(self, lane: str, found: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Name -> task id and map index."""
        tasks = self.receipt.variants[lane]
        if lane in self.mapped:
            return {name: (tasks.shards[0], index) for index, name in enumerate(found)}
        return {name: (task_id, -1) for name, task_id in self.named[lane].items()}

    def run(self, plan: Plan, found: Sequence[str] = (), gone: Sequence[str] = ()) -> str:
        """Write one run; its id.

        :param found: the shards of a mapped pipeline; ``gone``: shards that the DAG does not have any more.
        """
        run = self._created(plan)
        rows = {row["task_id"]: dict(row) for row in self._rows(run)}
        self.session.execute(
            delete(TaskInstance).where(TaskInstance.run_id == run.run_id, TaskInstance.dag_id == run.dag_id)
        )
        self.session.expire_all()
        out = RunRows(run, plan, rows)
        self._before(out, found)
        ends = [
            self._lane(out, lane, self.shards_of(lane, found), gone if lane not in self.mapped else ())
            for lane in self.receipt.variants
        ]
        end = max(ends)
        if not plan.active:
            self._receipt(out, end, found)
            end += timedelta(seconds=3)
        self._write(out, None if plan.active else end)
        return plan.run_id

    def copy(self, plan: Plan, drawn: str) -> None:
        """Write one run that is like another one of another day.

        :param drawn: that run's id.
        """
        query = select(DagRun).where(DagRun.dag_id == self.dag_id, DagRun.run_id == drawn)
        copies.copy(self.session, self.session.scalars(query).one(), self._created(plan))

    def _created(self, plan: Plan) -> Any:
        conf = {"shards": list(plan.chosen)} if plan.chosen else None
        run = self.dag.create_dagrun(
            run_id=plan.run_id,
            logical_date=plan.date,
            data_interval=(plan.date, plan.date),
            run_after=plan.date,
            conf=conf,
            run_type=DagRunType(plan.run_type),
            triggered_by=DagRunTriggeredByType.TIMETABLE if plan.run_type == "scheduled" else DagRunTriggeredByType.UI,
            state=DagRunState.RUNNING,
            start_date=plan.start,
            session=self.session,
        )
        self.session.flush()
        return run

    def _rows(self, run: Any) -> Iterable[Mapping[str, Any]]:
        query = select(TI).where(TI.c.dag_id == run.dag_id, TI.c.run_id == run.run_id)
        return list(self.session.execute(query).mappings())

    def _before(self, out: RunRows, found: Sequence[str]) -> None:
        start, date = out.plan.start, out.plan.date
        names = list(out.plan.chosen) or [name for tasks in self.named.values() for name in tasks]
        plan = {
            "partition": f"{date:%Y-%m-%d}",
            "day": f"{date:%Y-%m-%d}",
            "shards": list(dict.fromkeys(names)),
            "variants": list(self.receipt.variants),
        }
        out.task("plan", "success", start + timedelta(seconds=1), start + timedelta(seconds=3.5), plan)
        if found:
            out.task("find_shards", "success", start + timedelta(seconds=4), start + timedelta(seconds=7), list(found))
            out.maps.append(TaskMap(self.dag_id, "find_shards", out.run.run_id, -1, len(found), None))

    def _lane(self, out: RunRows, lane: str, cells: Mapping[str, tuple[str, int]], gone: Sequence[str]) -> datetime:
        """Write the tasks of a lane; when its last one ended."""
        plan, tasks, start = out.plan, self.receipt.variants[lane], out.plan.start
        prefix = f"{lane}." if lane else ""
        out.task(f"{prefix}register", "success", start + timedelta(seconds=4), start + timedelta(seconds=6))
        at = start + timedelta(seconds=8)
        holds = bool(tasks.scale_up)
        services = ServicePast(f"{self.dag_id}/{plan.run_id}/{lane}", self._services(tasks)) if holds else None
        if lane in plan.broken:
            return self._broken(out, lane, cells, at)
        ready = at
        if services is not None:
            up, ready = at + timedelta(seconds=2.5), at + timedelta(seconds=self.rng.uniform(45, 75))
            out.task(tasks.scale_up, "success", at, up, services.up(up))
            out.task(tasks.steady, "success", up, ready, services.steady(ready, up))
        end, published = ready, []
        past = self._past(lane, [*cells, *gone], out)
        waiting: list[Waiting] = []
        wanted = {name: at for at, name in enumerate(n for n in cells if not plan.chosen or n in plan.chosen)}
        each: dict[str, tuple[str, int]] = {**dict(cells), **{name: (f"{prefix}shards.{name}", -1) for name in gone}}
        for name, (task_id, index) in each.items():
            if name in cells and name not in wanted:
                out.shard(task_id, index, ShardPast("skipped", 1, None, ready, ready + timedelta(seconds=1)), cells)
                continue
            begun = ready + timedelta(seconds=max(0.0, (wanted.get(name, 0) - LAUNCH_BURST) / LAUNCHES_A_SECOND))
            done = past.ended(name, begun, plan.fate)
            if plan.active:
                done = self._so_far(out, done, (task_id, index), waiting)
            out.shard(task_id, index, done, cells)
            if done.succeeded:
                published.append(name)
            end = max(end, done.end or end)
        if plan.active:
            if waiting:
                until = timedelta(days=30)
                out.xcom(
                    next(iter(cells.values()))[0],
                    row(waiting, self.now, until),
                    -1 if lane not in self.mapped else 0,
                    key=WAITS_KEY,
                )
            return end
        return self._after(out, lane, published, services, ready, end, missing=_without(cells, published))

    def _after(
        self,
        out: RunRows,
        lane: str,
        published: list[str],
        services: ServicePast | None,
        ready: datetime,
        end: datetime,
        missing: list[str],
    ) -> datetime:
        tasks, plan = self.receipt.variants[lane], out.plan
        over = end
        if services is not None:
            over = end + timedelta(seconds=self.rng.uniform(20, 40))
            out.task(tasks.scale_down, "success", end + timedelta(seconds=1), over, services.down(over, ready))
        done = end + timedelta(seconds=3)
        if lane in plan.unpublished or not published:
            out.task(tasks.publish, "failed", end + timedelta(seconds=1), done, tries=4)
            return max(over, done)
        rows, where = 1000 * len(published), self.real.get_task(tasks.publish).prefix
        where = where.replace("{{ ds }}", f"{plan.date:%Y-%m-%d}")
        value = {
            "manifest_uri": f"{where}/manifest/v={plan.version:04d}.json",
            "version": plan.version,
            "rows": rows,
            "files": len(published),
            "bytes": 128 * rows,
            "shards": sorted(published),
            "missing": [] if plan.chosen else missing,
        }
        out.task(tasks.publish, "success", end + timedelta(seconds=1), done, value)
        return max(over, done)

    def _broken(self, out: RunRows, lane: str, cells: Mapping[str, tuple[str, int]], at: datetime) -> datetime:
        """Services that could not be raised: no shard was started."""
        tasks, end = self.receipt.variants[lane], at + timedelta(seconds=90)
        out.task(tasks.scale_up, "failed", at, end, tries=4)
        for task_id in (tasks.steady, tasks.publish):
            out.task(task_id, "upstream_failed", end, end, tries=0)
        for task_id, index in cells.values():
            out.shard(task_id, index, ShardPast("upstream_failed", 0, None, end, end), cells)
        out.task(tasks.scale_down, "success", end, end + timedelta(seconds=2))
        return end + timedelta(seconds=2)

    def _so_far(self, out: RunRows, done: ShardPast, cell: tuple[str, int], waiting: list[Waiting]) -> ShardPast:
        """What there is of a shard whose run goes on."""
        if done.end is not None and done.end < self.now:
            return done
        assert done.start is not None
        draw = self.rng.random()
        if draw < 0.12:
            return ShardPast(None)
        out.deferred.append(cell)
        if draw < 0.35:
            wait = Wait("vCPU quota", "for room in the account's quota of 96 vCPUs, of which 95 are taken")
            waiting.append(Waiting(cell, wait, done.start + timedelta(seconds=20)))
        return ShardPast("deferred", 1, None, done.start, None)

    def _receipt(self, out: RunRows, end: datetime, found: Sequence[str]) -> None:
        """Let the operator write it, in front of what the others have left."""
        ti = LeftByTasks(self.dag_id, out, "receipt")
        params = {"shards": list(out.plan.chosen), "variants": []}
        run = SimpleNamespace(
            start_date=out.plan.start, run_after=out.plan.date, logical_date=out.plan.date, run_id=out.run.run_id,
            dag_id=self.dag_id, run_type=out.plan.run_type, partition_key=None, partition_date=None, conf=None,
        )  # fmt: skip
        made = self.receipt.execute({"ti": ti, "dag_run": run, "params": params})
        made["seconds"] = round((end - out.plan.start).total_seconds(), 1)
        done = end + timedelta(seconds=2)
        out.task("receipt", "success", end, done, made)
        for key, value in ti.pushed.items():
            if isinstance(value, dict) and "at" in value:
                value["at"] = end.isoformat()
            out.xcom("receipt", value, key=key)

    def _services(self, tasks: Any) -> dict[str, int]:
        return dict(self.real.get_task(tasks.scale_up).services)

    def _past(self, lane: str, shards: Sequence[str], out: RunRows) -> Past:
        past = self.pasts.get(lane)
        if past is None or len(past.shards) < len(shards):
            past = self.pasts[lane] = Past(random.Random(f"{self.dag_id}/{lane}"), list(shards))
        past.extra = {"variant": lane, "partition": f"{out.plan.date:%Y-%m-%d}"}
        return past

    def _write(self, out: RunRows, end: datetime | None) -> None:
        """Insert what was gathered."""
        triggers = []
        for task_id, index in out.deferred:
            trigger = Trigger(classpath="ecs_feature.triggers.shard.ShardTrigger", kwargs={})
            trigger.triggerer_id = 1
            triggers.append((task_id, index, trigger))
        self.session.add_all(trigger for _, _, trigger in triggers)
        self.session.flush()
        ids = {(task_id, index): trigger.id for task_id, index, trigger in triggers}
        for each in out.instances:
            each["trigger_id"] = ids.get((each["task_id"], each["map_index"]))
        insert_rows(self.session, TI, out.instances)
        insert_rows(self.session, XC, out.xcoms)
        self.session.add_all(out.maps)
        bad = any(
            each["state"] in ("failed", "upstream_failed")
            for each in out.instances
            if each["task_id"].endswith("publish")
        )
        state = "running" if end is None else "failed" if bad else "success"
        self.session.execute(
            update(DagRun)
            .where(DagRun.id == out.run.id)
            .values(
                _state=state,
                start_date=out.plan.start,
                end_date=end,
                queued_at=out.plan.start,
                updated_at=end or self.now,
            )
        )
        self.session.commit()


def _without(names: Iterable[str], some: Iterable[str]) -> list[str]:
    left_out = frozenset(some)
    return [name for name in names if name not in left_out]


def seed(size: boards.Size) -> None:
    """Serialize the DAGs and write all runs."""
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    if bag.import_errors:
        raise SystemExit(f"The seeded DAGs cannot be imported: {bag.import_errors}")
    sync_bag_to_db(bag, bundle.name, None)
    logging.disable(logging.WARNING)
    ExecutorSafeguard.test_mode = True  # else each receipt warns that no task runner calls it
    now = datetime.now(UTC).replace(microsecond=0)
    with create_session() as session:
        tomorrow = now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        session.execute(update(DagModel).values(is_paused=False))
        session.execute(
            update(DagModel)
            .where(DagModel.dag_id.in_((boards.NAMED, boards.MAPPED)))
            .values(next_dagrun=tomorrow, next_dagrun_create_after=tomorrow)
        )
        named = Seeder(session, bag, boards.NAMED, size.seed, now)
        for number, plan in enumerate(plans(size.named_runs, now, boards.STATES, eventful=True)):
            named.run(plan, gone=("PR",) if number < size.named_runs // 3 else ())
        names = boards.tenants(size.shards)
        mapped = Seeder(session, bag, boards.MAPPED, size.seed, now)
        many = size.shards * size.runs > MOST_DRAWN and session.get_bind().dialect.name == "postgresql"
        drawn: dict[int, str] = {}
        with without_indexes(session, [table.name for table in copies.TABLES]) if many else nullcontext():
            for number, plan in enumerate(plans(size.runs, now, names, eventful=False)):
                alike = number % DRAWN
                fewer = 3 if (alike == 0 if many else number < size.runs // 3 and size.shards > 20) else 0
                if many and alike in drawn and not plan.active:
                    mapped.copy(plan, drawn[alike])
                else:
                    drawn[alike] = mapped.run(plan, found=names[: size.shards - fewer])
        hostile = Seeder(session, bag, boards.HOSTILE_DAG, size.seed, now)
        for ago in (2, 1):
            date = now.replace(hour=0, minute=0, second=0) - timedelta(days=ago)
            hostile.run(Plan(date, date + timedelta(hours=1), "manual", fate=Fate(failed=0.3 if ago == 1 else 0.0)))
        foreign = SerializedDagModel.get_dag(boards.FOREIGN, session=session)
        date = now.replace(hour=0, minute=0, second=0) - timedelta(days=1)
        run = foreign.create_dagrun(
            run_id=f"manual__{date.isoformat()}", logical_date=date, data_interval=(date, date), run_after=date,
            run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.UI, state=DagRunState.SUCCESS,
            start_date=date, session=session,
        )  # fmt: skip
        run.end_date = date + timedelta(seconds=3)
        for ti in run.task_instances:
            ti.state, ti.start_date, ti.end_date, ti.try_number = "success", date, date + timedelta(seconds=1), 1


if __name__ == "__main__":
    seed(boards.Size(**json.loads(sys.argv[1])))
