/** The sheet that says what a rerun of the ticked shards will do, per run, before anything happens. A dialog of plain DOM, so that any view can open it. */

import { airflow, getJson } from "./api.js";
import { BOARD_CSS, SHEET_CSS } from "./board_style.js";
import { ask, clearOf, factsOf, totalOf } from "./rerun_facts.js";
import { clear } from "./clearing.js";
import { count } from "./format.js";
import { pathOf } from "./link.js";
import { wordsOf as rerunWords } from "./selection.js";
import { useStyles } from "./style.js";

const AT_ONCE = 4;

/**
 * @typedef {{run: any, name?: string, cells: [string, string, string, number][]}} Group `name`: what tells the run from others of its partition; lane, shard, task id, map index
 * @param {{dagId: string, runs: Group[], onDone: (runIds: string[]) => void}} what
 */
export function openRerun({ dagId, runs, onDone }) {
  useStyles(BOARD_CSS);
  useStyles(SHEET_CSS);
  const dialog = document.createElement("dialog");
  dialog.className = "ecsf-sheet";
  dialog.setAttribute("aria-labelledby", "ecsf-sheet-title");
  const title = make("h2", rerunWords(runs));
  title.id = "ecsf-sheet-title";
  const said = make("p", "", "ecsf-said");
  said.setAttribute("role", "status");
  const total = make("strong", "Asking Airflow what this takes…");
  const cancel = button("Cancel");
  const go = button(rerunWords(runs), "ecsf-primary");
  go.disabled = true;
  const cards = runs.map((group) => card(dagId, group));
  const list = make("div", "", "ecsf-sheet-runs");
  list.tabIndex = 0;
  list.setAttribute("aria-label", "What runs again, by run");
  list.append(...cards.map((each) => each.section));
  const head = make("header");
  head.append(title, make("p", "Only these shards compute again; what they need and what follows runs with them."));
  const foot = make("footer");
  foot.append(total, cancel, go);
  dialog.append(head, list, said, foot);
  document.body.append(dialog);
  const before = /** @type {any} */ (document.activeElement);
  /** @type {string[]} */
  const cleared = [];
  let going = false;
  dialog.addEventListener("cancel", (event) => going && event.preventDefault());
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.({ preventScroll: true });
    if (cleared.length) onDone(cleared);
  });
  cancel.addEventListener("click", () => dialog.close());
  dialog.showModal();
  cancel.focus();

  prepare(dagId, cards, said).then((ready) => {
    const able = cards.filter((each) => each.able);
    total.textContent = able.length ? totalOf(ready) : "Nothing can run again now.";
    go.disabled = !able.length;
    if (able.length && able.length < cards.length) go.textContent = rerunWords(able.map((each) => each.group));
  });

  go.addEventListener("click", async () => {
    if (going) return;
    going = true;
    go.disabled = cancel.disabled = true;
    let wrong = 0;
    for (const each of cards.filter((one) => one.able)) {
      said.textContent = `Clearing ${titleOf(each.group)}…`;
      try {
        // Somebody else may have begun a rerun since the sheet was opened.
        const now = ask((await clear(dagId, each.group.run.run_id, each.group.cells, true)).task_instances ?? [], each.group.cells);
        if (now.stop) throw new Error(now.stop);
        await clear(dagId, each.group.run.run_id, each.group.cells, false);
        cleared.push(each.group.run.run_id);
        each.state.textContent = "cleared";
      } catch (error) {
        wrong += 1;
        each.section.append(make("p", wordsOf(error), "ecsf-bad"));
      }
    }
    going = false;
    if (!wrong) return dialog.close();
    said.textContent = `${count(wrong, "run")} could not be cleared; the others run again.`;
    go.hidden = true;
    cancel.textContent = "Close";
    cancel.disabled = false;
    return undefined;
  });
}

/** @param {Group} group */
function titleOf(group) {
  return group.name ?? group.run.partition;
}

/** @param {string} dagId @param {Group} group */
function card(dagId, group) {
  const section = make("section");
  const head = make("h3");
  const state = make("span", count(group.cells.length, "shard"));
  head.append(make("span", titleOf(group)), state);
  const facts = document.createElement("dl");
  section.append(head, facts);
  put(facts, [["shards", clearOf(group.cells)], ["", "asking…"]]);
  return { section, facts, state, group, able: false, dagId };
}

/** Ask for the dry runs and the estimates; fill the cards. @param {string} dagId @param {any[]} cards @param {HTMLElement} said */
async function prepare(dagId, cards, said) {
  const estimating = post(dagId, cards).catch((error) => ({ runs: [], notes: [`No estimate: ${wordsOf(error)}`] }));
  const pausing = airflow("GET", `dags/${pathOf(dagId)}`).catch(() => ({}));
  const dry = new Map();
  const queue = [...cards];
  const worker = async () => {
    for (let each = queue.shift(); each; each = queue.shift()) {
      try {
        dry.set(each, (await clear(dagId, each.group.run.run_id, each.group.cells, true)).task_instances ?? []);
      } catch (error) {
        dry.set(each, error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const [answer, dag] = await Promise.all([estimating, pausing]);
  const notes = [...(answer.notes ?? [])];
  if (dag.is_paused) notes.unshift("The DAG is paused: what is cleared stays queued until it is unpaused.");
  said.textContent = notes.join(" ");
  const ready = [];
  for (const each of cards) {
    const found = dry.get(each);
    const estimate = (answer.runs ?? []).find((/** @type {any} */ one) => one.run_id === each.group.run.run_id);
    if (found instanceof Error) {
      put(each.facts, [["shards", clearOf(each.group.cells)]]);
      each.section.append(make("p", wordsOf(found), "ecsf-bad"));
      continue;
    }
    const effect = ask(found, each.group.cells);
    put(each.facts, factsOf(each.group.cells, effect, estimate));
    each.able = !effect.stop;
    if (effect.stop) each.section.append(make("p", effect.stop, "ecsf-bad"));
    else if (estimate) ready.push(estimate);
  }
  return ready;
}

/** @param {string} dagId @param {any[]} cards */
function post(dagId, cards) {
  const runs = cards.map(({ group }) => ({
    run_id: group.run.run_id,
    cells: group.cells.map((/** @type {any} */ [, , task, map]) => [task, map]),
  }));
  return getJson("api/estimate", {}, { dag_id: dagId, runs });
}

/** @param {HTMLElement} list @param {[string, string][]} rows */
function put(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

/** @param {string} name @param {string} [text] @param {string} [className] */
function make(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** @param {string} text @param {string} [className] */
function button(text, className = "") {
  const made = /** @type {HTMLButtonElement} */ (make("button", text, `ecsf-button ${className}`));
  made.type = "button";
  return made;
}

/** @param {any} error */
function wordsOf(error) {
  return error?.words ?? String(error?.message ?? error);
}
