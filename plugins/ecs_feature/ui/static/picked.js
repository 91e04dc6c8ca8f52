/** Which shards of a run are ticked. Pure: every change makes a new set. */

import { keyOf } from "./rows.js";

/** @typedef {[string, string, string, number]} Cell lane, shard, task id, map index */

/** @param {Cell[]} cells */
export function keysOf(cells) {
  return cells.map(([, , task, index]) => keyOf(task, index));
}

/** `all`, `some` or `none` of the keys are in the set. @param {Set<string>} picked @param {string[]} keys */
export function share(picked, keys) {
  const many = keys.filter((key) => picked.has(key)).length;
  return many === 0 ? "none" : many === keys.length ? "all" : "some";
}

/** Tick all; or none of them, when all were ticked. @param {Set<string>} picked @param {string[]} keys @returns {Set<string>} */
export function toggled(picked, keys) {
  const next = new Set(picked);
  const on = share(picked, keys) !== "all";
  for (const key of keys) {
    if (on) next.add(key);
    else next.delete(key);
  }
  return next;
}

/** Tick everything between two rows, both included. @param {Set<string>} picked @param {string[]} keys @param {number} from @param {number} to */
export function ranged(picked, keys, from, to) {
  const next = new Set(picked);
  for (const key of keys.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(key);
  return next;
}

/** Only what the run still has. @param {Set<string>} picked @param {import("./rows.js").Row[]} rows */
export function stillThere(picked, rows) {
  return rows.filter((row) => picked.has(row.key));
}
