/** The board: shards by name, runs by partition; tick cells and rerun them. */

import { root } from "./api.js";
import { BOARD_CSS, LOW, LOW_STRIP } from "./board_style.js";
import { valueOf } from "./cells.js";
import { Chips, Controls } from "./controls.js";
import { clearedOf, MOST_MS, stillCleared, withCleared } from "./cleared.js";
import { mayClear } from "./clearing.js";
import { seconds, usd } from "./format.js";
import { Grid } from "./grid.js";
import { pathOf } from "./link.js";
import { between, codeAt, grouped, keysIn, added, toggled, taskOf, canRerun, wordsOf } from "./selection.js";
import { boundsOf, rowsOf, statsOf } from "./stats.js";
import { Strip } from "./strip.js";
import { useStyles } from "./style.js";
import { nameOf } from "./twins.js";
import { useBoard } from "./use_board.js";

const { createElement: h, useEffect, useMemo, useRef, useState } = globalThis.React ?? {};
const LEAST = 220;
/** When it is looked at what has become of a clear, in seconds after it. */
const LOOKS = [0, 2, 6];

/** @param {{dagId?: string}} props */
export function Board({ dagId = "" }) {
  useStyles(BOARD_CSS);
  const [runs, setRuns] = useState(30);
  const board = useBoard(dagId, runs);
  const { data, error } = board;
  if (!data) return h("div", { className: "ecsf-root" }, h("p", { className: "ecsf-note", role: error ? "alert" : "status" }, error || "Reading the board…"));
  if (!data.pipeline) {
    return h("div", { className: "ecsf-root" }, h("p", { className: "ecsf-note" }, "This DAG has no feature pipeline, so there are no shards to show. Make one with FeaturePipeline(...) in its file."));
  }
  if (!data.runs.length) {
    return h("div", { className: "ecsf-root" }, h("p", { className: "ecsf-note" }, "This pipeline has not run yet. Trigger it, or start a backfill; its shards appear here."));
  }
  return h(Filled, { dagId, board, runs, setRuns });
}

