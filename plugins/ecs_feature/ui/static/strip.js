/** The detail of one cell below the board: a strip of fixed height, so that the board does not jump. */

import { airflow, getJson } from "./api.js";
import { moment, seconds, usd } from "./format.js";
import { Link, pathOf } from "./link.js";
import { Mark } from "./mark.js";
import { canRerun, keyOf } from "./selection.js";
import { stateOf } from "./states.js";

const { createElement: h, useEffect, useState } = globalThis.React ?? {};
const LAST = 40;

/** @typedef {{run: any, name: string, lane: any, shard: string, code: string, task: [string, number] | null}} Chosen */

/** @param {{dagId: string, chosen: Chosen[], stamp: string, ticked: Set<string> | null, onTick: (key: string) => void}} props one per lane shown; `stamp` changes when the board has news; `ticked` null: the user may not tick */
export function Strip({ dagId, chosen, stamp, ticked, onTick }) {
  if (!chosen.length) {
    return h("div", { className: "ecsf-b-strip" }, h("p", { className: "ecsf-muted" }, "Choose a cell to see how that shard ended. Shift or dragging ticks several; by keyboard: arrows, space, shift; by touch: a long press."));
  }
  return h(
    "div",
    { className: "ecsf-b-strip", role: "region", "aria-label": "The chosen shard", tabIndex: -1 },
    chosen.map((each) => h(Detail, { key: `${each.run.run_id} ${each.lane.lane} ${each.shard}`, dagId, each, stamp, many: chosen.length > 1, ticked, onTick })),
  );
}

/** @param {{dagId: string, each: Chosen, stamp: string, many: boolean, ticked: Set<string> | null, onTick: (key: string) => void}} props */
function Detail({ dagId, each, stamp, many, ticked, onTick }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  const [log, setLog] = useState(/** @type {string[] | null} */ (null));
  const { run, name, lane, shard, code, task } = each;
  const key = keyOf(run.run_id, lane.lane, shard);
  const there = Boolean(task) && code !== " ";
  useEffect(() => {
    if (!there || !task) return undefined;
    let gone = false;
    const timer = setTimeout(() => {
      getJson("api/cell", { dag_id: dagId, run_id: run.run_id, task_id: task[0], map_index: task[1] }).then(
        (value) => !gone && (setFound(value), setError("")),
        (reason) => !gone && setError(reason.words ?? String(reason)),
      );
    }, 120);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [there, task?.[0], task?.[1], code, run.active ? stamp : ""]);
  const read = () => {
    if (!task) return;
    setLog(["reading…"]);
    lastLines(dagId, run.run_id, task, found?.try || 1).then(setLog, (reason) => setLog([reason.words ?? String(reason)]));
  };
  return h(
    "div",
    { className: "ecsf-b-detail" },
    h(
      "div",
      { className: "ecsf-b-line" },
      h(Mark, { state: code }),
      h("strong", null, h("bdi", null, shard)),
      h("span", { className: "ecsf-muted" }, name),
      many || lane.variant ? h("span", { className: "ecsf-muted" }, h("bdi", null, lane.lane)) : null,
      h("strong", null, found?.outcome_words && found.state === "F" ? found.outcome_words : stateOf(code).label),
      factsOf(found).map((words) => h("span", { key: words }, words)),
    ),
    h(
      "div",
      { className: "ecsf-b-line" },
      ticked && there && canRerun(code)
        ? h("label", { className: "ecsf-b-tick" }, h("input", { type: "checkbox", checked: ticked.has(key), onChange: () => onTick(key) }), "rerun")
        : null,
      there && found
        ? [
            h("button", { key: "log", type: "button", className: "ecsf-link", onClick: () => (log ? setLog(null) : read()), "aria-expanded": Boolean(log) }, log ? "hide last lines" : "last lines"),
            h(Link, { key: "all", to: found.links.log }, "log"),
            found.links.ecs ? h(Link, { key: "ecs", to: found.links.ecs }, "ECS task") : null,
            found.links.cloudwatch ? h(Link, { key: "logs", to: found.links.cloudwatch }, "CloudWatch") : null,
            found.links.features ? h(Link, { key: "features", to: found.links.features }, "features") : null,
          ]
        : null,
      h("span", { className: "ecsf-b-reason ecsf-muted" }, error || h("bdi", null, whyOf(found))),
    ),
    log ? h("pre", { className: "ecsf-b-log", tabIndex: 0, "aria-label": "Last lines of the log" }, log.join("\n")) : null,
  );
}

/** What is known in short words. @param {any} found @returns {string[]} */
export function factsOf(found) {
  if (!found) return [];
  const launches = found.launches ?? [];
  const last = launches[launches.length - 1];
  const said = [];
  if (found.state === "F" && found.exit_code !== null && found.exit_code !== undefined) said.push(`exit code ${found.exit_code}`);
  const took = (Date.parse(last?.stopped_at) - Date.parse(last?.started_at ?? last?.created_at)) / 1000;
  if (took >= 0) said.push(seconds(took));
  if (found.usd !== null && found.usd !== undefined) said.push(usd(found.usd * 1e6));
  if (last?.cpu && last?.memory_mib) said.push(`${last.cpu / 1024} vCPU, ${Math.round((last.memory_mib / 1024) * 10) / 10} GB`);
  if (/SPOT/.test(last?.capacity ?? "")) said.push("Spot");
  if (launches.length > 1) said.push(`${launches.length} launches, ${launches.slice(0, -1).map((/** @type {any} */ each) => each.outcome).join(", ")} before`);
  if (found.try > 1) said.push(`try ${found.try}`);
  return said;
}

/** Why it waits, or why it failed. @param {any} found */
export function whyOf(found) {
  if (!found) return "";
  const waits = found.waits_for;
  if (waits) return `waits for ${(waits.words || waits.what).replace(/^(waits )?for /, "")}${waits.since ? `, since ${moment(waits.since).slice(-5)}` : ""}`;
  return found.reason || "";
}

/** The end of a try's log. @param {string} dagId @param {string} runId @param {[string, number]} task @param {number} tried @returns {Promise<string[]>} */
async function lastLines(dagId, runId, task, tried) {
  const path = `dags/${pathOf(dagId)}/dagRuns/${pathOf(runId)}/taskInstances/${pathOf(task[0])}/logs/${tried}?full_content=true&map_index=${task[1]}`;
  const lines = linesOf(await airflow("GET", path));
  return lines.length ? lines.slice(-LAST) : ["The log is empty."];
}

/** @param {any} answer of Airflow's log API @returns {string[]} */
export function linesOf(answer) {
  const content = answer?.content ?? [];
  if (typeof content === "string") return content.split("\n");
  return content
    .map((/** @type {any} */ each) => (typeof each === "string" ? each : String(each?.event ?? "")))
    .filter((/** @type {string} */ line) => line && !line.startsWith("::group::") && !line.startsWith("::endgroup::"));
}
