/** The tab of one run: figures, what ran when, why what failed, the receipt, the versions. */

import { getJson, usePoll } from "./api.js";
import { Legend } from "./bars.js";
import { mayClear } from "./clearing.js";
import { count, seconds, usd } from "./format.js";
import { Gantt } from "./gantt.js";
import { Headline } from "./headline.js";
import { Link, pathOf } from "./link.js";
import { stateWords } from "./mark.js";
import { added, canTick, tickedOf, toggled } from "./picked.js";
import { Reasons } from "./reasons.js";
import { Receipt } from "./receipt.js";
import { openRerun } from "./rerun.js";
import { ORDERS, busyOf, chosen, criticalOf, rowsOf } from "./rows.js";
import { RUN_CSS } from "./run_style.js";
import { useStyles } from "./style.js";
import { Versions } from "./versions.js";

const { createElement: h, useCallback, useEffect, useMemo, useRef, useState } = globalThis.React ?? {};

const POLL_SECONDS = 4;
/** A run that was just told to start over does not look active at once. */
const AFTER_SECONDS = 60;

/** What the server last said, and the words of the last error. @param {string} dagId @param {string} runId */
function useRun(dagId, runId) {
  const [view, setView] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  const [until, setUntil] = useState(0);
  const asked = useRef(0);
  const load = useCallback(async () => {
    const mine = (asked.current += 1);
    try {
      const found = await getJson("api/run", { dag_id: dagId, run_id: runId });
      if (mine !== asked.current) return;
      setView(found);
      setError("");
    } catch (problem) {
      if (mine === asked.current) setError(/** @type {Error} */ (problem).message);
    }
  }, [dagId, runId]);
  useEffect(() => {
    load();
    return () => {
      asked.current += 1;
    };
  }, [load]);
  usePoll(load, { active: Boolean(view?.run?.active) || Date.now() < until, seconds: POLL_SECONDS });
  const again = () => {
    setUntil(Date.now() + AFTER_SECONDS * 1000);
    load();
  };
  return { view, error, again };
}

/** @param {{dagId?: string, runId?: string}} props */
export function RunView({ dagId = "", runId = "" }) {
  useStyles(RUN_CSS);
  const { view, error, again } = useRun(dagId, runId);
  if (!view) {
    return h(
      "div",
      { className: "ecsf-root" },
      h("p", { className: "ecsf-note", role: error ? "alert" : "status" }, error || "Reading the run …"),
    );
  }
  if (!view.pipeline) {
    const words =
      "This DAG has no shards of ecs_feature. A pipeline of FeaturePipeline(...).dag() has; make init NAME=my_features writes one.";
    return h("div", { className: "ecsf-root" }, h("p", { className: "ecsf-note" }, words));
  }
  return h(RunPage, { dagId, runId, view, error, again });
}

/** Whether the user may rerun shards of this run; null: not known yet. @param {string} dagId @param {string} runId @param {any} row one of its shards */
function useMayClear(dagId, runId, row) {
  const [may, setMay] = useState(/** @type {boolean | null} */ (null));
  const known = Boolean(row);
  useEffect(() => {
    let gone = false;
    const ask = async () => {
      const answer = await mayClear(dagId, runId, [row.task_id, row.map_index]);
      if (!gone) setMay(answer);
    };
    if (known) ask();
    return () => {
      gone = true;
    };
  }, [dagId, runId, known]);
  return may;
}

/** @param {{dagId: string, runId: string, view: any, error: string, again: () => void}} props */
export function RunPage({ dagId, runId, view, error, again }) {
  const [picked, setPicked] = useState(/** @type {Set<string>} */ (new Set()));
  const [wanted, setWanted] = useState({ lane: "", find: "", order: "start" });
  const [active, setActive] = useState(/** @type {string | null} */ (null));
  const [reveal, setReveal] = useState(/** @type {{key: string} | null} */ (null));
  const rows = useMemo(() => rowsOf(view.lanes), [view]);
  const shown = useMemo(() => chosen(rows, wanted), [rows, wanted]);
  const services = useMemo(
    () => view.services.filter((/** @type {any} */ each) => !wanted.lane || each.lane === wanted.lane),
    [view, wanted.lane],
  );
  const busy = useMemo(() => busyOf(rows, view.services), [rows, view]);
  const critical = useMemo(() => criticalOf(view.critical ?? [], rows, view.services), [rows, view]);
  const ticked = tickedOf(picked, rows);
  const variants = view.lanes.length > 1;
  const may = useMayClear(dagId, runId, rows[0]);
  const ticks = may !== false;
  const pick = (/** @type {string[]} */ keys, /** @type {boolean | undefined} */ more) =>
    setPicked((before) => (more ? added(before, keys) : toggled(before, keys)));
  const find = () => {
    if (!critical.shard) return;
    setWanted({ ...wanted, lane: "", find: "" });
    setReveal({ key: critical.shard.key });
  };
  return h(
    "div",
    { className: "ecsf-root ecsf-run" },
    error ? h("p", { className: "ecsf-note", role: "alert" }, `${error} What is shown may be old.`) : null,
    h(Headline, { headline: view.headline, active: view.run.active }),
    h(
      "div",
      { className: "ecsf-row" },
      variants
        ? h(Segmented, {
            label: "Variant",
            value: wanted.lane,
            options: [["", "all"], ...view.lanes.map((/** @type {any} */ each) => [each.lane, each.lane])],
            onChange: (lane) => setWanted({ ...wanted, lane }),
          })
        : null,
      h("input", {
        className: "ecsf-input",
        type: "search",
        placeholder: "Find shard",
        "aria-label": "Find shard",
        value: wanted.find,
        onChange: (/** @type {any} */ event) => setWanted({ ...wanted, find: event.target.value }),
      }),
      h(Segmented, {
        label: "Order",
        value: wanted.order,
        options: ORDERS.map((order) => [order, order]),
        onChange: (order) => setWanted({ ...wanted, order }),
      }),
      h("span", { className: "ecsf-grow" }),
      may && h(Rerun, { dagId, view, ticked, again, onClear: () => setPicked(new Set()) }),
    ),
    h(Gantt, {
      rows: shown,
      all: rows.length,
      services,
      busy,
      view,
      critical,
      picked,
      onPick: pick,
      active,
      onActive: setActive,
      variants,
      ticks,
      reveal,
    }),
    h(Strip, { dagId, runId, row: rows.find((row) => row.key === active), critical, onFind: find }),
    h(
      Section,
      { title: "Failures by reason" },
      h(Reasons, { reasons: view.reasons, picked, onPick: pick, variants, ticks, active: view.run.active }),
    ),
    h(
      Section,
      { title: "Receipt" },
      h(Receipt, { receipts: view.receipts ?? (view.receipt ? { "": view.receipt } : {}), active: view.run.active }),
    ),
    h(
      Section,
      { title: `Versions of ${view.run.partition}` },
      h(Versions, { dagId, runId, view, again }),
    ),
  );
}