/** @param {{dagId: string, board: any, runs: number, setRuns: (runs: number) => void}} props */
function Filled({ dagId, board, runs, setRuns }) {
  const { error, news, again, need } = board;
  const [data, clear] = useCleared(board.data, again);
  const [wanted, setWanted] = useState({ heat: "state", find: "", sort: "name", states: "", lane: "" });
  const [selected, setSelected] = useState(/** @type {Set<string>} */ (new Set()));
  const [drawn, setDrawn] = useState(/** @type {string[] | null} */ (null));
  const [active, setActive] = useState(/** @type {{run: string, shard: string} | null} */ (null));
  const may = useMay(dagId, data);
  const names = data.lanes.map((/** @type {any} */ lane) => lane.lane);
  const lanes = useMemo(() => shownLanes(names, wanted.lane), [names.join("\n"), wanted.lane]);
  const stats = useMemo(() => statsOf(data, lanes), [data, lanes]);
  const rows = useMemo(() => rowsOf(data, stats, wanted), [data, stats, wanted.find, wanted.sort, wanted.states]);
  const what = valueOf(wanted.heat);
  const bounds = useMemo(() => (what ? boundsOf(data, lanes, what) : []), [data, lanes, what]);
  const sorted = { duration: "seconds", cost: "micro_usd", "last change": "changed" }[wanted.sort] ?? "";
  useEffect(() => {
    for (const each of new Set([what ?? "", sorted])) if (each) need(each);
  }, [what, sorted, data]);
  const shown = useMemo(() => (drawn ? added(selected, drawn) : selected), [selected, drawn]);
  const groups = useMemo(() => grouped(shown, data), [shown, data]);

  const ref = useRef(/** @type {any} */ (null));
  const grid = useRef(/** @type {Grid | null} */ (null));
  const strip = useRef(/** @type {any} */ (null));
  /** What the hooks of the grid need at the moment of the event. */
  const now = useRef(/** @type {any} */ (null));
  now.current = { data, lanes, rows, may };
  useEffect(() => {
    const inRange = (/** @type {any} */ a, /** @type {any} */ b) => {
      const { data, lanes, rows } = now.current;
      return keysIn(data, lanes, between(a.column, b.column), between(a.row, b.row).map((row) => rows[row]).filter((shard) => shard !== undefined));
    };
    const made = new Grid(ref.current, {
      onMove: ({ row, column }) => {
        const { data, rows } = now.current;
        setActive({ run: data.runs[column].run_id, shard: data.shards[rows[row]] });
        keepInSight(ref.current, strip.current);
      },
      onTick: ({ row, column }, lane) => {
        const { data, lanes, rows, may } = now.current;
        if (may) setSelected((old) => toggled(old, keysIn(data, lane ? [lane] : lanes, [column], [rows[row]])));
      },
      onRange: (from, to, done) => {
        if (!now.current.may) return;
        const keys = inRange(from, to);
        setDrawn(done ? null : keys);
        if (done) setSelected((old) => added(old, keys));
      },
      onClear: () => setSelected(new Set()),
      onEnter: () => strip.current?.querySelector("input, button, a")?.focus(),
      onOpen: (event, run) => board.open(event, `dags/${pathOf(dagId)}/runs/${pathOf(run.run_id)}/plugin/shards-run`),
    });
    grid.current = made;
    return () => made.destroy();
  }, []);

  useEffect(() => {
    grid.current?.update({
      data,
      lanes,
      rows,
      selected: shown,
      painting: { data, lanes, heat: wanted.heat, bounds, states: wanted.states, relaunched: new Map() },
      failures: stats.failures,
      gone: new Set(data.gone),
      value: (shard) => valueWords(stats, wanted, shard),
      width: lanes.length > 1 ? 28 : 20,
      hrefOf: (run) => new URL(`dags/${pathOf(dagId)}/runs/${pathOf(run.run_id)}/plugin/shards-run`, root).href,
    });
  }, [data, lanes, rows, shown, wanted.heat, wanted.sort, wanted.states, bounds, stats]);
  const below = useLow() ? LOW_STRIP + 32 : 36 + 60 * lanes.length;
  const height = useHeight(ref, below);

  const tickAll = (/** @type {string} */ codes) => {
    setSelected((old) => added(old, keysIn(data, lanes, between(0, data.runs.length - 1), rows, codes)));
  };
  const rerun = async () => {
    const { openRerun } = await import("./rerun.js");
    openRerun({
      dagId,
      runs: groups,
      onDone: (ids) => {
        const gone = new Set(ids);
        clear(shown, ids);
        setSelected((old) => new Set([...old].filter((key) => !gone.has(key.split("\u0000")[0]))));
      },
    });
  };
  return h(
    "div",
    { className: "ecsf-root ecsf-board" },
    h(Controls, { wanted, setWanted, names, runs, setRuns, more: data.runs.length >= runs || runs > 30, backfill: may ? `dags/${pathOf(dagId)}/backfills` : null }),
    h(Chips, { counts: stats.counts, wanted, setWanted, may, tickAll, many: shown.size, onClear: () => setSelected(new Set()), onRerun: groups.length ? rerun : null, words: `${wordsOf(groups)}…` }),
    error ? h("p", { className: "ecsf-note", role: "alert" }, `${error} What is shown may be old.`) : null,
    h("div", { ref, className: "ecsf-b-grid", role: "grid", "aria-label": "Shards by run", "aria-multiselectable": true, style: { height } }),
    h("div", { ref: strip, className: "ecsf-b-below", style: { minHeight: below - 32 } }, h(Strip, { dagId, chosen: chosenOf(data, lanes, active), stamp: data.at, ticked: may ? shown : null, onTick: (key) => setSelected((old) => toggled(old, [key])) })),
    h("div", { className: "ecsf-hidden", role: "status", "aria-live": "polite" }, [shown.size ? `${shown.size} ticked` : "", news].filter(Boolean).join(". ")),
  );
}

/** The board with what was cleared a moment ago, and how to say that something was. @param {any} data @param {() => void} again @returns {[any, (ticked: Set<string>, runIds: string[]) => void]} */
function useCleared(data, again) {
  const [cleared, setCleared] = useState(/** @type {import("./cleared.js").Cleared} */ (new Map()));
  const timers = useRef(/** @type {any[]} */ ([]));
  useEffect(() => () => timers.current.forEach(clearTimeout), []);
  const left = useMemo(() => stillCleared(cleared, data, Date.now()), [cleared, data]);
  const clear = (/** @type {Set<string>} */ ticked, /** @type {string[]} */ runIds) => {
    setCleared(new Map([...left, ...clearedOf(data, ticked, runIds, Date.now())]));
    // Airflow answers before it commits: the first look may find everything as it was.
    for (const seconds of LOOKS) timers.current.push(setTimeout(again, seconds * 1000));
    timers.current.push(setTimeout(() => setCleared((old) => stillCleared(old, data, Date.now())), MOST_MS + 50));
  };
  return [useMemo(() => withCleared(data, left), [data, left]), clear];
}

