"""How long a board takes in the browser: until its cells are on the screen, and while it is scrolled."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Final

from devstack.ui import boards
from devstack.ui.browser import browser, page
from devstack.ui.stack import UiStack

SCROLLS: Final = 40
PAGES_DRAWN: Final = 2
FIRST_RUNS: Final = 30
"""That the tab shows at first."""
TRACED: Final = ("toplevel", "devtools.timeline")
WATCH: Final = """
(() => {
  const seen = window.__seen = {mount: null, painted: null, tasks: []};
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) seen.tasks.push([each.startTime, each.duration]);
  }).observe({type: "longtask", buffered: true});
  const look = () => {
    if (seen.mount === null && document.querySelector(".ecsf-root")) seen.mount = performance.now();
    if (seen.painted === null && document.querySelector(".ecsf-root [role=gridcell]")) {
      requestAnimationFrame(() => requestAnimationFrame(() => { seen.painted ??= performance.now(); }));
    } else if (seen.painted === null) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


def drawn(stack: UiStack, runs: int) -> dict[str, float | None]:
    """Seconds from the tab's mount to cells on the screen, and to all runs, the medians of some; longest task while
    they are scrolled, and by the CPU that it took: on a busy machine a task waits, too."""
    path = f"{stack.url}/dags/{boards.MAPPED}/plugin/shards"
    painted, widened, longest, longest_cpu = [], [], 0.0, 0.0
    with browser() as chromium:
        for number in range(1 + PAGES_DRAWN):
            with page(chromium, stack.url, stack.token("admin"), width=1280) as opened:
                opened.add_init_script(WATCH)
                opened.goto(path, wait_until="domcontentloaded")
                opened.wait_for_function("window.__seen.painted !== null", timeout=60_000)
                if number == 0:
                    continue  # the server's first answer and the browser's cold cache
                seen = opened.evaluate("window.__seen")
                painted.append((seen["painted"] - seen["mount"]) / 1000)
                opened.wait_for_timeout(3000)  # the rest of the page's start
                if runs > FIRST_RUNS:
                    widened.append(_widened(opened, runs))
                chromium.start_tracing(page=opened, categories=list(TRACED))
                longest = max(longest, _scrolled(opened))
                traced = json.loads(chromium.stop_tracing())
                longest_cpu = max(longest_cpu, longest_cpu_seconds(traced["traceEvents"]))
    return {
        "painted_seconds": statistics.median(painted),
        "widened_seconds": statistics.median(widened) if widened else None,
        "longest_task_seconds": longest,
        "longest_task_cpu_seconds": longest_cpu,
    }


def longest_cpu_seconds(events: Iterable[Mapping[str, Any]]) -> float:
    """Of the tasks of pages' main threads, in events of Chromium's tracing, what took the most CPU time; 0: none."""
    found = list(events)
    main = {
        (each["pid"], each["tid"])
        for each in found
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = (each for each in found if (each["pid"], each["tid"]) in main and each["name"].endswith("RunTask"))
    return max((float(each.get("tdur", 0)) for each in tasks), default=0.0) / 1e6


def _widened(opened: Any, runs: int) -> float:
    """Choose to see more runs; seconds until they are painted."""
    began = opened.evaluate("performance.now()")
    opened.locator(".ecsf-root .ecsf-pick", has_text="Runs").locator("select").select_option(str(runs))
    opened.wait_for_function(
        """columns => document.querySelector(".ecsf-root [role=grid]")?.getAttribute("aria-colcount") === columns""",
        arg=str(runs + 1),
        timeout=60_000,
    )
    painted = opened.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
    )
    return float(painted - began) / 1000


def _scrolled(opened: Any) -> float:
    """Seconds of the longest task while the board is scrolled down and up, and sideways."""
    opened.locator(".ecsf-root [role=gridcell]").first.hover()
    begun = opened.evaluate("performance.now()")
    for number in range(SCROLLS):
        down, right = (400 if number < SCROLLS * 3 / 4 else -800), (-120 if number % 4 == 3 else 0)
        opened.mouse.wheel(right, down)
        opened.wait_for_timeout(30)
    opened.wait_for_timeout(300)
    tasks = opened.evaluate("window.__seen.tasks")
    return max((duration for start, duration in tasks if start >= begun), default=0.0) / 1000
