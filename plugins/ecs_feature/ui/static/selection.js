/** Which cells are ticked, across runs: a set of keys. Pure: every change makes a new set. */

import { count } from "./format.js";
import { nameOf } from "./twins.js";

/** @typedef {[lane: string, shard: string, task: string, map: number]} Cell */

const BETWEEN = "\u0000";
/** What has ended can run again; what is going on, was left out or is not there cannot. */
const AT_REST = "PRSMFn";

/** @param {string} run @param {string} lane @param {string} shard */
export function keyOf(run, lane, shard) {
  return run + BETWEEN + lane + BETWEEN + shard;
}

/** @param {string} code a state's letter */
export function canRerun(code) {
  return code !== "" && AT_REST.includes(code);
}

/** @param {any} data the board @param {string} lane @param {number} run its index @param {number} shard its index */
export function codeAt(data, lane, run, shard) {
  return data.cells[lane]?.[run]?.states[shard] ?? " ";
}

/** Keys of the cells of some shards, runs and lanes that can run again. @param {any} data @param {string[]} lanes @param {number[]} runs @param {number[]} shards @param {string} [codes] only these states */
export function keysIn(data, lanes, runs, shards, codes = AT_REST) {
  const found = [];
  for (const run of runs) {
    for (const lane of lanes) {
      for (const shard of shards) {
        const code = codeAt(data, lane, run, shard);
        if (codes.includes(code) && canRerun(code)) found.push(keyOf(data.runs[run].run_id, lane, data.shards[shard]));
      }
    }
  }
  return found;
}

/** Between two numbers, both included. @param {number} a @param {number} b */
export function between(a, b) {
  const from = Math.min(a, b);
  return Array.from({ length: Math.abs(a - b) + 1 }, (_, index) => from + index);
}

/** Tick all; or none of them, when all were ticked. @param {Set<string>} set @param {string[]} keys */
export function toggled(set, keys) {
  const next = new Set(set);
  const all = keys.length > 0 && keys.every((key) => set.has(key));
  for (const key of keys) {
    if (all) next.delete(key);
    else next.add(key);
  }
  return next;
}

/** @param {Set<string>} set @param {string[]} keys */
export function added(set, keys) {
  const next = new Set(set);
  for (const key of keys) next.add(key);
  return next;
}

/** By run, in the order of the board: what the sheet takes. @param {Set<string>} set @param {any} data @returns {{run: any, name: string, cells: Cell[]}[]} */
export function grouped(set, data) {
  const runs = new Map(data.runs.map((/** @type {any} */ run, /** @type {number} */ index) => [run.run_id, index]));
  const shards = new Map(data.shards.map((/** @type {string} */ name, /** @type {number} */ index) => [name, index]));
  const lanes = new Map(data.lanes.map((/** @type {any} */ lane) => [lane.lane, lane]));
  /** @type {Map<number, Cell[]>} */
  const found = new Map();
  for (const key of set) {
    const [runId, name, shard] = key.split(BETWEEN);
    const run = runs.get(runId);
    const index = shards.get(shard);
    const lane = lanes.get(name);
    if (run === undefined || index === undefined || !lane) continue;
    const task = taskOf(data, lane, run, index);
    if (!task || !canRerun(codeAt(data, name, run, index))) continue;
    if (!found.has(run)) found.set(run, []);
    found.get(run)?.push([name, shard, task[0], task[1]]);
  }
  return [...found].sort((a, b) => a[0] - b[0]).map(([run, cells]) => ({ run: data.runs[run], name: nameOf(data.runs, run), cells }));
}

/** A cell's task id and map index; null: it has none. @param {any} data @param {any} lane @param {number} run @param {number} shard @returns {[string, number] | null} */
export function taskOf(data, lane, run, shard) {
  if (!lane.mapped) return lane.tasks[shard] ? [lane.tasks[shard], -1] : null;
  const map = data.cells[lane.lane]?.[run]?.map;
  const index = map ? map[shard] : shard;
  return index === null || index === undefined || !lane.tasks[0] ? null : [lane.tasks[0], index];
}

/** `Rerun 1 shard`, `Rerun 3 shards in 2 runs`. @param {{cells: any[]}[]} groups */
export function wordsOf(groups) {
  const cells = groups.reduce((sum, group) => sum + group.cells.length, 0);
  return `Rerun ${count(cells, "shard")}${groups.length > 1 ? ` in ${count(groups.length, "run")}` : ""}`;
}
