/** The page of all pipelines: a line each. */

import { getJson, usePoll } from "./api.js";
import { ago, ahead, daysOf, holderWords } from "./days.js";
import { count, moment, usd } from "./format.js";
import { Link, pathOf } from "./link.js";
import { Mark, stateWords } from "./mark.js";
import { RUN_CSS } from "./run_style.js";
import { useStyles } from "./style.js";

const { createElement: h, useCallback, useEffect, useRef, useState } = globalThis.React ?? {};

const POLL_SECONDS = 30;
const NAMED = 3;
const WIDTHS = ["17%", "22%", "15%", "19%", "8%", "8%", "11%"];

export function Overview() {
  useStyles(RUN_CSS);
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  const gone = useRef(false);
  const load = useCallback(async () => {
    try {
      const answer = await getJson("api/overview");
      if (gone.current) return;
      setFound(answer);
      setError("");
    } catch (problem) {
      if (!gone.current) setError(/** @type {Error} */ (problem).message);
    }
  }, []);
  useEffect(() => {
    gone.current = false;
    load();
    return () => {
      gone.current = true;
    };
  }, [load]);
  usePoll(load, { active: true, seconds: POLL_SECONDS });
  const now = Date.now();
  const pipelines = found?.pipelines ?? [];
  return h(
    "div",
    { className: "ecsf-root ecsf-run", style: { padding: 20 } },
    h("h2", { style: { fontSize: 20, fontWeight: 600, margin: 0 } }, "ECS features"),
    error ? h("p", { className: "ecsf-note", role: "alert" }, error) : null,
    found || error ? null : h("p", { className: "ecsf-note", role: "status" }, "Reading the pipelines …"),
    found && !pipelines.length
      ? h(
          "p",
          { className: "ecsf-note" },
          "There is no pipeline yet that you may read. make init NAME=my_features writes one; docs/start.md goes on from there.",
        )
      : null,
    pipelines.length ? h(Table, { pipelines, now }) : null,
  );
}

