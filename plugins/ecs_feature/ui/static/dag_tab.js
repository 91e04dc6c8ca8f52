/** The tab of a DAG: Airflow takes the component from `globalThis["Shards"]`. */

import { Board } from "./board.js";
import { guarded } from "./boundary.js";

const View = guarded(Board);

/** A function component, as Airflow wants it. @param {{dagId?: string}} props */
function DagTab({ dagId }) {
  return globalThis.React.createElement(View, { dagId, key: dagId });
}

/** @type {any} */ (globalThis)["Shards"] = DagTab;
