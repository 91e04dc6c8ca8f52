/** A run's services above its shards on one time axis; only the rows in view are in the page. */

import { axisOf, place, ticksOf } from "./axis.js";
import { count, moment, seconds } from "./format.js";
import { Mark, stateWords } from "./mark.js";
import { Parallelism } from "./parallelism.js";
import { barsOf, serviceKey } from "./rows.js";

const { createElement: h, useEffect, useLayoutEffect, useMemo, useRef, useState } = globalThis.React ?? {};

const ROW = 24;
const MOST_ROWS = 18;
/** Rows above and below those in view. */
const SPARE = 6;

/** @typedef {import("./rows.js").Row} Row */

/**
 * @param {{rows: Row[], all: number, services: any[], busy: [number, number][], view: any, critical: {keys: Set<string>, shard: Row | null},
 *   picked: Set<string>, onPick: (keys: string[], range?: [number, number]) => void, active: string | null, onActive: (key: string) => void,
 *   variants: boolean, reveal: {key: string} | null}} props
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
      h("div", { className: "ecsf-label ecsf-muted" }, rows.length === all ? count(all, "shard") : `${rows.length.toLocaleString("en")} of ${count(all, "shard")}`),
      h(
        "div",
        { className: "ecsf-plot" },
        ticks.map((tick) =>
          h("span", { key: tick.at, className: "ecsf-tick", style: { left: `${tick.left}%` }, title: clock(tick.at) }, tick.clock ? clock(tick.at) : tick.label),
        ),
        idle.map((piece) => h("span", { key: piece.from, className: "ecsf-hidden" }, `nothing ran for ${seconds(piece.to - piece.from)}`)),
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
        { key, className: "ecsf-line", style: { padding: 0, border: 0 }, title: `${service.name}: ${tasks}; ${words || "not scaled up"}` },
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
            h("span", { key: at, className: `ecsf-span ${bar.kind}`, style: { left: `${bar.left}%`, width: `${bar.width}%` } }, bar.kind === "steady" ? `× ${service.count ?? service.segments[at][3] ?? ""}` : null),
          ),
          critical.has(key) ? h(Outline, { bars: bars.slice(0, 1) }) : null,
        ),
      );
    }),
  );
}

/** The outline of what is on the critical path. @param {{bars: import("./rows.js").Bar[]}} props */
function Outline({ bars }) {
  if (!bars.length) return null;
  const left = bars[0].left;
  const right = Math.max(...bars.map((bar) => bar.left + bar.width));
  return h("span", { className: "ecsf-critical", style: { left: `calc(${left}% - 2px)`, width: `calc(${right - left}% + 4px)` } });
}

/** The window of rows, as a list box: one stop of the Tab key, arrows move in it. @param {any} props */
function Shards({ rows, axis, box, picked, onPick, active, onActive, critical, variants, reveal }) {
  const scroller = useRef(null);
  const anchor = useRef(-1);
  const [first, setFirst] = useState(0);
  const height = Math.max(1, Math.min(rows.length, MOST_ROWS)) * ROW;
  useLayoutEffect(() => {
    const element = /** @type {any} */ (scroller.current);
    box.current?.style.setProperty("--ecsf-bar", `${element.offsetWidth - element.clientWidth}px`);
  });
  const at = active === null ? -1 : rows.findIndex((/** @type {Row} */ row) => row.key === active);
  const show = (/** @type {number} */ index) => {
    const element = /** @type {any} */ (scroller.current);
    const top = index * ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    if (top + ROW > element.scrollTop + height) element.scrollTop = top + ROW - height;
  };
  useEffect(() => {
    const index = reveal ? rows.findIndex((/** @type {Row} */ row) => row.key === reveal.key) : -1;
    if (index < 0) return;
    show(index);
    onActive(rows[index].key);
  }, [reveal]);
  const go = (/** @type {number} */ index) => {
    const next = Math.min(Math.max(index, 0), rows.length - 1);
    if (next < 0) return;
    show(next);
    onActive(rows[next].key);
  };
  const pick = (/** @type {number} */ index, /** @type {boolean} */ range) => {
    if (index < 0) return;
    if (range && anchor.current >= 0) onPick(rows.map((/** @type {Row} */ row) => row.key), [anchor.current, index]);
    else onPick([rows[index].key]);
    anchor.current = index;
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.floor(height / ROW) - 1;
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: rows.length - 1,
    });
    if (event.key in moves) go(moves[event.key]);
    else if (event.key === " ") pick(at, event.shiftKey);
    else return;
    event.preventDefault();
  };
  const shown = [];
  const most = Math.ceil(height / ROW) + 2 * SPARE;
  const begin = Math.max(0, Math.min(first - SPARE, rows.length - most));
  for (let index = begin; index < Math.min(rows.length, begin + most); index += 1) {
    const row = rows[index];
    shown.push(
      h(ShardRow, {
        key: index % most, id: `ecsf-shard-${index % most}`, row, index, of: rows.length, axis, picked: picked.has(row.key), active: index === at,
        critical: critical.keys.has(row.key), variant: variants ? row.variant : "", onPick: pick, onActive,
      }),
    );
  }
  const scrolled = (/** @type {any} */ event) => setFirst(Math.floor(event.currentTarget.scrollTop / ROW));
  return h(
    "div",
    {
      className: "ecsf-shards", ref: scroller, style: { height }, role: "listbox", tabIndex: 0, "aria-label": "Shards of this run; Space ticks one", "aria-multiselectable": true,
      "aria-activedescendant": at >= begin && at < begin + most ? `ecsf-shard-${at % most}` : undefined, onScroll: scrolled, onKeyDown: keys,
    },
    rows.length ? null : h("div", { className: "ecsf-line ecsf-label ecsf-muted", role: "presentation", style: { width: "auto" } }, "No shard is called so."),
    h("div", { style: { height: rows.length * ROW }, role: "presentation" }, shown),
  );
}

