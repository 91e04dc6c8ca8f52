/** The shards of a run's Gantt chart; only the rows in view are in the page, and they are recycled. */

import { Outline } from "./bars.js";
import { seconds } from "./format.js";
import { Mark, stateWords } from "./mark.js";
import { canTick } from "./picked.js";
import { barsOf } from "./rows.js";

const { createElement: h, useEffect, useLayoutEffect, useRef, useState } = globalThis.React ?? {};

const ROW = 24;
const MOST_ROWS = 18;
/** Rows above and below those in view. */
const SPARE = 6;

/** @typedef {import("./rows.js").Row} Row */

/** The window of rows, as a list box: one stop of the Tab key, arrows move in it. @param {any} props */
export function Shards({ rows, axis, box, picked, onPick, active, onActive, critical, variants, ticks, reveal }) {
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
    if (index < 0 || !ticks) return;
    if (range && anchor.current >= 0) {
      const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
      const between = rows.slice(from, to + 1).filter(canTick);
      onPick(
        between.map((/** @type {Row} */ row) => row.key),
        true,
      );
    } else if (canTick(rows[index])) onPick([rows[index].key]);
    anchor.current = index;
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.floor(height / ROW) - 1;
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    });
    if (Object.hasOwn(moves, event.key)) go(moves[event.key]);
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
        key: index % most,
        id: `ecsf-shard-${index % most}`,
        row,
        index,
        of: rows.length,
        axis,
        picked: picked.has(row.key),
        active: index === at,
        critical: critical.keys.has(row.key),
        variant: variants ? row.variant : "",
        ticks,
        onPick: pick,
        onActive,
      }),
    );
  }
  const scrolled = (/** @type {any} */ event) => setFirst(Math.floor(event.currentTarget.scrollTop / ROW));
  return h(
    "div",
    {
      className: "ecsf-shards",
      ref: scroller,
      style: { height },
      role: "listbox",
      tabIndex: 0,
      "aria-label": ticks ? "Shards of this run; Space ticks one" : "Shards of this run",
      "aria-multiselectable": true,
      "aria-activedescendant": at >= begin && at < begin + most ? `ecsf-shard-${at % most}` : undefined,
      onScroll: scrolled,
      onKeyDown: keys,
    },
    rows.length
      ? null
      : h(
          "div",
          { className: "ecsf-line ecsf-label ecsf-muted", role: "presentation", style: { width: "auto" } },
          "No shard is called so.",
        ),
    h("div", { style: { height: rows.length * ROW }, role: "presentation" }, shown),
  );
}

/** @param {{row: Row, index: number, of: number, id: string, axis: any, picked: boolean, active: boolean, critical: boolean, variant: string, ticks: boolean, onPick: (index: number, range: boolean) => void, onActive: (key: string) => void}} props */
function ShardRow({ row, index, of, id, axis, picked, active, critical, variant, ticks, onPick, onActive }) {
  const bars = barsOf(axis, row.segments);
  const words = row.segments.map(([kind, from, to]) => `${kind} ${seconds(to - from)}`).join(", ");
  const said = [stateWords(row.state), words, critical ? "on the critical path" : ""].filter(Boolean).join("; ");
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
      className: "ecsf-line",
      id,
      role: "option",
      "aria-selected": picked,
      "aria-setsize": of,
      "aria-posinset": index + 1,
      title: `${row.name}: ${said}`,
      "data-active": active ? "" : undefined,
      style: { top: index * ROW },
      onClick: clicked,
    },
    h(
      "div",
      { className: "ecsf-label" },
      ticks
        ? h("span", {
            className: "ecsf-tick-box",
            "data-tick": "",
            style: canTick(row) ? undefined : { visibility: "hidden" },
          })
        : null,
      h(Mark, { state: row.state }),
      h("bdi", { className: "ecsf-name" }, row.name),
      variant ? h("bdi", { className: "ecsf-variant" }, " ", variant) : null,
      h("span", { className: "ecsf-hidden" }, `: ${said}`),
    ),
    h(
      "div",
      { className: "ecsf-plot" },
      bars.map((bar, at) =>
        h("span", {
          key: at,
          className: `ecsf-span ${kindOf(bar, at)}`,
          style: { left: `${bar.left}%`, width: `${bar.width}%` },
        }),
      ),
      row.state === "F" && last >= 0
        ? h("span", { className: "ecsf-cross", style: end > 98 ? { right: 0 } : { left: `${end}%` } })
        : null,
      critical ? h(Outline, { bars }) : null,
    ),
  );
}
