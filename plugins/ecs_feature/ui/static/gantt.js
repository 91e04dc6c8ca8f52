/** A run's services above its shards, and how many ran at once below them, on one time axis. */

import { axisOf, place, ticksOf } from "./axis.js";
import { Outline } from "./bars.js";
import { count, moment, seconds } from "./format.js";
import { Parallelism } from "./parallelism.js";
import { barsOf, serviceKey } from "./rows.js";
import { Shards } from "./shard_rows.js";

const { createElement: h, useLayoutEffect, useMemo, useRef, useState } = globalThis.React ?? {};

/** @typedef {import("./rows.js").Row} Row */

/**
 * @param {{rows: Row[], all: number, services: any[], busy: [number, number][], view: any, critical: {keys: Set<string>, shard: Row | null},
 *   picked: Set<string>, onPick: (keys: string[], more?: boolean) => void, active: string | null, onActive: (key: string) => void,
 *   variants: boolean, ticks: boolean, reveal: {key: string} | null}} props
 */
export function Gantt(props) {
  const { rows, all, services, busy, view, critical, variants } = props;
  const box = useRef(null);
  const width = useWidth(box);
  const until = view.run.active ? (view.headline.seconds ?? 0) : 0;
  const axis = useMemo(() => axisOf(busy, until), [busy, until]);
  const ticks = useMemo(() => ticksOf(axis, Math.max(width - 208, 100), seconds), [axis, width]);
  const start = Date.parse(view.run.start ?? view.run.run_after);
  const clock = (/** @type {number} */ at) => moment(new Date(start + at * 1000).toISOString());
  const idle = axis.pieces.filter((piece) => piece.idle);
  return h(
    "div",
    { className: "ecsf-card ecsf-gantt", ref: box },
    h(
      "div",
      { className: "ecsf-grid-lines", "aria-hidden": true },
      ticks.map((tick) => h("i", { key: tick.at, style: { left: `${tick.left}%` } })),
      idle.map((piece) => h("b", { key: piece.from, style: { left: `${piece.left}%`, width: `${piece.width}%` } })),
    ),
    h(
      "div",
      { className: "ecsf-line ecsf-axis" },
      h(
        "div",
        { className: "ecsf-label ecsf-muted" },
        rows.length === all ? count(all, "shard") : `${rows.length.toLocaleString("en")} of ${count(all, "shard")}`,
      ),
      h(
        "div",
        { className: "ecsf-plot" },
        ticks.map((tick) =>
          h(
            "span",
            { key: tick.at, className: "ecsf-tick", style: { left: `${tick.left}%` }, title: clock(tick.at) },
            tick.clock ? clock(tick.at) : tick.label,
          ),
        ),
        idle.map((piece) =>
          h("span", { key: piece.from, className: "ecsf-hidden" }, `nothing ran for ${seconds(piece.to - piece.from)}`),
        ),
      ),
    ),
    services.length ? h(Services, { services, axis, critical: critical.keys, variants }) : null,
    h(Shards, { ...props, axis, box }),
    h(Parallelism, { axis, points: view.parallelism ?? [], quota: view.quota ?? null }),
  );
}

/** @param {any} ref */
function useWidth(ref) {
  const [width, setWidth] = useState(700);
  useLayoutEffect(() => {
    if (!ref.current) return undefined;
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    watcher.observe(ref.current);
    return () => watcher.disconnect();
  }, [ref]);
  return width;
}

/** @param {{services: any[], axis: any, critical: Set<string>, variants: boolean}} props */
function Services({ services, axis, critical, variants }) {
  return h(
    "ul",
    { className: "ecsf-services ecsf-list", "aria-label": "Services" },
    services.map((service) => {
      const key = serviceKey(service);
      const bars = barsOf(axis, service.segments);
      const words = service.segments.map(([kind, from, to]) => `${kind} ${seconds(to - from)}`).join(", ");
      const tasks = count(service.count ?? service.segments[0]?.[3] ?? 0, "task");
      return h(
        "li",
        {
          key,
          className: "ecsf-line",
          style: { padding: 0, border: 0 },
          title: `${service.name}: ${tasks}; ${words || "not scaled up"}`,
        },
        h(
          "div",
          { className: "ecsf-label" },
          h("span", { className: "ecsf-name" }, service.name),
          h("span", { className: "ecsf-hidden" }, `${tasks}; ${words || "not scaled up"}`),
          variants ? h("span", { className: "ecsf-variant" }, service.lane) : null,
        ),
        h(
          "div",
          { className: "ecsf-plot", "aria-hidden": true },
          bars.map((bar, at) =>
            h(
              "span",
              { key: at, className: `ecsf-span ${bar.kind}`, style: { left: `${bar.left}%`, width: `${bar.width}%` } },
              bar.kind === "steady" ? `× ${service.count ?? service.segments[at][3] ?? ""}` : null,
            ),
          ),
          critical.has(key) ? h(Outline, { bars: bars.slice(0, 1) }) : null,
        ),
      );
    }),
  );
}
