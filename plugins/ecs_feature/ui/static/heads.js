/** The heads of the board's columns: the day, how many shards were fine, and the cost. Pure but for `headInto`. */

import { count, usd } from "./format.js";
import { apart } from "./twins.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A partition's two short lines: what changes seldom, and what changes from column to column. @param {string} partition @returns {[string, string]} */
export function partsOf(partition) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::?(\d\d))?)?/.exec(partition);
  if (found) {
    const [, year, month, day, hour] = found;
    const name = MONTHS[Number(month) - 1] ?? month;
    if (hour === undefined) return [`${name} ${year}`, String(Number(day))];
    return [`${Number(day)} ${name}`, hour];
  }
  const month = /^(\d{4})-(\d\d)$/.exec(partition);
  if (month) return [month[1], MONTHS[Number(month[2]) - 1] ?? month[2]];
  const week = /^(\d{4})-W(\d\d)$/.exec(partition);
  if (week) return [week[1], week[2]];
  return ["", partition.length > 3 ? `${partition.slice(0, 2)}…` : partition];
}

/** The lines of every column: the upper one only where it changes, the day, and what tells two runs of it apart. @param {any[]} runs @returns {[string, string, import("./twins.js").Apart][]} */
export function headsOf(runs) {
  let last = "";
  const more = apart(runs);
  return runs.map(({ partition }, index) => {
    const [over, short] = partsOf(partition);
    const shown = over && over !== last ? over.split(" ").slice(0, /^\d+ /.test(over) ? 2 : 1).join(" ") : "";
    // A change in the very last column would hang over the edge.
    last = over;
    return [index === runs.length - 1 && index > 0 ? "" : shown, short, more[index]];
  });
}

/** A run in words. @param {any} run @param {string} twin what tells it from another of its partition */
export function runWords(run, twin) {
  const said = [`Open the run of ${run.partition}${twin ? ` (${twin})` : ""}`, run.state ?? "not started", count(run.ok, "shard") + " ok"];
  if (run.failed) said.push(`${run.failed.toLocaleString("en")} failed`);
  if (run.usd !== null && run.usd !== undefined) said.push(usd(run.usd * 1e6));
  return said.join(", ");
}

/** Fill a column's head. @param {HTMLElement} head @param {any} run @param {[string, string, import("./twins.js").Apart]} words @param {number} most shards of any run @param {number} dearest dollars of any run */
export function headInto(head, run, words, most, dearest) {
  const link = /** @type {HTMLAnchorElement} */ (head.firstChild);
  link.title = runWords(run, words[2].words);
  link.setAttribute("aria-label", link.title);
  const [bars, over, short, twin] = /** @type {HTMLElement[]} */ ([...link.children]);
  const [ok, failed, cost] = /** @type {HTMLElement[]} */ ([...bars.children]);
  const high = (/** @type {number} */ share, /** @type {number} */ least) => `${share > 0 ? Math.max(least, Math.round(share * 32)) : 0}px`;
  ok.style.height = high(most ? run.ok / most : 0, 1);
  failed.style.height = high(most ? run.failed / most : 0, 3);
  failed.style.bottom = ok.style.height;
  if (parseInt(ok.style.height) + parseInt(failed.style.height) > 32) ok.style.height = failed.style.bottom = `${32 - parseInt(failed.style.height)}px`;
  cost.style.height = high(dearest ? (run.usd ?? 0) / dearest : 0, 1);
  over.textContent = words[0];
  short.textContent = words[1];
  twin.textContent = words[2].short;
  link.classList.toggle("ecsf-b-active", Boolean(run.active));
}

/** An empty head. @returns {HTMLElement} */
export function newHead() {
  const head = document.createElement("div");
  head.className = "ecsf-b-head";
  head.setAttribute("role", "columnheader");
  const link = document.createElement("a");
  const bars = document.createElement("span");
  bars.className = "ecsf-b-bars";
  for (const name of ["ok", "bad", "cost"]) {
    const bar = document.createElement("i");
    bar.className = `ecsf-b-bar-${name}`;
    bars.append(bar);
  }
  const over = document.createElement("small");
  const short = document.createElement("b");
  link.append(bars, over, short, document.createElement("em"));
  link.tabIndex = -1;
  head.append(link);
  return head;
}
