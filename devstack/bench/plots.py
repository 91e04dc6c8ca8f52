"""The benchmark's pictures, drawn from its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "ecs_feature"

from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.ticker import LogLocator  # noqa: E402

from devstack.bench.fan_outs import SIDE_NAMES, Side  # noqa: E402

BOUND: Final = "#444444"
COLORS: Final[Mapping[Side, str]] = {
    "ours": "#1f77b4",
    "named": "#66a3d2",
    "stock": "#d95f02",
    "stock_logs": "#e6ab02",
    "executor": "#7570b3",
}
SIDES: Final[Mapping[str, tuple[str, str]]] = {side: (SIDE_NAMES[side], color) for side, color in COLORS.items()}
"""Name and color."""

PROCESSES: Final[Mapping[str, str]] = {
    "triggerer": "#1f77b4",
    "scheduler": "#d95f02",
    "api-server": "#1b9e77",
    "dag-processor": "#7570b3",
    "postgres": "#999999",
}
WIDTH, HEIGHT = 7.2, 4.2

FanOuts = Mapping[str, Mapping[str, Any]]


def draw(fan_outs: FanOuts, folder: Path) -> list[Path]:
    """Draw every picture that the fan-outs have figures for; returns the files.

    :param fan_outs: ``fan_outs`` of the report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    single = {name: each for name, each in fan_outs.items() if not name.startswith("triggerers")}
    return [_picture(folder / f"{name}.svg", painter, single) for name, painter in _PICTURES.items() if single]


def _picture(path: Path, painter: Callable[[Axes, FanOuts], None], fan_outs: FanOuts) -> Path:
    figure, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    painter(axes, fan_outs)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def _makespan(axes: Axes, fan_outs: FanOuts) -> None:
    _curves(axes, fan_outs, lambda each: each["makespan_seconds"])
    shards = sorted({each["shards"] * each["runs"] for each in _of(fan_outs, "ours")})
    bounds = {each["shards"] * each["runs"]: each["limit_seconds"] for each in _of(fan_outs, "ours")}
    axes.plot(
        shards, [bounds[count] for count in shards], color=BOUND, linestyle="--", label="Fargate's bound", zorder=1
    )
    axes.set(xscale="log", yscale="log", xlabel="shards", ylabel="makespan, s", title="Makespan, shards of 10 s")
    _plain_ticks(axes, shards)
    axes.legend(frameon=False)


def _overhead(axes: Axes, fan_outs: FanOuts) -> None:
    _curves(axes, fan_outs, lambda each: 1000 * each["overhead_seconds_per_shard"])
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="shards",
        ylabel="ms per shard",
        title="Time above Fargate's bound, by shards",
    )
    _plain_ticks(axes, sorted({each["shards"] * each["runs"] for each in fan_outs.values()}))
    axes.legend(frameon=False)


def _api_calls(axes: Axes, fan_outs: FanOuts) -> None:
    compared = _compared(fan_outs)
    operations = sorted(
        {name for each in compared for name, calls in each["api_calls"].items() if calls / _total(each) >= 0.03}
    )
    _stacks(axes, compared, operations, lambda each, name: each["api_calls"].get(name, 0) / _total(each))
    axes.set(ylabel="AWS API calls per shard", title="AWS API calls per shard, by kind")


def _cpu(axes: Axes, fan_outs: FanOuts) -> None:
    compared = _compared(fan_outs)
    _stacks(axes, compared, list(PROCESSES), lambda each, name: 1000 * _cpu_of(each["cpu_by_process"], name), PROCESSES)
    axes.set(ylabel="CPU, ms per shard", title="CPU per shard, by process (workers are the scheduler's)")


def _memory(axes: Axes, fan_outs: FanOuts) -> None:
    compared = sorted(_compared(fan_outs), key=_total)
    names = [_label(each) for each in compared]
    colors = [SIDES[each["side"]][1] for each in compared]
    bars = axes.bar(names, [each["triggerer_peak_mib"] for each in compared], color=colors, width=0.6)
    axes.bar_label(bars, fmt="%.0f", padding=2)
    axes.margins(y=0.12)
    axes.set(ylabel="MiB", title="Peak memory of the triggerer (supervisor and runner)")
    axes.tick_params(axis="x", labelsize=8)


