/** The words and dots of a pipeline's line. Pure. */

import { seconds } from "./format.js";

/** How long ago. @param {string | null | undefined} iso @param {number} now milliseconds */
export function ago(iso, now) {
  const at = Date.parse(iso ?? "");
  if (Number.isNaN(at)) return "";
  const gone = (now - at) / 1000;
  return gone < 60 ? "just now" : `${seconds(gone).split(" ").slice(0, 2).join(" ")} ago`;
}

/** When something will be. @param {string | null | undefined} iso @param {number} now milliseconds */
export function ahead(iso, now) {
  const at = Date.parse(iso ?? "");
  if (Number.isNaN(at)) return "";
  return at <= now ? "due" : `in ${seconds((at - now) / 1000)}`;
}

/** Worse first: what a day's dot shows when the day has several runs. */
const WORST = ["failed", "running", "queued", "success"];
const DOTS = 30;

/** @param {string} state */
function rank(state) {
  const at = WORST.indexOf(state);
  return at < 0 ? WORST.length : at;
}

/**
 * A dot a day: of a pipeline that runs each hour, the runs of a day share one, which shows the worst.
 * @param {{run_id: string, partition: string, state: string}[]} dots the oldest first
 * @returns {{run_id: string, partition: string, state: string, runs: number}[]}
 */
export function daysOf(dots) {
  const hourly = dots.length > DOTS + 1;
  const days = new Map();
  dots.forEach((dot, at) => {
    const day = hourly ? (/^\d{4}-\d\d-\d\d/.exec(dot.partition)?.[0] ?? dot.partition) : String(at);
    const known = days.get(day);
    if (!known) days.set(day, { ...dot, partition: hourly ? day : dot.partition, runs: 1 });
    else {
      known.runs += 1;
      if (rank(dot.state) <= rank(known.state)) Object.assign(known, { run_id: dot.run_id, state: dot.state });
    }
  });
  return [...days.values()].slice(-DOTS);
}

/**
 * A lease's holder, `dag/run/variant`, in the words of its pipeline's line.
 * @param {{holder: string | null, count: number}} holder null: of a DAG that the user may not read @param {string} dagId @param {{run_id: string, partition: string}[]} dots
 */
export function holderWords({ holder, count: many }, dagId, dots) {
  const tasks = ` × ${many}`;
  if (holder === null) return `another DAG's run${tasks}`;
  holder = holder.replace(/\/$/, ""); // of a pipeline without variants
  if (!holder.startsWith(`${dagId}/`)) return holder + tasks;
  const own = holder.slice(dagId.length + 1);
  const dot = dots.find((each) => own === each.run_id || own.startsWith(`${each.run_id}/`));
  return (dot ? dot.partition + own.slice(dot.run_id.length) : own) + tasks;
}
