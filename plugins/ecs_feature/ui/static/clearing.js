/** What a rerun of ticked cells clears, by Airflow's own API. Pure but for the calls. */

import { airflow } from "./api.js";
import { pathOf } from "./link.js";

/** States of a task that clearing would stop, or that is about to start. */
const GOING_ON = new Set(["running", "deferred", "queued", "scheduled", "restarting", "up_for_reschedule"]);

/** The body of clearTaskInstances. @param {string} runId @param {[string, string, string, number][]} cells @param {boolean} dry */
export function bodyOf(runId, cells, dry) {
  return {
    dry_run: dry,
    dag_run_id: runId,
    task_ids: cells.map(([, , task, map]) => (map >= 0 ? [task, map] : task)),
    include_downstream: true,
    // Also what has succeeded: without the scale-up the shards would find their services at 0.
    only_failed: false,
    // What is going on is the user's work: Airflow refuses to stop a running task. A deferred one it would clear, so that the
    // sheet looks once more right before this.
    ...(dry ? {} : { prevent_running_task: true }),
  };
}

/** @param {string} dagId @param {string} runId @param {[string, string, string, number][]} cells @param {boolean} dry */
export function clear(dagId, runId, cells, dry) {
  return airflow("POST", `dags/${pathOf(dagId)}/clearTaskInstances`, bodyOf(runId, cells, dry));
}

/** What a dry run says: the shards, what else runs again, what is in the way. @param {any[]} instances @param {[string, string, string, number][]} cells */
export function effectOf(instances, cells) {
  const mine = new Set(cells.map(([, , task, map]) => `${task} ${map}`));
  const hit = new Set();
  const others = new Set();
  const extra = [];
  const busy = new Set();
  const tasks = new Set(cells.map(([, , task, map]) => (map >= 0 ? task : "")).filter(Boolean));
  for (const each of instances) {
    const key = `${each.task_id} ${each.map_index}`;
    if (GOING_ON.has(each.state)) busy.add(each.task_id);
    if (mine.has(key)) hit.add(key);
    else if (tasks.has(each.task_id)) extra.push(key);
    else others.add(each.task_id);
  }
  return {
    others: [...others],
    busy: [...busy],
    extra,
    lost: cells.filter(([, , task, map]) => !hit.has(`${task} ${map}`)).map(([, shard]) => shard),
  };
}

/** Whether the user may clear tasks of this DAG: Airflow is asked for a dry run of one cell. @param {string} dagId @param {string} runId @param {[string, number]} task */
export async function mayClear(dagId, runId, task) {
  try {
    await clear(dagId, runId, [["", "", task[0], task[1]]], true);
    return true;
  } catch (error) {
    const status = /** @type {any} */ (error).status;
    return status !== 401 && status !== 403;
  }
}