def _launches(axes: Axes, fan_outs: FanOuts) -> None:
    longest = 0.0
    for each in _of(fan_outs, "ours") + _of(fan_outs, "stock"):
        if each["runs"] > 1 or _total(each) not in (100, 1000) or not each["launches"]:
            continue
        name, color = SIDES[each["side"]]
        style = "-" if _total(each) == 1000 else ":"
        axes.plot(
            each["launches"], range(1, len(each["launches"]) + 1), color=color, linestyle=style,
            label=f"{name}, {_total(each):,} shards",
        )  # fmt: skip
        longest = max(longest, each["launches"][-1])
    bound = min(longest, 50.0)
    axes.plot([0, 0, bound], [0, 20, 20 + 20 * bound], color=BOUND, label="RunTask: 20 calls a second")
    axes.plot(
        [0, 0, bound], [0, 100, 100 + 20 * bound], color=BOUND, linestyle="--", label="launches: 100, then 20 a second"
    )
    axes.set(
        xlabel="s since the first shard was scheduled", ylabel="launches", title="Launches against Fargate's quotas"
    )
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


_PICTURES: Final[Mapping[str, Callable[[Axes, FanOuts], None]]] = {
    "makespan": _makespan,
    "overhead_per_shard": _overhead,
    "api_calls_per_shard": _api_calls,
    "cpu_per_shard": _cpu,
    "triggerer_memory": _memory,
    "launches": _launches,
}


def _curves(axes: Axes, fan_outs: FanOuts, value: Callable[[Mapping[str, Any]], float]) -> None:
    for side, (name, color) in SIDES.items():
        points = sorted((_total(each), value(each)) for each in _of(fan_outs, side))
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=5, color=color, label=name)


def _stacks(
    axes: Axes,
    compared: Sequence[Mapping[str, Any]],
    parts: Sequence[str],
    value: Callable[[Mapping[str, Any], str], float],
    colors: Mapping[str, str] | None = None,
) -> None:
    names = [_label(each) for each in compared]
    bottoms = [0.0] * len(compared)
    for part in parts:
        heights = [value(each, part) for each in compared]
        axes.bar(names, heights, bottom=bottoms, width=0.6, label=part, color=(colors or {}).get(part))
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for index, total in enumerate(bottoms):
        axes.text(index, total, f"{total:,.0f}" if total >= 100 else f"{total:.3g}", ha="center", va="bottom")
    axes.margins(y=0.12)
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _compared(fan_outs: FanOuts) -> list[Mapping[str, Any]]:
    """One fan-out of each side at the sizes that are compared."""
    wanted = [
        each
        for each in fan_outs.values()
        if (each["side"] == "ours" and _total(each) in (100, 1000))
        or each["side"] in ("stock", "stock_logs", "executor")
    ]
    largest = {side: max((_total(each) for each in wanted if each["side"] == side), default=0) for side in SIDES}
    return sorted(
        (each for each in wanted if each["side"] == "ours" or _total(each) == largest[each["side"]]),
        key=lambda each: (list(SIDES).index(each["side"]), _total(each)),
    )


def _of(fan_outs: FanOuts, side: str) -> list[Mapping[str, Any]]:
    return [each for each in fan_outs.values() if each["side"] == side]


def _total(each: Mapping[str, Any]) -> int:
    return int(each["shards"] * each["runs"])


def _label(each: Mapping[str, Any]) -> str:
    name = SIDES[each["side"]][0].replace(", mapped", "").replace(" with", "\nwith")
    return f"{name}\n{_total(each):,} shards"


def _cpu_of(by_process: Mapping[str, float], name: str) -> float:
    return sum(used for process, used in by_process.items() if process == name or process.startswith(f"{name}-"))


def _plain_ticks(axes: Axes, shards: Sequence[int]) -> None:
    axes.set_xticks(list(shards), [f"{count:,}" for count in shards])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,g}")
