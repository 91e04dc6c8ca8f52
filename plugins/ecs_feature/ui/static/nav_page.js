/** The page of all pipelines in the navigation: Airflow takes the component from `globalThis["ECS features"]`. */

import { guarded } from "./boundary.js";
import { Overview } from "./overview.js";

const View = guarded(Overview);

/** A function component, as Airflow wants it. */
function NavPage() {
  return globalThis.React.createElement(View);
}

/** @type {any} */ (globalThis)["ECS features"] = NavPage;
