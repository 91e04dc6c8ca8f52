/** The tab of a DAG run: Airflow takes the component from `globalThis["Shards run"]`. */

import { guarded } from "./boundary.js";
import { RunView } from "./run.js";

const View = guarded(RunView);

/** A function component, as Airflow wants it. @param {{dagId?: string, runId?: string}} props */
function RunTab({ dagId, runId }) {
  return globalThis.React.createElement(View, { dagId, runId, key: `${dagId} ${runId}` });
}

/** @type {any} */ (globalThis)["Shards run"] = RunTab;
