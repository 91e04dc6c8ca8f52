/** The tab of a DAG, and of a run: Airflow takes the component from `globalThis["Shards"]`, which is what both are called. */

import { Board } from "./board.js";
import { guarded } from "./boundary.js";
import { RunView } from "./run.js";

const OfDag = guarded(Board);
const OfRun = guarded(RunView);

/** A function component, as Airflow wants it. @param {{dagId?: string, runId?: string}} props */
function Shards({ dagId, runId }) {
  const { createElement } = globalThis.React;
  return runId
    ? createElement(OfRun, { dagId, runId, key: `${dagId} ${runId}` })
    : createElement(OfDag, { dagId, key: dagId });
}

/** @type {any} */ (globalThis)["Shards"] = Shards;
