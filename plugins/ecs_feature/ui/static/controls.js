/** The two rows above the board: how it is shown, and what is ticked. */

import { Link } from "./link.js";
import { Mark } from "./mark.js";
import { STATES } from "./states.js";
import { SORTS } from "./stats.js";

const { createElement: h } = globalThis.React ?? {};
const MANY = [30, 90];
/** States that have a chip; the others are no work. */
const SHOWN = STATES.filter((state) => !["-", " "].includes(state.code));

/** @param {{wanted: any, setWanted: (wanted: any) => void, names: string[], runs: number, setRuns: (runs: number) => void, more: boolean, backfill: string | null}} props */
export function Controls({ wanted, setWanted, names, runs, setRuns, more, backfill }) {
  const set = (/** @type {any} */ part) => setWanted({ ...wanted, ...part });
  const lanes = names.length > 1 && names.length <= 3 ? [...names.map((name) => [name, name]), ["", names.length === 2 ? "both" : "all"]] : null;
  return h(
    "div",
    { className: "ecsf-controls" },
    h(Segmented, { label: "Colour by", value: wanted.heat, options: [["state", "State"], ["duration", "Duration"], ["cost", "Cost"]], onChange: (heat) => set({ heat }) }),
    h("input", { className: "ecsf-input", type: "search", placeholder: "Find shard", "aria-label": "Find shard", value: wanted.find, onChange: (/** @type {any} */ event) => set({ find: event.target.value }) }),
    h(Choice, { label: "Sort", value: wanted.sort, options: SORTS.map((sort) => [sort, sort]), onChange: (sort) => set({ sort }) }),
    lanes ? h(Segmented, { label: "Variant", value: wanted.lane, options: lanes, onChange: (lane) => set({ lane }) }) : null,
    names.length > 3 ? h(Choice, { label: "Variant", value: wanted.lane || names[0], options: names.map((name) => [name, name]), onChange: (lane) => set({ lane }) }) : null,
    more ? h(Choice, { label: "Runs", value: String(runs), options: MANY.map((many) => [String(many), String(many)]), onChange: (many) => setRuns(Number(many)) }) : null,
    backfill ? h("span", { className: "ecsf-push" }, h(Link, { to: backfill, className: "ecsf-button", title: "For missing columns: Airflow's own backfill" }, "Backfill…")) : null,
  );
}

/**
 * @param {{counts: Record<string, number>, wanted: any, setWanted: (wanted: any) => void, may: boolean, tickAll: (codes: string) => void, many: number,
 *   onClear: () => void, onRerun: (() => void) | null, words: string}} props
 */
export function Chips({ counts, wanted, setWanted, may, tickAll, many, onClear, onRerun, words }) {
  const flip = (/** @type {string} */ code) => setWanted({ ...wanted, states: wanted.states.includes(code) ? wanted.states.replace(code, "") : wanted.states + code });
  return h(
    "div",
    { className: "ecsf-controls", role: "group", "aria-label": "States" },
    SHOWN.filter((state) => counts[state.code] || wanted.states.includes(state.code)).map((state) =>
      h(
        "button",
        { key: state.code, type: "button", className: "ecsf-chip", "aria-pressed": wanted.states.includes(state.code), onClick: () => flip(state.code), title: `Only shards with a cell that is: ${state.label}` },
        h(Mark, { state: state.code }),
        `${state.label} ${(counts[state.code] ?? 0).toLocaleString("en")}`,
      ),
    ),
    may
      ? h(
          "span",
          { className: "ecsf-push" },
          many ? h("button", { type: "button", className: "ecsf-button", onClick: onClear }, "Untick") : null,
          !many && counts.F ? h("button", { type: "button", className: "ecsf-button", onClick: () => tickAll("F") }, "Tick all failed") : null,
          !many && counts.M ? h("button", { type: "button", className: "ecsf-button", onClick: () => tickAll("M") }, "Tick all missing") : null,
          onRerun ? h("button", { type: "button", className: "ecsf-button ecsf-primary", onClick: onRerun }, words) : null,
        )
      : null,
  );
}

/** @param {{label: string, value: string, options: string[][], onChange: (value: string) => void}} props */
function Segmented({ label, value, options, onChange }) {
  return h(
    "div",
    { className: "ecsf-segmented", role: "group", "aria-label": label },
    options.map(([each, words]) => h("button", { key: each, type: "button", "aria-pressed": each === value, onClick: () => onChange(each) }, h("bdi", null, words))),
  );
}

/** @param {{label: string, value: string, options: string[][], onChange: (value: string) => void}} props */
function Choice({ label, value, options, onChange }) {
  return h(
    "label",
    { className: "ecsf-pick" },
    label,
    h("select", { className: "ecsf-input", value, onChange: (/** @type {any} */ event) => onChange(event.target.value) }, options.map(([each, words]) => h("option", { key: each, value: each }, words))),
  );
}
