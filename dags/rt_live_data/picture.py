"""The picture that people knew from rt.live: all states by Rt, with their intervals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rt_live_data.table import StateRow

WIDTH_INCHES, HEIGHT_INCHES, DPI = 16.0, 8.0, 100
"""Of 1600 by 800 pixels: 51 labels stand side by side at a size that can be read."""

BELOW, ABOVE = "#1b8a5a", "#d1495b"
MOST: Final = 3.0
"""The axis ends there, or above the highest Rt: intervals of states with few cases reach to the end of the grid."""
CREDIT: Final = "Data: The COVID Tracking Project at The Atlantic (CC BY 4.0). Method: Bettencourt and Ribeiro (2008)."


def draw(rows: Sequence[StateRow], interval: str = "90 %") -> bytes:
    """The picture as PNG; the same rows are the same bytes.

    :param rows: in the order in which they are drawn, those without an estimate left out (a line below names them).
    :param interval: what the legend says of the bars.
    """
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.045, 0.12, 0.94, 0.73))
    drawn = [row for row in rows if row.estimate is not None]
    bottom, top = _ends(drawn)
    for x, row in enumerate(drawn):
        _state(axes, x, row, top)
    axes.set_ylim(bottom, top)
    axes.set_xlim(-1, max(len(drawn), 1))
    _frame(axes)
    _words(figure, rows, interval)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _state(axes: Any, x: int, row: StateRow, top: float) -> None:
    rt, low, high = row.estimate or (0.0, 0.0, 0.0)
    color = BELOW if rt < 1 else ABOVE
    sure = high < 1 or low > 1
    axes.plot(
        (x, x),
        (low, high),
        color=color,
        alpha=0.55 if sure else 0.25,
        linewidth=9,
        solid_capstyle="round",
    )
    fill = "white" if row.status == "few_cases" else color
    axes.plot(x, rt, "o", color=color, markerfacecolor=fill, markersize=8, markeredgewidth=1.6)
    axes.annotate(
        row.state,
        (x, min(high, top)),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        fontweight="bold",
        color=color,
        annotation_clip=False,
    )


def _ends(drawn: Sequence[StateRow]) -> tuple[float, float]:
    """Where the axis begins and ends: around all intervals, but not far above the highest Rt."""
    found = [row.estimate for row in drawn if row.estimate is not None]
    highest = max([MOST, *(rt + 0.2 for rt, _, _ in found)])
    return (
        max(0.0, min([0.7, *(low for _, low, _ in found)]) - 0.1),
        min(max([1.3, *(high for _, _, high in found)]) + 0.05, highest),
    )


def _frame(axes: Any) -> None:
    axes.axhline(1.0, color="#333333", linewidth=1.2, zorder=0)
    axes.set_xticks([])
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelsize=11, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _words(figure: Figure, rows: Sequence[StateRow], interval: str) -> None:
    day = rows[0].date if rows else ""
    above = sum(row.rt is not None and row.rt >= 1 for row in rows)
    estimated = sum(row.rt is not None for row in rows)
    figure.text(0.045, 0.945, f"Effective reproduction number Rt by state, {day}", fontsize=19, fontweight="bold")
    figure.text(
        0.045,
        0.905,
        f"Above 1 the epidemic grows: {above} of {estimated} states. Bars: {interval} interval.",
        fontsize=12.5,
        color="#444444",
    )
    marks = [
        Line2D([], [], color=BELOW, marker="o", linewidth=7, alpha=0.7, label="below 1"),
        Line2D([], [], color=ABOVE, marker="o", linewidth=7, alpha=0.7, label="above 1"),
        Line2D([], [], color="#777777", marker="o", linewidth=7, alpha=0.25, label="pale: the bar includes 1"),
        Line2D([], [], color="#777777", marker="o", linewidth=0, markerfacecolor="white", label="hollow: few cases"),
    ]
    figure.legend(handles=marks, loc="upper right", bbox_to_anchor=(0.99, 0.94), ncols=4, frameon=False, fontsize=11)
    without = [row.state for row in rows if row.rt is None]
    lines = [CREDIT, *([f"No estimate (too few cases so far): {', '.join(without)}."] if without else [])]
    figure.text(0.045, 0.035, "\n".join(reversed(lines)), fontsize=10, color="#666666")
