/** The rows of a run's Gantt chart: which shards, in which order, with which bars. Pure. */

import { place } from "./axis.js";

/** @typedef {[string, number, number]} Segment kind, start, end in seconds since the run's start */
/** @typedef {{name: string, task_id: string, map_index: number, state: string, segments: Segment[], tries?: number, micro_usd?: number | null,
 *   outcome?: string | null, outcome_words?: string, reason?: string}} Shard */
/** @typedef {{lane: string, variant: string, group?: string, shards: Shard[]}} Lane */
/** @typedef {{name: string, lane: string, segments: [string, number, number, number?][]}} Service */
/** @typedef {Shard & {key: string, lane: string, variant: string, start: number, end: number, seconds: number}} Row */
/** @typedef {{kind: string, left: number, width: number, seconds: number}} Bar */

export const ORDERS = ["start", "end", "duration", "name", "failures"];
/** Shards that the run has nothing to do with. */
const APART = new Set(["-", " "]);
/** Failures first, then what is going on, then what is well. */
const WORST = "FMwrnRSP";

/** A shard's task in a run, as one string. @param {string} task @param {number} index */
export function keyOf(task, index) {
  return `${index}:${task}`;
}

/** Natural order: shard-2 before shard-10. */
const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** All shards of the run. @param {Lane[]} lanes @returns {Row[]} */
export function rowsOf(lanes) {
  return lanes.flatMap(({ lane, variant, shards }) =>
    shards
      .filter((shard) => !APART.has(shard.state))
      .map((shard) => {
        const spans = shard.segments;
        const start = spans.length ? spans[0][1] : Infinity;
        const end = spans.length ? spans[spans.length - 1][2] : Infinity;
        const ran = spans.filter(([kind]) => kind !== "waited" && kind !== "backoff");
        const seconds = ran.reduce((sum, [, from, to]) => sum + to - from, 0);
        return { ...shard, key: keyOf(shard.task_id, shard.map_index), lane, variant, start, end, seconds };
      }),
  );
}

/**
 * @param {Row[]} rows
 * @param {{lane: string, find: string, order: string}} wanted `lane` empty: all
 * @returns {Row[]}
 */
export function chosen(rows, { lane, find, order }) {
  const words = find.trim().toLowerCase();
  const kept = rows.filter((row) => (!lane || row.lane === lane) && (!words || row.name.toLowerCase().includes(words)));
  return ordered(kept, order);
}

/** @param {Row[]} rows @param {string} order @returns {Row[]} */
export function ordered(rows, order) {
  const known = /** @type {Record<string, (one: Row, other: Row) => number>} */ ({
    start: (one, other) => rising(one.start, other.start),
    end: (one, other) => rising(one.end, other.end),
    duration: (one, other) => rising(other.seconds, one.seconds),
    failures: (one, other) => WORST.indexOf(one.state) - WORST.indexOf(other.state),
    name: () => 0,
  });
  const compare = known[order] ?? known.start;
  return [...rows].sort(
    (one, other) =>
      compare(one, other) || natural.compare(one.name, other.name) || natural.compare(one.lane, other.lane),
  );
}

/** Without NaN where both are infinite. @param {number} one @param {number} other */
function rising(one, other) {
  return one === other ? 0 : one < other ? -1 : 1;
}

/** Where segments are drawn. @param {import("./axis.js").Axis} axis @param {[string, number, number, ...any[]][]} segments @returns {Bar[]} */
export function barsOf(axis, segments) {
  return segments.map(([kind, from, to]) => {
    const left = place(axis, from);
    return { kind, left, width: Math.max(0, place(axis, to) - left), seconds: Math.max(0, to - from) };
  });
}

/**
 * When anything went on. A service that only stands by is none of it: the axis may cut the days until a rerun short.
 * @param {Row[]} rows @param {Service[]} services @returns {[number, number][]}
 */
export function busyOf(rows, services) {
  /** @type {[number, number][]} */
  const found = [];
  for (const { segments } of [...rows, ...services]) {
    for (const [kind, from, to] of segments) {
      if (kind !== "steady") found.push([from, to]);
    }
  }
  return found;
}

/**
 * The critical path: the shard that ended last of those that the server names, and the services it needed. A name alone
 * does not tell a shard of one variant from that of another.
 * @param {string[]} names
 * @param {Row[]} rows
 * @param {Service[]} services
 * @returns {{shard: Row | null, services: Service[], keys: Set<string>}}
 */
export function criticalOf(names, rows, services) {
  const wanted = new Set(names);
  const lanes = new Set(services.filter((service) => wanted.has(service.name)).map((service) => service.lane));
  let shard = /** @type {Row | null} */ (null);
  for (const row of rows) {
    if (!wanted.has(row.name) || !Number.isFinite(row.end) || (lanes.size && !lanes.has(row.lane))) continue;
    if (!shard || row.end > shard.end) shard = row;
  }
  const lane = shard ? shard.lane : null;
  const needed = services.filter((service) => wanted.has(service.name) && service.lane === lane);
  const keys = new Set(needed.map((service) => serviceKey(service)));
  if (shard) keys.add(shard.key);
  return { shard, services: needed, keys };
}

/** @param {Service} service */
export function serviceKey({ lane, name }) {
  return `service:${lane}:${name}`;
}

/**
 * A curve of steps in an SVG box of 1000 x 100: the line, and the area below it.
 * @param {import("./axis.js").Axis} axis @param {[number, number][]} points @param {number} top the highest value shown
 * @returns {{line: string, area: string}}
 */
export function stepPaths(axis, points, top) {
  if (!points.length) return { line: "", area: "" };
  const x = (/** @type {number} */ at) => round(place(axis, at) * 10);
  const y = (/** @type {number} */ n) => round(100 - (100 * n) / Math.max(top, 1));
  const [begin] = points[0];
  const [last, after] = points[points.length - 1];
  let line = `M${x(begin)} 100`;
  for (const [at, n] of points) line += `H${x(at)}V${y(n)}`;
  if (after > 0) line += `H${x(Math.max(axis.to, last))}`;
  return { line, area: `${line}V100Z` };
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
