/** What the board counts and sorts by. Pure. */

import { STATES } from "./states.js";

/** @typedef {{counts: Record<string, number>, failures: Int32Array, seconds: Float64Array, micro_usd: Float64Array, changed: Float64Array, states: Int32Array}} Stats */

const BIT = new Map(STATES.map((state, index) => [state.code.charCodeAt(0), 1 << index]));
const FAILED = "F".charCodeAt(0);
const SAMPLE = 20000;
/** Steps of the heat. */
export const LEVELS = 8;
export const SORTS = ["name", "failures", "duration", "cost", "last change"];

/** Per shard, over these lanes and all runs; `seconds` is a mean, `micro_usd` a sum, `changed` a moment in ms. @param {any} data @param {string[]} lanes @returns {Stats} */
export function statsOf(data, lanes) {
  const many = data.shards.length;
  /** @type {Stats} */
  const found = {
    counts: {},
    failures: new Int32Array(many),
    seconds: new Float64Array(many),
    micro_usd: new Float64Array(many),
    changed: new Float64Array(many),
    states: new Int32Array(many),
  };
  const timed = new Int32Array(many);
  const counts = new Int32Array(128);
  for (const lane of lanes) {
    (data.cells[lane] ?? []).forEach((/** @type {any} */ cells, /** @type {number} */ run) => {
      if (!cells) return;
      const start = Date.parse(data.runs[run].start ?? data.runs[run].run_after ?? "") || 0;
      for (let at = 0; at < many; at++) {
        const code = cells.states.charCodeAt(at);
        if (!(code < 128)) continue;
        counts[code] += 1;
        found.states[at] |= BIT.get(code) ?? 0;
        if (code === FAILED) found.failures[at] += 1;
        const seconds = cells.seconds?.[at];
        if (seconds !== null && seconds !== undefined) {
          found.seconds[at] += seconds;
          timed[at] += 1;
        }
        found.micro_usd[at] += cells.micro_usd?.[at] ?? 0;
        const changed = cells.changed?.[at];
        if (changed !== null && changed !== undefined) found.changed[at] = Math.max(found.changed[at], start + changed * 1000);
      }
    });
  }
  for (let at = 0; at < many; at++) found.seconds[at] = timed[at] ? found.seconds[at] / timed[at] : NaN;
  for (const state of STATES) found.counts[state.code] = counts[state.code.charCodeAt(0)];
  return found;
}

/** The shards to show, in order. @param {any} data @param {Stats} stats @param {{find: string, sort: string, states: string}} wanted @returns {number[]} */
export function rowsOf(data, stats, { find, sort, states }) {
  const needle = find.trim().toLocaleLowerCase();
  let bits = 0;
  for (const code of states) bits |= BIT.get(code.charCodeAt(0)) ?? 0;
  const rows = [];
  for (let at = 0; at < data.shards.length; at++) {
    if (bits && !(stats.states[at] & bits)) continue;
    if (needle && !data.shards[at].toLocaleLowerCase().includes(needle)) continue;
    rows.push(at);
  }
  const by = { failures: stats.failures, duration: stats.seconds, cost: stats.micro_usd, "last change": stats.changed }[sort];
  if (by) rows.sort((a, b) => (by[b] || 0) - (by[a] || 0) || a - b);
  return rows;
}

/** The bounds of the heat's steps, from the values themselves, so that one giant does not pale the rest. @param {any} data @param {string[]} lanes @param {"seconds" | "micro_usd"} what @returns {number[]} */
export function boundsOf(data, lanes, what) {
  const columns = lanes.flatMap((lane) => (data.cells[lane] ?? []).map((/** @type {any} */ cells) => cells?.[what]).filter(Boolean));
  const total = columns.reduce((sum, column) => sum + column.length, 0);
  const step = Math.max(1, Math.floor(total / SAMPLE));
  const values = [];
  let at = 0;
  for (const column of columns) {
    for (; at < column.length; at += step) if (column[at] !== null && column[at] !== undefined) values.push(column[at]);
    at -= column.length;
  }
  if (!values.length) return [];
  values.sort((a, b) => a - b);
  const low = values[Math.floor(values.length * 0.03)];
  const high = values[Math.ceil(values.length * 0.97) - 1];
  return Array.from({ length: LEVELS - 1 }, (_, index) => low + ((high - low) * (index + 1)) / LEVELS);
}

/** 1 (least) to LEVELS; 0: no value. @param {number | null | undefined} value @param {number[]} bounds */
export function levelOf(value, bounds) {
  if (value === null || value === undefined) return 0;
  let level = 1;
  while (level <= bounds.length && value > bounds[level - 1]) level += 1;
  return level;
}