/** @param {{pipelines: any[], now: number}} props */
function Table({ pipelines, now }) {
  const heads = ["Pipeline", "30 days", "Last run", "Services", "24 h", "30 days", "Next run"];
  const sum = (/** @type {string} */ name) =>
    pipelines.reduce(
      (total, each) => (each[name] === null ? total : (total ?? 0) + each[name]),
      /** @type {number | null} */ (null),
    );
  return h(
    "div",
    { className: "ecsf-card ecsf-scroll" },
    h(
      "table",
      { className: "ecsf-table ecsf-pipelines" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          heads.map((name, at) =>
            h(
              "th",
              {
                key: at,
                style: { width: WIDTHS[at] },
                scope: "col",
                className: at === 4 || at === 5 ? "ecsf-number" : "",
              },
              at === 4 || at === 5
                ? h("span", { title: "Estimated cost of the runs that began in this time" }, `Cost, ${name}`)
                : name,
            ),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        pipelines.map((pipeline) => h(Line, { key: pipeline.dag_id, pipeline, now })),
      ),
      pipelines.length > 1
        ? h(
            "tfoot",
            null,
            h(
              "tr",
              null,
              h("td", { colSpan: 4, className: "ecsf-muted" }, count(pipelines.length, "pipeline")),
              h(Cost, { value: sum("today_usd"), soFar: pipelines.some((each) => each.so_far) }),
              h(Cost, { value: sum("month_usd") }),
              h("td", null),
            ),
          )
        : null,
    ),
  );
}

/** @param {{value: number | null, soFar?: boolean}} props `soFar`: runs go on, and cost more */
function Cost({ value, soFar = false }) {
  const known = value !== null && value !== undefined;
  return h(
    "td",
    { className: "ecsf-number" },
    known ? usd(value * 1e6) : "–",
    known && soFar ? h("div", { className: "ecsf-muted", style: { fontSize: 12 } }, "so far") : null,
  );
}

/** @param {{pipeline: any, now: number}} props */
export function Line({ pipeline, now }) {
  const { dag_id: dagId, last, dots, services } = pipeline;
  const runPath = (/** @type {string} */ run) => `dags/${pathOf(dagId)}/runs/${pathOf(run)}/plugin/shards-run`;
  return h(
    "tr",
    null,
    h(
      "td",
      null,
      h(
        "div",
        { className: "ecsf-row" },
        h(Link, { to: `dags/${pathOf(dagId)}/plugin/shards` }, h("bdi", null, dagId)),
        pipeline.paused ? h("span", { className: "ecsf-badge" }, "paused") : null,
      ),
    ),
    h(
      "td",
      null,
      dots.length
        ? h(
            "div",
            { className: "ecsf-dots" },
            daysOf(dots).map((dot) => {
              const words = `${dot.partition}: ${stateWords(dot.state)}${dot.runs > 1 ? `, ${dot.runs} runs` : ""}`;
              return h(
                Link,
                { key: dot.run_id, to: runPath(dot.run_id), title: words, label: words, className: "" },
                h(Mark, { state: dot.state }),
              );
            }),
          )
        : h("span", { className: "ecsf-muted" }, "no runs"),
    ),
    h(
      "td",
      null,
      last ? h(Last, { last, path: runPath(last.run_id), now }) : h("span", { className: "ecsf-muted" }, "–"),
    ),
    h(
      "td",
      null,
      services.length
        ? services.map((/** @type {any} */ service) =>
            h(Service, { key: `${service.arn ?? ""} ${service.name}`, service, dagId, dots, now }),
          )
        : h("span", { className: "ecsf-muted" }, "–"),
    ),
    h(Cost, { value: pipeline.today_usd, soFar: pipeline.so_far }),
    h(Cost, { value: pipeline.month_usd }),
    h(
      "td",
      { style: { whiteSpace: "nowrap" }, title: moment(pipeline.next) },
      pipeline.next
        ? ahead(pipeline.next, now)
        : h("span", { className: "ecsf-muted" }, pipeline.paused ? "paused" : "none planned"),
    ),
  );
}

/** @param {{last: any, path: string, now: number}} props */
function Last({ last, path, now }) {
  const shards = [
    last.ok ? `${last.ok.toLocaleString("en")} ok` : "",
    last.failed ? `${last.failed.toLocaleString("en")} failed` : "",
  ]
    .filter(Boolean)
    .join(", ");
  return h(
    "div",
    null,
    h(
      "span",
      { className: "ecsf-state" },
      h(Mark, { state: last.state }),
      h(Link, { to: path, title: stateWords(last.state) }, h("bdi", null, last.partition)),
      h("span", { className: "ecsf-hidden" }, stateWords(last.state)),
    ),
    h(
      "div",
      { className: "ecsf-muted", style: { fontSize: 12 } },
      [shards, ago(last.end ?? last.start, now)].filter(Boolean).join(" · "),
    ),
  );
}

/** @param {{service: any, dagId: string, dots: any[], now: number}} props */
function Service({ service, dagId, dots, now }) {
  const holders = (service.holders ?? []).map((/** @type {any} */ holder) => holderWords(holder, dagId, dots));
  const held = holders.length
    ? `held by ${holders.slice(0, NAMED).join(", ")}${holders.length > NAMED ? ` and ${holders.length - NAMED} more` : ""}`
    : "held by nobody";
  const desired = service.desired === service.running ? "" : ` of ${service.desired}`;
  return h(
    "div",
    { style: { padding: "2px 0" }, title: moment(service.at) },
    h("span", null, h("bdi", null, service.name), ": ", h("strong", null, `${service.running}${desired}`), " running"),
    h(
      "div",
      { className: "ecsf-muted", style: { fontSize: 12 } },
      h("bdi", null, held),
      service.at ? ` · seen ${ago(service.at, now)}` : "",
    ),
  );
}
