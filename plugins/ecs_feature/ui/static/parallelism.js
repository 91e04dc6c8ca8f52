/** How many of a run's ECS tasks there were at once, against what the account's quota has room for. */

import { stepPaths } from "./rows.js";

const { createElement: h, useMemo } = globalThis.React ?? {};

/** A quota line further up than this many times the peak would press the curve to the floor. */
const IN_SIGHT = 2.5;

/**
 * What the picture shows: the peak, the top of its scale, and whether the quota is within it.
 * @param {[number, number][]} points @param {number | null} quota
 */
export function scaleOf(points, quota) {
  const peak = points.reduce((most, [, n]) => Math.max(most, n), 0);
  const seen = quota !== null && quota <= Math.max(peak * IN_SIGHT, 1);
  return { peak, seen, top: Math.max(peak, seen ? quota : 0, 1) * 1.08 };
}

/** @param {{axis: import("./axis.js").Axis, points: [number, number][], quota: number | null}} props */
export function Parallelism({ axis, points, quota }) {
  const { peak, seen, top } = scaleOf(points, quota);
  const { line, area } = useMemo(() => stepPaths(axis, points, top), [axis, points, top]);
  const room =
    quota === null ? "quota not known" : `quota ${Math.floor(quota).toLocaleString("en")}${seen ? "" : ", far above"}`;
  const y = quota === null ? 0 : 100 - (100 * quota) / top;
  return h(
    "div",
    { className: "ecsf-line ecsf-parallel" },
    h(
      "div",
      { className: "ecsf-label" },
      h("span", null, "ECS tasks at once"),
      h("small", null, `peak ${peak.toLocaleString("en")}`),
      h(
        "small",
        { title: "How many of the run's tasks the account's vCPU quota has room for" },
        seen ? "╌ " : "",
        room,
      ),
    ),
    h(
      "div",
      { className: "ecsf-plot" },
      h(
        "svg",
        {
          viewBox: "0 0 1000 100",
          preserveAspectRatio: "none",
          role: "img",
          "aria-label": `At most ${peak} ECS tasks ran at once; ${room}`,
        },
        h("path", { d: area, className: "ecsf-area" }),
        h("path", { d: line }),
        seen ? h("line", { x1: 0, x2: 1000, y1: y, y2: y }) : null,
      ),
    ),
  );
}