/** @param {string[]} names @param {string} wanted a lane's name; empty: all, as far as they can be told apart in one cell */
function shownLanes(names, wanted) {
  if (names.includes(wanted)) return [wanted];
  return names.length <= 3 ? names : names.slice(0, 1);
}

/** @param {any} stats @param {any} wanted @param {number} shard */
function valueWords(stats, wanted, shard) {
  if (wanted.sort === "last change") {
    const at = stats.changed[shard];
    return at ? new Date(at).toISOString().slice(5, 16).replace("T", " ") : "–";
  }
  if (wanted.heat === "cost" || wanted.sort === "cost") return usd(stats.micro_usd[shard]);
  return Number.isNaN(stats.seconds[shard]) ? "" : seconds(stats.seconds[shard]);
}

/** @param {any} data @param {string[]} lanes @param {{run: string, shard: string} | null} active */
function chosenOf(data, lanes, active) {
  const run = active ? data.runs.findIndex((/** @type {any} */ each) => each.run_id === active.run) : -1;
  const shard = active ? data.shards.indexOf(active.shard) : -1;
  if (run < 0 || shard < 0) return [];
  return lanes.map((name) => {
    const lane = data.lanes.find((/** @type {any} */ each) => each.lane === name);
    return { run: data.runs[run], name: nameOf(data.runs, run), lane, shard: data.shards[shard], code: codeAt(data, name, run, shard), task: taskOf(data, lane, run, shard) };
  });
}

/** Whether the user may rerun: asked once, of a cell that has ended. @param {string} dagId @param {any} data */
export function useMay(dagId, data) {
  const [may, setMay] = useState(false);
  const asked = useRef("");
  const one = asked.current === dagId ? null : anyEnded(data);
  useEffect(() => {
    if (!one || asked.current === dagId) return;
    asked.current = dagId;
    mayClear(dagId, one.runId, one.task).then(setMay);
  }, [dagId, one]);
  return may;
}

/** A cell that could be rerun; null: none has ended yet. @param {any} data @returns {{runId: string, task: [string, number]} | null} */
function anyEnded(data) {
  for (let run = data.runs.length - 1; run >= 0; run--) {
    for (const lane of data.lanes) {
      const shard = data.shards.findIndex((/** @type {string} */ _, /** @type {number} */ at) => canRerun(codeAt(data, lane.lane, run, at)));
      const task = shard < 0 ? null : taskOf(data, lane, run, shard);
      if (task) return { runId: data.runs[run].run_id, task };
    }
  }
  return null;
}

/** Whether the window is low. */
function useLow() {
  const [low, setLow] = useState(() => matchMedia(LOW).matches);
  useEffect(() => {
    const asked = matchMedia(LOW);
    const told = () => setLow(asked.matches);
    asked.addEventListener("change", told);
    return () => asked.removeEventListener("change", told);
  }, []);
  return low;
}

/** What scrolls the board in Airflow's page; null: nothing. @param {HTMLElement} grid @returns {HTMLElement | null} */
function paneOf(grid) {
  for (let each = grid.parentElement; each; each = each.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(each).overflowY)) return each;
  }
  return null;
}

/** In a low window the strip lies over the end of the grid: bring the chosen cell above it. @param {HTMLElement} grid @param {HTMLElement} strip */
function keepInSight(grid, strip) {
  const cell = grid.querySelector("[role=gridcell][tabindex='0']");
  const pane = cell && strip ? paneOf(grid) : null;
  if (!cell || !pane) return;
  const hidden = cell.getBoundingClientRect().bottom - strip.getBoundingClientRect().top;
  if (hidden > 0) pane.scrollTop += hidden;
}

/** What is left of the window for the grid. @param {any} ref @param {number} below what the strip takes */
function useHeight(ref, below) {
  const [height, setHeight] = useState(420);
  useEffect(() => {
    const measure = () => {
      if (!ref.current) return;
      const top = ref.current.getBoundingClientRect().top + (paneOf(ref.current)?.scrollTop ?? 0);
      setHeight(Math.max(LEAST, Math.floor(window.innerHeight - top - below)));
    };
    measure();
    const timer = setTimeout(measure, 300); // the host's header settles late
    window.addEventListener("resize", measure);
    return () => {
      clearTimeout(timer);
      window.removeEventListener("resize", measure);
    };
  }, [below]);
  return height;
}
