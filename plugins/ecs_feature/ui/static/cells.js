/** How a cell looks and what it says. */

import { seconds, usd } from "./format.js";
import { codeAt } from "./selection.js";
import { stateOf } from "./states.js";
import { LEVELS, levelOf } from "./stats.js";
import { nameOf } from "./twins.js";

/** @typedef {{data: any, lanes: string[], heat: string, bounds: number[], states: string, relaunched: Map<any, Set<number>>}} Painting */

/** @param {any} cells of a run @param {Painting} painting */
function relaunchedIn(cells, painting) {
  let found = painting.relaunched.get(cells);
  if (!found) painting.relaunched.set(cells, (found = new Set(cells.relaunched ?? [])));
  return found;
}

/** The classes of one part of a cell: state as shape and colour, or heat. @param {Painting} painting @param {string} lane @param {number} run @param {number} shard */
export function classOf(painting, lane, run, shard) {
  const cells = painting.data.cells[lane]?.[run];
  const code = cells?.states[shard] ?? " ";
  let name = `ecsf-part ecsf-is-${stateOf(code).name}`;
  const what = valueOf(painting.heat);
  if (what && cells) {
    const level = levelOf(cells[what]?.[shard], painting.bounds);
    if (level && code !== "r" && code !== "w") name = `ecsf-part ecsf-heat ecsf-heat-${level}${code === "F" ? " ecsf-heat-failed" : code === "M" ? " ecsf-heat-missing" : ""}`;
  }
  if (cells && relaunchedIn(cells, painting).has(shard)) name += " ecsf-relaunched";
  if (painting.states && !painting.states.includes(code)) name += " ecsf-dim";
  return name;
}

/** @param {string} heat @returns {"seconds" | "micro_usd" | null} */
export function valueOf(heat) {
  return heat === "duration" ? "seconds" : heat === "cost" ? "micro_usd" : null;
}

/** The cell in words. @param {Painting} painting @param {number} run @param {number} shard */
export function labelOf(painting, run, shard) {
  const { data, lanes } = painting;
  const parts = lanes.map((lane) => {
    const cells = data.cells[lane]?.[run];
    const said = [stateOf(codeAt(data, lane, run, shard)).label];
    const took = cells?.seconds?.[shard];
    if (took !== null && took !== undefined) said.push(seconds(took));
    const cost = cells?.micro_usd?.[shard];
    if (cost !== null && cost !== undefined) said.push(usd(cost));
    const tries = cells?.tries?.[shard];
    if (tries > 1) said.push(`try ${tries}`);
    if (cells && relaunchedIn(cells, painting).has(shard)) said.push("relaunched");
    return (lanes.length > 1 ? `${lane} ` : "") + said.join(", ");
  });
  return `${data.shards[shard]}, ${nameOf(data.runs, run)}: ${parts.join("; ")}`;
}

const svg = (/** @type {string} */ inside) => `url("data:image/svg+xml,${encodeURIComponent(`<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>${inside}</svg>`)}")`;
const CROSS = (/** @type {string} */ color) => svg(`<path d='M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6' stroke='${color}' stroke-width='2' stroke-linecap='round'/>`);
const GREEN = stateOf("P").color;
const RED = stateOf("F").color;
const AMBER = "#d97706";
const GREY = "var(--chakra-colors-fg-muted, #71717a)";
const PALE = "var(--chakra-colors-border, #d4d4d8)";

const heats = Array.from({ length: LEVELS }, (_, index) => {
  const share = Math.round(16 + (index * 84) / (LEVELS - 1));
  return `.ecsf-heat-${index + 1} { background-color: color-mix(in oklab, var(--ecsf-hot) ${share}%, var(--ecsf-cold)); }`;
}).join("\n");

export const CELL_CSS = `
.ecsf-board { --ecsf-hot: #1d4ed8; --ecsf-cold: var(--chakra-colors-bg, #fff); }
.dark .ecsf-board { --ecsf-hot: #93c5fd; }
.ecsf-part { position: relative; display: block; flex: 1 1 0; height: 16px; border-radius: 4px; background: no-repeat center / 14px 14px; }
.ecsf-is-published { background-color: ${GREEN}; }
.ecsf-is-ran { border: 2px solid ${GREEN}; }
.ecsf-is-stale { border: 2px solid ${GREEN}; background: linear-gradient(135deg, ${GREEN} 50%, transparent 50%); }
.ecsf-is-missing { border: 2px dashed ${AMBER}; }
.ecsf-is-failed { background-color: ${RED}; background-image: ${CROSS("white")}; }
.ecsf-is-running { background-color: var(--chakra-colors-running-solid, #22c55e); background-image: ${svg("<path d='M5.5 3.8l6 4.2-6 4.2z' fill='white' stroke='#052e16' stroke-width='.8'/>")}; }
.ecsf-is-waiting { border: 1px solid ${GREY}; background-image: ${svg("<g fill='#848490'><circle cx='4' cy='8' r='1.4'/><circle cx='8' cy='8' r='1.4'/><circle cx='12' cy='8' r='1.4'/></g>")}; }
.ecsf-is-nothing { border: 1px solid ${PALE}; background-image: ${svg("<path d='M5 8h6' stroke='#848490' stroke-width='1.8' stroke-linecap='round'/>")}; }
.ecsf-is-left-out { background-image: ${svg("<circle cx='8' cy='8' r='1.5' fill='#9ca3af'/>")}; }
.ecsf-heat-failed { box-shadow: inset 0 0 0 2px ${RED}; }
.ecsf-heat-failed::before { content: ""; position: absolute; inset: 3px; border-radius: 3px; background: ${RED} ${CROSS("white")} no-repeat center / 13px 13px; }
.ecsf-heat-missing { box-shadow: inset 0 0 0 2px ${AMBER}; }
.ecsf-relaunched::after { content: ""; position: absolute; top: -2px; right: -2px; width: 6px; height: 6px; border-radius: 3px; background: #f59e0b; box-shadow: 0 0 0 1px var(--chakra-colors-bg, #fff); }
.ecsf-dim { opacity: .18; }
.ecsf-part.ecsf-on { box-shadow: 0 0 0 1px var(--chakra-colors-bg, #fff), 0 0 0 3px var(--chakra-colors-fg, #18181b); z-index: 1; }
@media (forced-colors: active) { .ecsf-part { forced-color-adjust: none; } }
${heats}
`;
