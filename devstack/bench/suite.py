"""Which fan-outs are run, on which stacks, and what must hold for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devstack.bench import bars, board, estimates
from devstack.bench.bars import Bar
from devstack.bench.executor import executor_bench
from devstack.bench.fan_outs import FanOut, Side
from devstack.bench.measure import Bench, Measured
from devstack.bench.options import Options
from devstack.bench.parse_times import parse_times
from devstack.bench.predictions import Prediction
from devstack.bench.site import bench

WARM_UP: Final = FanOut("ours", 5, 1, about="warm_up")
"""A triggerer's first shard imports the AWS clients and sets up Airflow's in-process API, some 10 s of CPU, once."""

SIDES: Final[tuple[Side, ...]] = ("ours", "stock", "stock_logs")
CURVES: Final[Mapping[Side, tuple[int, ...]]] = {"ours": (10, 30, 300), "stock": (10, 30)}
"""Further sizes of each side."""

WAVE: Final = FanOut("ours", 2000, 30, about="wave")
WAVE_CAPACITY: Final = 400
"""Of each triggerer: 400 shards of 30 s are 13 a second, less than Fargate's 20; two triggerers can do 26."""


@dataclass
class Results:
    """What was measured so far.

    :param measured: by name.
    """

    measured: dict[str, Measured] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    parse: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, Prediction] = field(default_factory=dict)
    boards: dict[str, board.Board] = field(default_factory=dict)

    def add(self, name: str, measured: Measured, held: Iterable[Bar] = ()) -> None:
        """Keep a fan-out, and what must hold for it."""
        self.measured[name] = measured
        self.bars += held


Tell = Callable[[str], None]


def run(options: Options, folder: Path, results: Results, tell: Tell) -> None:
    """Run what the options ask for; ``results`` has all that ended, also when something fails later.

    :raises StackError: a stack or a fan-out failed.
    """
    planned = plan(options)
    if planned:
        with bench(
            folder / "main", pace=options.pace, capacity=options.capacity, triggerers=options.triggerers,
            patch=options.patch, fan_outs=[WARM_UP, *planned],
        ) as running:  # fmt: skip
            if "sizes" in options.parts:
                results.parse = parse_times(running.stack.environment)
                results.bars += bars.of_parse_times(results.parse)
            _one(running, WARM_UP, tell)
            for fan_out in planned:
                measured = _one(running, fan_out, tell)
                results.add(_name(fan_out), measured, _held(options, fan_out, measured))
        results.bars += _comparison(options, results)
    if "triggerers" in options.parts:
        _waves(options, folder, results, tell)
    if "estimate" in options.parts:
        _estimates(options, folder / "estimate", results, tell)
    if "ui" in options.parts:
        results.boards = board.run(folder / "ui", tell)
        results.bars += board.bars(results.boards)
    if "executor" in options.sides:
        fan_out = FanOut("executor", options.executor_shards, options.seconds)
        with executor_bench(folder / "executor", fan_out, pace=options.pace) as running:
            results.add(_name(fan_out), _one(running, fan_out, tell))


def plan(options: Options) -> list[FanOut]:
    """The fan-outs of the main stack, in their order."""
    parts, seconds = options.parts, options.seconds
    planned: list[FanOut] = []
    if "compare" in parts:
        sizes = {"ours": {options.shards, options.stock_shards}}
        sizes |= {"stock": {options.stock_shards}, "stock_logs": {options.stock_shards}}
        planned += [FanOut(s, n, seconds) for s in SIDES if s in options.sides for n in sorted(sizes[s])]
    if "sizes" in parts:
        planned += [FanOut("named", 200, seconds)]
        planned += [FanOut(s, n, seconds) for s in SIDES if s in options.sides for n in CURVES.get(s, ())]
    if "large" in parts:
        planned += [FanOut("ours", 5000, seconds)]
    if "runs" in parts:
        planned += [FanOut("ours", 2000, seconds, runs=5, about="at_once")]
    return planned


