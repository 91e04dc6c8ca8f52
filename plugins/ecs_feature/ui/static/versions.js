/** Which run published which version of the partition; an earlier one can be made current again. */

import { airflow } from "./api.js";
import { moment } from "./format.js";
import { Link, pathOf, safeUrl } from "./link.js";

/** How often, and how many times, it is asked whether the run has ended. */
const ASK_SECONDS = 2;
const MOST_ASKED = 60;

const { createElement: h, useState } = globalThis.React ?? {};

/** The console's page of an S3 object; null for what is no S3 URI. @param {string | null | undefined} uri */
export function consoleUrl(uri) {
  const found = /^s3:\/\/([^/]+)\/(.+)$/.exec(uri ?? "");
  if (!found) return null;
  return `https://console.aws.amazon.com/s3/object/${encodeURIComponent(found[1])}?prefix=${encodeURIComponent(found[2])}`;
}

/** @param {{dagId: string, runId: string, view: any, again: () => void}} props */
export function Versions({ dagId, runId, view, again }) {
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const { versions, make_current: how } = view;
  if (!versions.length) return h("p", { className: "ecsf-note" }, "Nothing of this partition has been published yet.");
  const confirm = async () => {
    const version = asked;
    setAsked(null);
    setSaid(`Version ${version.version} is being made current …`);
    try {
      const now = versions.find((/** @type {any} */ each) => each.current && each.lane === version.lane);
      setSaid(await makeCurrent(how, dagId, version, now?.version ?? null));
      again();
    } catch (problem) {
      setSaid(`Version ${version.version} was not made current: ${/** @type {Error} */ (problem).message}`);
    }
  };
  const variants = view.lanes.length > 1;
  const head = [variants ? "Variant" : "", "Version", "Published by", "When", "Shards", "Missing", ""].filter(
    (name, at) => name || at === 6,
  );
  return h(
    "div",
    { className: "ecsf-card ecsf-scroll" },
    h(
      "table",
      { className: "ecsf-table" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          head.map((name) =>
            h(
              "th",
              { key: name, scope: "col", className: name === "Shards" || name === "Missing" ? "ecsf-number" : "" },
              name || h("span", { className: "ecsf-hidden" }, "Readers"),
            ),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        versions.map((/** @type {any} */ version) => {
          const url = consoleUrl(version.manifest_uri);
          return h(
            "tr",
            { key: `${version.lane} ${version.version} ${version.run_id}` },
            variants ? h("td", null, h("bdi", null, version.lane)) : null,
            h(
              "td",
              null,
              safeUrl(url)
                ? h(Link, { to: url, title: version.manifest_uri }, `v${version.version}`)
                : `v${version.version}`,
            ),
            h(
              "td",
              null,
              version.run_id === runId
                ? "this run"
                : h(
                    Link,
                    { to: `dags/${pathOf(dagId)}/runs/${pathOf(version.run_id)}/plugin/shards-run` },
                    h("bdi", null, version.run_id),
                  ),
            ),
            h("td", { style: { whiteSpace: "nowrap" } }, moment(version.published_at)),
            h("td", { className: "ecsf-number" }, version.shards.toLocaleString("en")),
            h("td", { className: "ecsf-number" }, (version.missing ?? 0).toLocaleString("en")),
            h(
              "td",
              { className: "ecsf-number" },
              version.current
                ? h("span", { className: "ecsf-badge" }, "current")
                : version.refused
                  ? h("span", { className: "ecsf-muted", title: version.refused }, "not of this pipeline's output")
                  : how?.available
                  ? h(
                      "button",
                      { type: "button", className: "ecsf-button", onClick: () => setAsked(version) },
                      "Make current",
                    )
                  : null,
            ),
          );
        }),
      ),
    ),
    asked
      ? h(
          "div",
          {
            className: "ecsf-row",
            style: { padding: "10px 14px", justifyContent: "space-between" },
            role: "group",
            "aria-label": "Confirm",
          },
          h(
            "span",
            null,
            `Readers of ${view.run.partition}${asked.lane ? ` (${asked.lane})` : ""} will get version ${asked.version} again. A run of Airflow does it, so it is in the audit log.`,
          ),
          h(
            "span",
            { className: "ecsf-row", style: { flexWrap: "nowrap" } },
            h("button", { type: "button", className: "ecsf-button", onClick: () => setAsked(null) }, "Cancel"),
            h(
              "button",
              { type: "button", className: "ecsf-button ecsf-primary", autoFocus: true, onClick: confirm },
              `Make version ${asked.version} current`,
            ),
          ),
        )
      : null,
    said ? h("p", { role: "status", style: { margin: 0, padding: "10px 14px" } }, said) : null,
  );
}

/**
 * Start the DAG that moves the manifest's pointer back, and wait for its end.
 * @param {any} how `dag_id` of that DAG @param {string} dagId whose version it is @param {any} version @param {number} insteadOf what is current as far as the user knows
 * @returns {Promise<string>} what has become of it
 */
async function makeCurrent(how, dagId, version, insteadOf) {
  const runs = `dags/${pathOf(how.dag_id)}/dagRuns`;
  const conf = { manifest_uri: version.manifest_uri, instead_of: insteadOf, of_dag: dagId };
  const run = await airflow("POST", runs, { logical_date: null, conf });
  for (let asked = 0; asked < MOST_ASKED; asked += 1) {
    await new Promise((resolve) => setTimeout(resolve, ASK_SECONDS * 1000));
    const { state } = await airflow("GET", `${runs}/${pathOf(run.dag_run_id)}`);
    if (state === "success") return `Version ${version.version} is current now.`;
    if (state === "failed") throw new Error(`the log of run ${run.dag_run_id} of ${how.dag_id} says why.`);
  }
  return `Run ${run.dag_run_id} of ${how.dag_id} has not ended yet; it makes version ${version.version} current.`;
}