/** @param {{row: Row, index: number, of: number, id: string, axis: any, picked: boolean, active: boolean, critical: boolean, variant: string, onPick: (index: number, range: boolean) => void, onActive: (key: string) => void}} props */
function ShardRow({ row, index, of, id, axis, picked, active, critical, variant, onPick, onActive }) {
  const bars = barsOf(axis, row.segments);
  const words = row.segments.map(([kind, from, to]) => `${kind} ${seconds(to - from)}`).join(", ");
  const said = [`${row.name}${variant ? ` (${variant})` : ""}: ${stateWords(row.state)}`, words, critical ? "on the critical path" : ""].filter(Boolean).join("; ");
  const last = bars.length - 1;
  const clicked = (/** @type {any} */ event) => {
    onActive(row.key);
    if (event.target.closest("[data-tick]") || event.shiftKey) onPick(index, event.shiftKey);
  };
  const kindOf = (/** @type {import("./rows.js").Bar} */ bar, /** @type {number} */ at) => {
    if (bar.kind !== "running" || at !== last) return bar.kind;
    return `running ${row.state === "F" ? "failed" : row.state === "r" ? "active" : row.state === "n" ? "nothing" : ""}`;
  };
  const end = last >= 0 ? bars[last].left + bars[last].width : 0;
  return h(
    "div",
    {
      className: "ecsf-line", id, role: "option", "aria-selected": picked, "aria-label": said, "aria-setsize": of, "aria-posinset": index + 1, title: said,
      "data-active": active ? "" : undefined, style: { top: index * ROW }, onClick: clicked,
    },
    h(
      "div",
      { className: "ecsf-label" },
      h("span", { className: "ecsf-tick-box", "data-tick": "" }),
      h(Mark, { state: row.state }),
      h("bdi", { className: "ecsf-name" }, row.name),
      variant ? h("bdi", { className: "ecsf-variant" }, variant) : null,
    ),
    h(
      "div",
      { className: "ecsf-plot" },
      bars.map((bar, at) => h("span", { key: at, className: `ecsf-span ${kindOf(bar, at)}`, style: { left: `${bar.left}%`, width: `${bar.width}%` } })),
      row.state === "F" && last >= 0 ? h("span", { className: "ecsf-cross", style: end > 98 ? { right: 0 } : { left: `${end}%` } }, "✕") : null,
      critical ? h(Outline, { bars }) : null,
    ),
  );
}

/** What the bars mean. */
export function Legend() {
  const signs = [["waited", "waited"], ["launching", "launching"], ["running", "running"], ["running failed", "failed"], ["relaunched", "relaunched by infrastructure"]];
  return h(
    "div",
    { className: "ecsf-legend" },
    signs.map(([kind, words]) => h("span", { key: kind }, h("i", { className: `ecsf-span ${kind}`, "aria-hidden": true }), words)),
    h("span", null, h("i", { className: "ecsf-critical", style: { position: "static", width: 18, height: 14 }, "aria-hidden": true }), "critical path"),
  );
}