/** @param {{title: string, children?: any}} props */
function Section({ title, children }) {
  return h("section", { style: { display: "flex", flexDirection: "column", gap: 8 } }, h("h3", null, title), children);
}

/** @param {{label: string, value: string, options: string[][], onChange: (value: string) => void}} props */
function Segmented({ label, value, options, onChange }) {
  return h(
    "div",
    { className: "ecsf-segmented", role: "group", "aria-label": label },
    options.map(([each, words]) =>
      h(
        "button",
        { key: each, type: "button", "aria-pressed": each === value, onClick: () => onChange(each) },
        h("bdi", null, words),
      ),
    ),
  );
}

/** @param {{dagId: string, view: any, ticked: any[], again: () => void, onClear: () => void}} props */
function Rerun({ dagId, view, ticked, again, onClear }) {
  if (!ticked.length) return null;
  const done = () => {
    onClear();
    again();
  };
  const open = () => {
    /** @type {[string, string, string, number][]} */
    const cells = ticked.map((row) => [row.lane, row.name, row.task_id, row.map_index]);
    openRerun({ dagId, runs: [{ run: view.run, cells }], onDone: done });
  };
  return h(
    "span",
    { className: "ecsf-row" },
    h("button", { type: "button", className: "ecsf-button", onClick: onClear }, "Untick"),
    h(
      "button",
      { type: "button", className: "ecsf-button ecsf-primary", onClick: open },
      `Rerun ${count(ticked.length, "shard")}…`,
    ),
  );
}

/** What is known of the row that was chosen; without one, what the bars mean. @param {any} props */
function Strip({ dagId, runId, row, critical, onFind }) {
  const { shard, services } = critical;
  const path = [...services.map((/** @type {any} */ each) => each.name), shard?.name].filter(Boolean).join(" → ");
  const task = row
    ? `dags/${pathOf(dagId)}/runs/${pathOf(runId)}/tasks/${pathOf(row.task_id)}${row.map_index >= 0 ? `/mapped/${row.map_index}` : ""}`
    : "";
  return h(
    "div",
    { style: { display: "flex", flexDirection: "column", gap: 6, marginTop: -6 } },
    h(
      "div",
      { className: "ecsf-row" },
      h(Legend),
      h("span", { className: "ecsf-grow" }),
      shard
        ? h(
            "button",
            {
              type: "button",
              className: "ecsf-link",
              style: { background: "none", border: 0, fontSize: 12 },
              onClick: onFind,
            },
            h("bdi", null, path),
          )
        : null,
    ),
    h(
      "div",
      { className: "ecsf-strip", "aria-live": "polite" },
      row
        ? [
            h("strong", { key: "name" }, h("bdi", null, row.name)),
            h("span", { key: "state" }, stateWords(row.state)),
            row.outcome_words && canTick(row) ? h("span", { key: "outcome" }, row.outcome_words) : null,
            h("span", { key: "seconds" }, Number.isFinite(row.start) ? `ran ${seconds(row.seconds)}` : "not started"),
            row.micro_usd === null || row.micro_usd === undefined
              ? null
              : h("span", { key: "usd" }, usd(row.micro_usd)),
            row.tries > 1 ? h("span", { key: "tries" }, `try ${row.tries}`) : null,
            h(Link, { key: "task", to: task }, "task and log"),
            row.reason ? h("span", { key: "reason", className: "ecsf-muted" }, h("bdi", null, row.reason)) : null,
          ]
        : h("span", { className: "ecsf-muted" }, "Choose a shard to see how it ended; tick shards to rerun them."),
    ),
  );
}
