/** The look of a run's view and of the pipelines' page. */

const LINE = "var(--chakra-colors-border, #e4e4e7)";
const STRONG = "var(--chakra-colors-border-emphasized, #a1a1aa)";
const MUTED = "var(--chakra-colors-fg-muted, #52525b)";
const GREEN = "var(--chakra-colors-success-solid, #008000)";
const RED = "var(--chakra-colors-failed-solid, #dc2626)";
const AMBER = "#d97706";

export const RUN_CSS = `
.ecsf-run { display: flex; flex-direction: column; gap: 14px; --ecsf-label: 208px; --ecsf-bar: 0px; }
.ecsf-head { display: flex; flex-wrap: wrap; align-items: stretch; gap: 8px; }
.ecsf-figure { border: 1px solid ${LINE}; border-radius: 8px; padding: 8px 14px; min-width: 104px; flex: 1 1 auto; }
.ecsf-figure dt { font-size: 12px; color: ${MUTED}; }
.ecsf-figure dd { margin: 1px 0 0; font-size: 18px; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ecsf-figure small { font-size: 12px; font-weight: 400; color: ${MUTED}; }
.ecsf-progress { height: 6px; border-radius: 3px; overflow: hidden; background: var(--chakra-colors-bg-emphasized, #e4e4e7); display: flex; }
.ecsf-progress > span { display: block; height: 100%; transition: width .4s; }
.ecsf-run h3 { font-size: 14px; font-weight: 600; margin: 0; }
.ecsf-row { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
.ecsf-grow { flex: 1; }
.ecsf-state { display: inline-flex; align-items: center; gap: 7px; }
.ecsf-mark { width: 14px; height: 14px; flex: none; display: block; }
.ecsf-gantt { padding: 0; overflow: hidden; position: relative; }
.ecsf-line { display: flex; align-items: center; padding-right: var(--ecsf-bar); }
.ecsf-label { width: var(--ecsf-label); flex: none; padding: 0 8px 0 10px; display: flex; align-items: center; gap: 7px; font-size: 13px; min-width: 0; }
.ecsf-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.ecsf-plot { position: relative; flex: 1; height: 100%; min-width: 0; }
.ecsf-axis { height: 30px; border-bottom: 1px solid ${LINE}; }
.ecsf-tick { position: absolute; top: 7px; font-size: 11px; color: ${MUTED}; white-space: nowrap; padding-left: 4px; font-variant-numeric: tabular-nums; }
.ecsf-grid-lines { position: absolute; top: 30px; bottom: 0; left: var(--ecsf-label); right: var(--ecsf-bar); pointer-events: none; }
.ecsf-grid-lines > i { position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px solid ${LINE}; opacity: .7; }
.ecsf-grid-lines > b { position: absolute; top: 0; bottom: 0; opacity: .5;
  background: repeating-linear-gradient(135deg, transparent 0 4px, ${STRONG} 4px 5px); border: 0 solid ${STRONG}; border-width: 0 1px; }
.ecsf-services { border-bottom: 1px solid ${LINE}; padding: 4px 0; max-height: 148px; overflow-y: auto; position: relative; }
.ecsf-services .ecsf-line { height: 24px; padding-right: 0; }
.ecsf-shards { position: relative; overflow-y: scroll; overflow-x: hidden; outline-offset: -2px !important; }
.ecsf-shards .ecsf-line { position: absolute; left: 0; right: 0; height: 24px; cursor: pointer; padding-right: 0; }
.ecsf-shards .ecsf-line:hover { background: color-mix(in srgb, var(--chakra-colors-fg, #18181b) 6%, transparent); }
.ecsf-shards .ecsf-line[data-active] { background: color-mix(in srgb, var(--chakra-colors-brand-solid, #3d5a88) 16%, transparent); }
.ecsf-tick-box { width: 14px; height: 14px; flex: none; border: 1.5px solid ${MUTED}; border-radius: 3px; display: grid; place-items: center; font-size: 11px; line-height: 1; }
.ecsf-tick-box { position: relative; }
.ecsf-tick-box::after { content: ""; position: absolute; inset: -6px -9px; }
[aria-selected="true"] .ecsf-tick-box { background: var(--chakra-colors-brand-solid, #3d5a88); border-color: transparent; color: var(--chakra-colors-brand-contrast, #fff); }
[aria-selected="true"] .ecsf-tick-box::before { content: "\\2713"; font-weight: 700; }
.ecsf-variant { color: ${MUTED}; font-size: 11px; margin-left: auto; flex: none; max-width: 70px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ecsf-span { position: absolute; top: 50%; transform: translateY(-50%); min-width: 2px; height: 14px; border-radius: 2px; }
.ecsf-span.waited, .ecsf-span.backoff { height: 2px; border-radius: 1px; background: ${STRONG}; min-width: 1px; }
.ecsf-span.backoff { background: repeating-linear-gradient(90deg, ${AMBER} 0 3px, transparent 3px 6px); }
.ecsf-span.launching, .ecsf-span.scaling { height: 8px; background: var(--chakra-colors-blue-400, #60a5fa); }
.ecsf-span.running, .ecsf-span.steady { background: ${GREEN}; }
.ecsf-span.running.failed { background: ${RED}; }
.ecsf-span.running.active { background: var(--chakra-colors-running-solid, #22c55e); }
.ecsf-span.running.nothing { background: transparent; border: 2px solid ${MUTED}; }
.ecsf-span.relaunched { background: repeating-linear-gradient(135deg, ${AMBER} 0 3px, color-mix(in srgb, ${AMBER} 30%, transparent) 3px 6px); border: 1px solid ${AMBER}; }
.ecsf-span.steady { height: 12px; background: color-mix(in srgb, var(--chakra-colors-brand-solid, #3d5a88) 40%, transparent); color: var(--chakra-colors-fg, #18181b); font-size: 10px; line-height: 12px; padding-left: 4px; overflow: hidden; white-space: nowrap; }
.ecsf-span.scaling.down { background: ${STRONG}; }
.ecsf-cross::before { content: "\\2715"; }
.ecsf-cross { position: absolute; top: 50%; transform: translate(3px, -50%); font-size: 11px; font-weight: 700; color: ${RED}; line-height: 1; }
.ecsf-critical { position: absolute; top: 2px; bottom: 2px; border: 1.5px solid var(--chakra-colors-fg, #18181b); border-radius: 4px; pointer-events: none; }
.ecsf-parallel { height: 76px; border-top: 1px solid ${LINE}; align-items: stretch; }
.ecsf-parallel .ecsf-label { flex-direction: column; align-items: flex-start; justify-content: center; gap: 0; font-size: 13px; }
.ecsf-parallel .ecsf-label small { font-size: 12px; color: ${MUTED}; white-space: nowrap; }
.ecsf-parallel svg { position: absolute; inset: 8px 0 0; width: 100%; height: calc(100% - 8px); overflow: visible; display: block; }
.ecsf-parallel path { fill: none; stroke: var(--chakra-colors-brand-solid, #3d5a88); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.ecsf-parallel path.ecsf-area { fill: color-mix(in srgb, var(--chakra-colors-brand-solid, #3d5a88) 35%, transparent); stroke: none; }
.dark .ecsf-parallel path { stroke: #7aa2e3; }
.dark .ecsf-parallel path.ecsf-area { fill: color-mix(in srgb, #7aa2e3 35%, transparent); stroke: none; }
.ecsf-parallel line { stroke: ${RED}; stroke-width: 1.5; stroke-dasharray: 6 4; vector-effect: non-scaling-stroke; }
.ecsf-legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 12px; color: ${MUTED}; align-items: center; }
.ecsf-legend > span { display: inline-flex; align-items: center; gap: 6px; }
.ecsf-legend .ecsf-span { position: static; transform: none; width: 18px; display: inline-block; }
.ecsf-strip { min-height: 40px; display: flex; flex-wrap: wrap; gap: 2px 18px; align-items: center; font-size: 13px; overflow-wrap: anywhere; }
.ecsf-list { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; }
.ecsf-list > li { padding: 9px 0; border-top: 1px solid ${LINE}; }
.ecsf-list > li:first-child { border-top: 0; }
.ecsf-reason { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 14px; align-items: start; }
.ecsf-reason p { margin: 0; overflow-wrap: anywhere; }
.ecsf-names { font-size: 13px; color: ${MUTED}; overflow-wrap: anywhere; grid-column: 1; }
.ecsf-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
.ecsf-cards dl, .ecsf-facts { display: grid; grid-template-columns: auto 1fr; gap: 3px 16px; margin: 8px 0 0; font-size: 13px; }
.ecsf-cards dt { color: ${MUTED}; } .ecsf-cards dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.ecsf-card-head { display: flex; justify-content: space-between; gap: 12px; align-items: baseline; }
.ecsf-card-head strong { overflow-wrap: anywhere; }
.ecsf-big { font-size: 18px; font-weight: 600; white-space: nowrap; font-variant-numeric: tabular-nums; }
.ecsf-hint { margin: 8px 0 0; padding-top: 8px; border-top: 1px solid ${LINE}; font-size: 13px; overflow-wrap: anywhere; }
.ecsf-table { width: 100%; border-collapse: collapse; font-size: 13px; }
.ecsf-table th { text-align: left; font-weight: 600; color: ${MUTED}; font-size: 12px; padding: 6px 10px; border-bottom: 1px solid ${LINE}; white-space: nowrap; }
.ecsf-table td { padding: 8px 10px; border-bottom: 1px solid ${LINE}; vertical-align: middle; overflow-wrap: anywhere; }
.ecsf-table tr:last-child td { border-bottom: 0; }
.ecsf-table .ecsf-number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ecsf-scroll { overflow-x: auto; padding: 0; }
.ecsf-link { color: var(--chakra-colors-fg-info, #1d4ed8); text-decoration: none; cursor: pointer; }
.dark .ecsf-link { color: #93c5fd; }
.ecsf-link:hover { text-decoration: underline; }
.ecsf-badge { display: inline-block; padding: 1px 8px; border-radius: 10px; font-size: 12px; border: 1px solid ${LINE}; color: ${MUTED}; white-space: nowrap; }
.ecsf-dots { display: grid; grid-template-columns: repeat(15, 12px); }
.ecsf-dots a { display: block; padding: 1px; line-height: 0; border-radius: 3px; }
.ecsf-dots .ecsf-mark { width: 10px; height: 10px; }
.ecsf-pipelines { table-layout: fixed; min-width: 880px; }
.ecsf-pipelines th, .ecsf-pipelines th.ecsf-number { white-space: normal; vertical-align: bottom; }
.ecsf-pipelines tbody tr:last-child td { border-bottom: 1px solid ${LINE}; }
.ecsf-pipelines tbody:last-child tr:last-child td { border-bottom: 0; }
.ecsf-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: reduce) { .ecsf-progress > span { transition: none; } }
`;
