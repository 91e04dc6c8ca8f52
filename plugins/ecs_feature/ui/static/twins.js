/** Runs of the same partition, and what tells them apart: how they were started, or when. Pure. */

import { moment } from "./format.js";

/** Airflow's run types in three letters: a column is 20 px wide. */
const TYPES = /** @type {Record<string, string>} */ ({
  scheduled: "sch",
  manual: "man",
  backfill: "bkf",
  asset_triggered: "ast",
  asset_materialization: "mat",
});

/** @typedef {{short: string, words: string}} Apart both empty: the partition has one run here */

/** @type {WeakMap<any[], Apart[]>} */
const known = new WeakMap();
const ALONE = { short: "", words: "" };

/** What each run has to say beside its partition. @param {any[]} runs @returns {Apart[]} in their order */
export function apart(runs) {
  let found = known.get(runs);
  if (!found) known.set(runs, (found = told(runs)));
  return found;
}

/** @param {any[]} runs @returns {Apart[]} */
function told(runs) {
  /** @type {Map<string, number[]>} */
  const twins = new Map();
  runs.forEach((run, at) => twins.set(run.partition, [...(twins.get(run.partition) ?? []), at]));
  const found = runs.map(() => ALONE);
  for (const mine of twins.values()) {
    if (mine.length < 2) continue;
    const shorts = shortest(mine.map((at) => runs[at]));
    mine.forEach((at, index) => {
      found[at] = { short: shorts[index], words: wordsOf(runs[at]) };
    });
  }
  return found;
}

/** The first kind of three characters that is different for each: type, hour, minute, day; else they are counted. @param {any[]} runs */
function shortest(runs) {
  const at = runs.map((run) => moment(run.run_after ?? run.start));
  const kinds = [
    runs.map((run) => TYPES[run.run_type] ?? String(run.run_type ?? "").slice(0, 3)),
    at.map((time) => `${time.slice(11, 13)}h`),
    at.map((time) => `:${time.slice(14, 16)}`),
    at.map((time) => `${Number(time.slice(8, 10))}.`),
  ];
  return kinds.find((kind) => new Set(kind).size === runs.length) ?? runs.map((_, index) => `#${index + 1}`);
}

/** @param {any} run */
function wordsOf(run) {
  const type = String(run.run_type ?? "").replaceAll("_", " ");
  const time = moment(run.run_after ?? run.start);
  const sameDay = run.partition && time.startsWith(run.partition.slice(0, 10));
  return [type, sameDay ? time.slice(11) : time].filter((word) => word && word !== "–").join(", ");
}

/** A run's name among others: its partition, and in brackets what tells it from its twins. @param {any[]} runs @param {number} at its index */
export function nameOf(runs, at) {
  const { words } = apart(runs)[at];
  return words ? `${runs[at].partition} (${words})` : runs[at].partition;
}