def _name(fan_out: FanOut) -> str:
    runs = f"{fan_out.runs}x" if fan_out.runs > 1 else ""
    return f"{fan_out.side}_{runs}{fan_out.shards}"


def _held(options: Options, fan_out: FanOut, measured: Measured) -> list[Bar]:
    """What must hold for one fan-out."""
    if fan_out.side == "named":
        return bars.of_fan_out(measured, ratio=1.25, name=f"{fan_out.shards} named")[:3]
    if fan_out.side != "ours":
        return []
    if fan_out.runs > 1:
        return bars.of_runs(measured)
    if fan_out.shards == 5000:
        return bars.of_large(measured)
    if fan_out.shards == options.shards:
        return bars.of_fan_out(measured, ratio=1.15, name=f"{fan_out.shards} mapped", patched=options.patch)
    return []


def _comparison(options: Options, results: Results) -> list[Bar]:
    single = [each for each in results.measured.values() if each.runs == 1]
    ours = [each for each in single if each.side == "ours" and each.shards in (options.shards, options.stock_shards)]
    stock = [each for each in single if each.side.startswith("stock") and each.shards == options.stock_shards]
    return bars.of_comparison(ours, stock) if ours and stock else []


def _waves(options: Options, folder: Path, results: Results, tell: Tell) -> None:
    """Item 6: where the capacity of one triggerer ends, and two."""
    for triggerers in (1, 2):
        with bench(
            folder / "triggerers", pace=options.pace, capacity=WAVE_CAPACITY, triggerers=triggerers,
            patch=options.patch, fan_outs=[WARM_UP, WAVE],
        ) as running:  # fmt: skip
            _one(running, WARM_UP, tell)
            results.add(f"triggerers_{triggerers}", _one(running, WAVE, tell))
    measured = results.measured["triggerers_2"]
    what = "2,000 shards of 30 s on two triggerers of 400"
    results.bars += [
        Bar(f"{what}: makespan by bound", measured.overhead_ratio, most=1.15),
        Bar(f"{what}: shards that did not succeed", measured.total - measured.succeeded, most=0),
    ]


def _estimates(options: Options, folder: Path, results: Results, tell: Tell) -> None:
    """What is said before a run, and what it then takes."""
    with bench(
        folder, pace=options.pace, capacity=options.capacity, patch=options.patch,
        fan_outs=[WARM_UP, estimates.PAST, estimates.NEW],
        fargate_arguments=("--runtime", "simulated", "--fargate-vcpus", str(estimates.MAX_VCPUS)),
    ) as running:  # fmt: skip
        _one(running, WARM_UP, tell)
        results.predictions = estimates.predictions(running, folder, tell)
    results.bars += bars.of_predictions(results.predictions)


def _one(running: Bench, fan_out: FanOut, tell: Tell) -> Measured:
    tell(f"{fan_out.dag_id}: {fan_out.runs} run(s) of {fan_out.shards} shards of {fan_out.seconds:g} s")
    slow = 4.0 if fan_out.side.startswith("stock") or fan_out.side == "executor" else 0.15
    seconds = 120 + fan_out.seconds + fan_out.shards * fan_out.runs * slow
    measured = running.run(fan_out, timeout_seconds=seconds)
    tell(
        f"    {measured.makespan_seconds:.1f} s, bound {measured.limit_seconds:.1f} s, ratio "
        f"{measured.overhead_ratio:.3f}; {1000 * measured.cpu_seconds_per_shard:.0f} ms CPU per shard; "
        f"{measured.api_calls_per_shard:.2f} AWS calls per shard; {measured.worker_starts} worker starts; "
        f"{measured.succeeded} of {measured.total} succeeded; machine {measured.machine_work_ms:.1f} ms, "
        f"{measured.stolen_share:.0%} of its time stolen"
    )
    return measured
