/** What the rerun's sheet says of a run, in words. Pure. */

import { effectOf } from "./clearing.js";
import { count, seconds, usd } from "./format.js";

const SHOWN = 12;
const TOO = 8;

/** The shards by lane: `control: CA, NY and 3 more`. @param {[string, string, string, number][]} cells */
export function clearOf(cells) {
  /** @type {Map<string, string[]>} */
  const lanes = new Map();
  for (const [lane, shard] of cells) lanes.set(lane, [...(lanes.get(lane) ?? []), shard]);
  return [...lanes].map(([lane, shards]) => (lane ? `${lane}: ` : "") + listed(shards, SHOWN)).join("; ");
}

/** @param {string[]} names @param {number} most */
function listed(names, most) {
  const more = names.length - most;
  return names.slice(0, most).join(", ") + (more > 0 ? ` and ${more.toLocaleString("en")} more` : "");
}

/** The dry run's result, and what stops the rerun. @param {any[]} instances @param {[string, string, string, number][]} cells */
export function ask(instances, cells) {
  const effect = effectOf(instances, cells);
  let stop = "";
  if (effect.busy.length) stop = `${listed(effect.busy, 3)} is still going on in this run, and would be stopped; wait for its end.`;
  else if (effect.extra.length) stop = `Airflow would also clear ${count(effect.extra.length, "shard")} that you have not ticked; reload the page and tick again.`;
  else if (effect.lost.length) stop = `Airflow no longer has ${listed(effect.lost, 3)} in this run; reload the page and tick again.`;
  return { ...effect, stop };
}

/** @param {[string, string, string, number][]} cells @param {{others: string[]}} effect @param {any} estimate @returns {[string, string][]} */
export function factsOf(cells, effect, estimate) {
  /** @type {[string, string][]} */
  const rows = [
    ["shards", clearOf(cells)],
    ["with them", listed(effect.others, TOO) || "nothing else"],
  ];
  if (!estimate) return rows;
  if (estimate.services?.length) {
    rows.push(["services", estimate.services.map((/** @type {any} */ each) => `${each.name} ${each.from} → ${each.to} → ${each.from}`).join(", ")]);
  }
  if (estimate.p50_seconds !== null && estimate.p50_seconds !== undefined) {
    const [low, high] = [seconds(estimate.p50_seconds), seconds(estimate.p90_seconds)];
    rows.push(["time", low === high ? low : `${low} (p50) to ${high} (p90)`]);
  }
  if (estimate.usd !== null && estimate.usd !== undefined) rows.push(["cost", `about ${usd(estimate.usd * 1e6)}`]);
  rows.push(["limited by", estimate.quota ? String(estimate.quota) : "no quota"]);
  return rows;
}

/** All runs together. @param {any[]} estimates */
export function totalOf(estimates) {
  const known = estimates.filter((each) => each.usd !== null && each.usd !== undefined);
  if (!known.length) return "";
  const longest = Math.max(...known.map((each) => each.p90_seconds ?? 0));
  return `About ${usd(known.reduce((sum, each) => sum + each.usd, 0) * 1e6)}${longest ? `, up to ${seconds(longest)}` : ""}`;
}
