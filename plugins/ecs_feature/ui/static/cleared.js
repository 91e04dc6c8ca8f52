/** Cells that were cleared a moment ago: they wait, also while an answer of the server is older than the clear. Pure. */

import { keyOf } from "./selection.js";

/** How long the server may take to say so. Airflow commits after it has answered. */
export const MOST_MS = 15_000;

/** @typedef {Map<string, {code: string, at: number}>} Cleared by key: the state when it was cleared, and when that was */

/** @param {any} data @param {(run: any, lane: string, shard: number) => void} visit each cell of some runs @param {(run: any) => boolean} wanted */
function each(data, visit, wanted) {
  data.runs.forEach((/** @type {any} */ run, /** @type {number} */ at) => {
    if (!wanted(run)) return;
    for (const lane of Object.keys(data.cells)) {
      const states = data.cells[lane][at]?.states ?? "";
      for (let shard = 0; shard < states.length; shard += 1) visit(at, lane, shard);
    }
  });
}

/** The ticked cells of the runs that were cleared. @param {any} data @param {Set<string>} ticked @param {string[]} runIds @param {number} now milliseconds @returns {Cleared} */
export function clearedOf(data, ticked, runIds, now) {
  /** @type {Cleared} */
  const found = new Map();
  const ids = new Set(runIds);
  each(
    data,
    (run, lane, shard) => {
      const key = keyOf(data.runs[run].run_id, lane, data.shards[shard]);
      if (ticked.has(key)) found.set(key, { code: data.cells[lane][run].states[shard], at: now });
    },
    (run) => ids.has(run.run_id),
  );
  return found;
}

/** Those that the server does not know of yet. @param {Cleared} cleared @param {any} data @param {number} now @returns {Cleared} the same when nothing has changed */
export function stillCleared(cleared, data, now) {
  if (!cleared.size) return cleared;
  /** @type {Cleared} */
  const left = new Map();
  const ids = new Set([...cleared.keys()].map((key) => key.split("\u0000")[0]));
  each(
    data,
    (run, lane, shard) => {
      const key = keyOf(data.runs[run].run_id, lane, data.shards[shard]);
      const known = cleared.get(key);
      if (known && now - known.at < MOST_MS && known.code === data.cells[lane][run].states[shard]) left.set(key, known);
    },
    (run) => ids.has(run.run_id),
  );
  return left.size === cleared.size ? cleared : left;
}

/** The board with these cells waiting. @param {any} data @param {Cleared} cleared */
export function withCleared(data, cleared) {
  if (!cleared.size) return data;
  const ids = new Set([...cleared.keys()].map((key) => key.split("\u0000")[0]));
  /** @type {Record<string, any[]>} */
  const cells = {};
  for (const lane of Object.keys(data.cells)) {
    cells[lane] = data.cells[lane].map((/** @type {any} */ old, /** @type {number} */ run) => {
      const id = data.runs[run].run_id;
      if (!old || !ids.has(id)) return old;
      const states = [...old.states].map((code, shard) => (cleared.has(keyOf(id, lane, data.shards[shard])) ? "w" : code)).join("");
      return states === old.states ? old : { ...old, states };
    });
  }
  return { ...data, cells };
}
