/** Which shards of a run are ticked. Pure: every change makes a new set. */

import { keyOf } from "./rows.js";

/** @typedef {[string, string, string, number]} Cell lane, shard, task id, map index */

/** States of shards that have ended. */
const AT_REST = "PRSMFn";

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

/** Tick more. @param {Set<string>} picked @param {string[]} keys @returns {Set<string>} */
export function added(picked, keys) {
  return new Set([...picked, ...keys]);
}

/** Only what has ended can run again. @param {import("./rows.js").Row} row */
export function canTick(row) {
  return AT_REST.includes(row.state);
}

/** The ticked shards that the run still has, and that can still run again. @param {Set<string>} picked @param {import("./rows.js").Row[]} rows */
export function tickedOf(picked, rows) {
  return rows.filter((row) => picked.has(row.key) && canTick(row));
}
